"""Outputs in a folder: gone on with after a kill, never mixed with others, written by one process at a time."""

import json

import pytest

from slr_probe import ModelPair
from slr_probe.errors import GenerationError, OutputError, ResultError
from slr_probe.generation import Sampling, generate
from slr_probe.generation.calls.job import Job
from slr_probe.generation.journal import Journal, file_stem
from tests.generation.conftest import PROMPTS, SHORT
from tests.tiny import edit_middle


class Killed(BaseException):
    pass


def killed_after(monkeypatch, parts):
    """Let `generate` die when it has appended so many times."""
    append, count = Journal.append, iter(range(parts))

    def dying(self, rows):
        if next(count, None) is None:
            raise Killed
        append(self, rows)

    monkeypatch.setattr(Journal, "append", dying)


@pytest.mark.parametrize("tail", [b"", b'{"model": "tuned", "id": "a", "te', '{"text": "é'.encode()[:-1]])
def test_resume_after_a_kill(pair, whole, tmp_path, monkeypatch, tail):
    with monkeypatch.context() as patch:
        killed_after(patch, 2)
        with pytest.raises(Killed):
            generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path, batch_tokens=80)
    file = tmp_path / "tuned.jsonl"
    kept = file.read_bytes()
    assert 0 < kept.count(b"\n") < 9
    file.write_bytes(kept + tail)
    written = []
    append = Journal.append
    monkeypatch.setattr(Journal, "append", lambda self, rows: (written.extend(rows), append(self, rows))[1])
    found = generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path, batch_tokens=80)
    assert found["tuned"].texts == whole["tuned"].texts
    assert len(written) == 9 - kept.count(b"\n")
    assert file.read_bytes().startswith(kept)


def test_a_finished_folder_needs_no_model(pair, whole, tmp_path, monkeypatch):
    generate(pair, PROMPTS, ["2:4"], samples=2, sampling=SHORT, out=tmp_path)
    monkeypatch.setattr("slr_probe.generation.sources.Source.model", None)
    again = generate(pair, PROMPTS[:2], ["2:4"], samples=1, sampling=SHORT, out=tmp_path)["2:4"]
    assert again.texts == tuple(texts[:1] for texts in whole["2:4"].texts[:2])


def test_more_prompts_and_samples_are_added(pair, whole, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    assert generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path)["tuned"] == whole["tuned"]


def test_a_prompt_that_is_rendered_otherwise_is_an_error(pair, tmp_path, monkeypatch):
    asked = {"samples": 1, "sampling": SHORT, "out": tmp_path}
    generate(pair, PROMPTS[:2], ["tuned", "tuned (plain)"], **asked)
    real = Job._render
    monkeypatch.setattr(Job, "_render", lambda *given: {name: (*ids, 9) for name, ids in real(*given).items()})
    generate(pair, PROMPTS[2:], ["tuned"], **asked)
    with pytest.raises(GenerationError, match=r"tuned.jsonl has outputs for other token ids of prompt 'b'"):
        generate(pair, PROMPTS[1:2], ["tuned"], **asked)
    monkeypatch.undo()
    assert generate(pair, PROMPTS[:2], ["tuned"], **asked)["tuned"].samples == 1
    rows = [json.loads(line) for line in (tmp_path / "tuned.jsonl").read_text().splitlines()]
    for row in rows:
        del row["rendered"]
    (tmp_path / "tuned.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert generate(pair, PROMPTS, ["tuned"], **asked)["tuned"].samples == 1


def test_other_settings_are_an_error(pair, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    before = (tmp_path / "tuned.jsonl").read_bytes()
    with pytest.raises(GenerationError, match=r"sampling\.seed was 1 and is now 2"):
        generate(pair, PROMPTS, ["tuned"], samples=1, sampling=Sampling(max_tokens=10, seed=2), out=tmp_path)
    with pytest.raises(GenerationError, match="format was 'chat' and is now 'plain'"):
        generate(pair, PROMPTS, {"tuned": "tuned (plain)"}, samples=1, sampling=SHORT, out=tmp_path)
    with pytest.raises(GenerationError, match="model"):
        generate(pair, PROMPTS, {"tuned": "2:4"}, samples=1, sampling=SHORT, out=tmp_path)
    with pytest.raises(GenerationError, match="another prompt 'a'"):
        generate(pair, [("a", "Pick a digit.")], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    other = ModelPair.load("organism:base", "organism:sft", device="cpu", dtype="float32")
    with pytest.raises(GenerationError, match="tuned was"):
        generate(other, PROMPTS, ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    assert (tmp_path / "tuned.jsonl").read_bytes() == before
    (tmp_path / "settings.json").unlink()
    with pytest.raises(GenerationError, match="does not say how it was made"):
        generate(pair, PROMPTS, ["tuned"], samples=1, sampling=SHORT, out=tmp_path)


def test_a_checkpoint_edited_in_the_middle_of_a_tensor_is_an_error(own_pair, tmp_path):
    folders = own_pair("llama_tied")
    asked = {"samples": 1, "sampling": Sampling(max_tokens=2), "format": "plain", "out": tmp_path / "out"}
    generate(ModelPair.load(*folders.folders, device="cpu"), PROMPTS[:1], ["base", "tuned"], **asked)
    edit_middle(folders.tuned)
    with pytest.raises(GenerationError, match="tuned was"):
        generate(ModelPair.load(*folders.folders, device="cpu"), PROMPTS[:2], ["tuned"], **asked)


def test_a_damaged_line_is_named(pair, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=2, sampling=SHORT, out=tmp_path)
    file = tmp_path / "tuned.jsonl"
    file.write_bytes(b"{broken\n" + file.read_bytes())
    with pytest.raises(ResultError, match=r"tuned.jsonl, line 1: not JSON"):
        generate(pair, PROMPTS[:1], ["tuned"], samples=2, sampling=SHORT, out=tmp_path)


def test_a_folder_that_cannot_be_written(pair, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path / "file")


def test_a_second_writer_is_refused_and_doubles_nothing(pair, whole, tmp_path, monkeypatch):
    asked = {"samples": 3, "sampling": SHORT, "out": tmp_path, "batch_tokens": 80}
    append = Journal.append

    def beside(self, rows):
        with pytest.raises(OutputError, match="in use by another process"):
            generate(pair, PROMPTS, ["2:4"], **asked)
        append(self, rows)

    monkeypatch.setattr(Journal, "append", beside)
    assert generate(pair, PROMPTS, ["tuned"], **asked)["tuned"].texts == whole["tuned"].texts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["settings.json", "tuned.jsonl"]
    assert (tmp_path / "tuned.jsonl").read_text().count("\n") == 9


def test_file_names():
    assert file_stem("tuned") == "tuned"
    stems = [
        file_stem(name) for name in ("base (plain)", "base_plain", "base [plain]", "Base_plain", "../x", "8:14", "")
    ]
    assert len({stem.lower() for stem in stems}) == len(stems)
    assert not any("/" in stem or stem.startswith(".") for stem in stems)
