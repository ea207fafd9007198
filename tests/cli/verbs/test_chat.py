"""`slr-probe chat` as a user meets it: one message, piped lines, or a conversation on a terminal."""

import io

import pytest

from slr_probe import ModelPair, generate
from slr_probe.generation import Sampling


class Terminal(io.StringIO):
    """Standard input of a user who types."""

    def isatty(self):
        return True


@pytest.fixture
def chat(run, pair_of):
    """`chat("--message", "Hello")`: two samples of tuned and of two hybrids of the tiny pair."""
    layers = ["--layers", "1:2", "--layers", "0:2", "--samples", 2, "--max-tokens", 4, "--device", "cpu"]
    return lambda *more: run("chat", *pair_of("llama").folders, *layers, *more)


def _words(text):
    """What is printed, without the columns."""
    return "".join(text.split())


def test_one_message(chat, pair_of, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    code, text, _ = chat("--message", "Hello", "--temperature", 1.5)
    assert code == 0
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    sampling = Sampling(temperature=1.5, min_p=0.1, max_tokens=4)
    written = generate(pair, [("0", "Hello")], ["tuned", "1:2", "0:2"], samples=2, sampling=sampling)
    lines = text.splitlines()
    assert lines[0] == "> Hello"
    assert lines[1].split() == ["tuned", "hybrid", "1:2", "hybrid", "0:2"]
    for outputs in written.values():
        for sample, ended in zip(outputs.texts[0], outputs.finished[0], strict=True):
            assert _words(f"{sample.strip()} {'[end]' if ended else '[cut]'}") in _words(text)


def test_every_line_that_is_piped_is_a_message(chat, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n\n  There \n"))
    code, text, _ = chat()
    assert code == 0
    assert [line for line in text.splitlines() if line.startswith(">")] == ["> Hello", "> There"]


def test_on_a_terminal_it_asks_until_the_end_and_an_error_is_no_end(chat, monkeypatch):
    asked = iter(["one", "too long " * 5000, "three"])

    def type_in(prompt):
        assert prompt == "> "
        try:
            return next(asked)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", type_in)
    code, text, err = chat()
    assert code == 0
    assert text.count("different of 2") == 2 * 3
    assert err.startswith("error: ")
    assert "> " not in text  # what was typed is there already


def test_a_message_asked_twice_is_answered_anew(chat, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\nHello\n"))
    _, text, _ = chat("--temperature", 3)
    first, second = text.split("> Hello\n")[1:]
    assert first != second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--message", " "], "no message"), (["--message", "a", "--temperature", "-1"], "temperature must be")],
)
def test_bad_input_is_one_line(chat, arguments, message):
    code, _, err = chat(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_what_is_piped_must_be_text(chat, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hello\n\xff\xfe\n"), encoding="utf-8"))
    code, _, err = chat()
    assert code == 2
    assert "not UTF-8" in err


def test_layers_are_checked(run):
    code, _, err = run("chat", "organism:base", "organism:dpo", "--layers", "3:99", "-m", "Hello")
    assert code == 2
    assert "3:99" in err
