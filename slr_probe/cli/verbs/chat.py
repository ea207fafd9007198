"""`slr-probe chat`: tuned and hybrids answer the same message side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import SAMPLING, Base, Loading, Tuned, grouped, like, revisions
from slr_probe.cli.output import print_beside, silence
from slr_probe.defaults import MIN_P
from slr_probe.errors import PromptError, SlrProbeError

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.pair import ModelPair

_PROMPT = "> "


@app.command()
@revisions
@grouped
def chat(
    base: Base,
    tuned: Tuned,
    layers: Annotated[
        list[str],
        typer.Option(
            "--layers",
            "-l",
            help="Hybrid to talk to: START:STOP, soup:SHARE, a recipe file or the folder of a hybrid; repeatable.",
            show_default=False,
        ),
    ],
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="One message; else they are read from standard input.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", "-k", help="Answers of each model.")] = 3,
    max_tokens: Annotated[int, like(SAMPLING, "max_tokens")] = 128,
    temperature: Annotated[float, like(SAMPLING, "temperature")] = 1.0,
    min_p: Annotated[float, like(SAMPLING, "min_p")] = MIN_P,
    top_p: Annotated[float, like(SAMPLING, "top_p")] = 1.0,
    seed: Annotated[int, like(SAMPLING, "seed")] = 0,
    *,
    loading: Loading,
) -> None:
    """Talk to tuned and its hybrids: all answer the same message, side by side, several times each.

    An answer that ends by itself is marked [end], one that ran into the limit of tokens [cut]. Every message begins a
    conversation of its own. Piped, each line is a message. Hybrids are built in memory; nothing is written.

    Example: slr-probe chat organism:base organism:dpo --layers 0:8 --message "Name something in a kitchen."
    """
    from slr_probe.generation import Sampling
    from slr_probe.restoration.named import label, named_recipe

    sampling = Sampling(temperature=temperature, min_p=min_p, top_p=top_p, max_tokens=max_tokens, seed=seed)
    silence()
    pair = loading.pair(base, tuned)
    sides = pair.base_side, pair.tuned_side
    models: dict[str, Any] = {"tuned": "tuned", **{label(one): named_recipe(one, *sides) for one in layers}}
    for turn, text in enumerate(messages(message)):
        if message is not None or not sys.stdin.isatty():
            print(f"{_PROMPT}{text}")
        try:
            _answer(pair, models, str(turn), text, samples, sampling)
        except SlrProbeError as error:
            if message is not None or not sys.stdin.isatty():
                raise
            print(f"error: {error}", file=sys.stderr)  # in a conversation the next message may be better


def messages(message: str | None) -> Iterator[str]:
    """The one message that was given; else every line of standard input that holds words.

    Raises:
        PromptError: There is none, or a line is not UTF-8.
    """
    lines = iter([message]) if message is not None else _typed() if sys.stdin.isatty() else iter(sys.stdin)
    found = False
    try:
        for line in lines:
            if line.strip():
                found = True
                yield line.strip()
    except UnicodeDecodeError as fault:
        raise PromptError(f"a line on standard input is not UTF-8: {fault.reason}") from fault
    if not found:
        raise PromptError("no message; give one with --message, or lines on standard input")


def _typed() -> Iterator[str]:
    """Lines as they are typed, until the end of input (Ctrl-D)."""
    with suppress(ImportError):
        import readline  # noqa: F401  (the line can be edited, and earlier ones come back)
    with suppress(EOFError):
        while True:
            yield input(_PROMPT)


def _answer(pair: ModelPair, models: dict[str, Any], turn: str, text: str, samples: int, sampling: Sampling) -> None:
    """Let every model answer and print the answers beside each other."""
    from slr_probe.generation import generate
    from slr_probe.show.words.samples import in_cells, tally

    outputs = generate(pair, [(turn, text)], models, samples=samples, sampling=sampling, progress=False)
    texts = [one.texts[0] for one in outputs.values()]
    ended = [one.finished[0] for one in outputs.values()]
    answers = [in_cells(*one) for one in zip(texts, ended, strict=True)]
    numbers = [tally(*one) for one in zip(texts, ended, strict=True)]
    print_beside(list(outputs), [*zip(*answers, strict=True), tuple(numbers)])
