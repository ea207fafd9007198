"""`slr-probe rank`: which range to restore."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.cost import foretold
from slr_probe.cli.options import (
    GUARDS,
    RANK,
    Base,
    JsonFile,
    Loading,
    Tuned,
    grouped,
    like,
    revisions,
    takes,
)
from slr_probe.cli.output import check_places, print_table, write_data, write_result
from slr_probe.defaults import ENDING, QUICK_PROMPTS, QUICK_SOUPS, SURPRISE
from slr_probe.errors import RankingError
from slr_probe.signature import parameters, plain

if TYPE_CHECKING:
    from slr_probe.rank import RangeRanking

QUICK_HELP = f"A first look: {QUICK_PROMPTS} prompts of each kind (20 + 20 of the built-in), {QUICK_SOUPS} soups."
_GUARDED = (
    "Exclude ranges that fit badly to replies which tuned wrote, by --ending and --surprise; where replies can be "
    "sampled, so not from a pair that is streamed. --no-guards is the paper's rule."
)
_SURPRISED = plain(parameters(GUARDS)["surprise"].help).replace("None", "none")
_TAKEN = "method floor objective scorer proposals soups candidates ended temperature min_p memory stream executor seed"


@app.command()
@revisions
@takes(RANK, _TAKEN)
@grouped
def rank(
    base: Base,
    tuned: Tuned,
    task: Annotated[
        Path | None, typer.Option(help="Prompts of your own (JSON or JSONL) instead of the built-in ones.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help=QUICK_HELP)] = False,
    top: Annotated[int, typer.Option(min=1, help="How many ranges to print.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for result, figure and restart.")] = None,
    json_file: JsonFile = None,
    *,
    loading: Loading,
    guards: Annotated[bool, typer.Option("--guards/--no-guards", help=_GUARDED)] = True,
    ending: Annotated[tuple[float, float], like(GUARDS, "ending")] = ENDING,
    surprise: Annotated[str, typer.Option(help=_SURPRISED)] = str(SURPRISE),
    **options: Any,
) -> None:
    """Propose the range of blocks to restore: most diversity among those that keep enough validity.

    Example: slr-probe rank organism:base organism:dpo
    """
    check_places(out, json_file, "ranking")
    from slr_probe.executor import opened
    from slr_probe.pair.travel import by_worker
    from slr_probe.rank import Guards, rank_layers
    from slr_probe.rank.cost import ranking_cost
    from slr_probe.show import ranking as shown
    from slr_probe.tasks import CRCTask

    options["guards"] = Guards(ending=ending, surprise=_bound(surprise)) if guards else None
    pair = loading.pair(base, tuned)
    sweeps = None if out is None else out / "sweeps"
    asked: Any = CRCTask.load(task) if task else CRCTask.default()
    if quick:
        asked, options["soups"] = asked.thinned(QUICK_PROMPTS), min(options["soups"], QUICK_SOUPS)
    cost = {name: value for name, value in options.items() if name in parameters("rank.cost:ranking_cost")}
    estimate, quicker = partial(ranking_cost, task=asked, **cost), "" if quick else "--quick"
    with opened(options.pop("executor")) as executor:
        with foretold(lambda: by_worker(executor, estimate, pair), "rank", quicker=quicker):
            found = rank_layers(pair, asked, out=sweeps, executor=executor, **options)
    write_data(found.to_dict(), json_file)
    written = write_result(found, out, "ranking")
    print(found)
    print_table(*shown.lines(found, top))
    if "matmul_share" in found.settings:
        print(f"the sweeps ran at {found.settings['matmul_share']:.2f} of this device's rate of matrix products")
    _print_advice(found, base, tuned)
    print(written, end="")


def _bound(text: str) -> float | None:
    """A bound as it was typed, or none of it."""
    try:
        return None if text.lower() == "none" else float(text)
    except ValueError:
        raise RankingError(f"--surprise is a share of tuned's of at least 1, or none; got {text!r}") from None


def _print_advice(ranking: RangeRanking, base: str, tuned: str) -> None:
    """What `run` says of the ranking, and the command that restores what was chosen, if anything was."""
    from textwrap import fill

    from slr_probe.show.words.plain import advice
    from slr_probe.show.words.unmeasured import not_measured, of_ranking

    choice = ranking.choice
    lines = [advice(ranking, choice), *not_measured([*of_ranking(ranking), "generated text (slr-probe validate)"])]
    print("", *(fill(line, 100, break_on_hyphens=False) for line in lines), "", sep="\n")
    if choice.layers is not None:
        doubt = "to restore it" if choice.confirmed else "to try it all the same"
        print(f"{doubt}:  slr-probe restore {base} {tuned} --layers {choice.layers} --out hybrid")
