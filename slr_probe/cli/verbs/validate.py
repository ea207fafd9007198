"""`slr-probe validate`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.cost import foretold
from slr_probe.cli.options import (
    SAMPLING,
    VALIDATE,
    Base,
    JsonFile,
    Loading,
    Tuned,
    grouped,
    like,
    revisions,
    takes,
)
from slr_probe.cli.output import check_run, write_data
from slr_probe.cli.verbs.text import (
    FLAGS,
    OPTIONS,
    Quick,
    Scoring,
    Tasks,
    task_list,
)
from slr_probe.defaults import MIN_P


@app.command()
@revisions
@takes(VALIDATE, OPTIONS, **FLAGS)
@grouped
def validate(
    base: Base,
    tuned: Tuned,
    layers: Annotated[
        list[str],
        typer.Option(
            "--layers",
            "-l",
            help="Hybrid to validate: START:STOP, soup:SHARE, a recipe file or the folder of a hybrid; repeatable.",
            show_default=False,
        ),
    ],
    tasks: Tasks = None,
    quick: Quick = False,
    temperature: Annotated[float, like(SAMPLING, "temperature")] = 1.0,
    min_p: Annotated[float, like(SAMPLING, "min_p")] = MIN_P,
    top_p: Annotated[float, like(SAMPLING, "top_p")] = 1.0,
    baselines: Annotated[str | None, like(VALIDATE, "baselines", after="With commas between them.")] = None,
    *,
    scoring: Scoring,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, report, figure.")] = None,
    json_file: JsonFile = None,
    loading: Loading,
    **options: Any,
) -> None:
    """Generate with tuned, the hybrid and fair baselines; compare diversity and quality with intervals.

    Prints a table a task and a sentence of what the numbers support. With --out, outputs are kept as they come: the
    same command goes on after a kill, and nothing is generated or scored twice.

    Example: slr-probe validate organism:base organism:dpo --layers 3:9 --quick --out validation
    """
    check_run(out, json_file)
    from slr_probe.executor import opened
    from slr_probe.generation import Sampling
    from slr_probe.pair.travel import by_worker
    from slr_probe.restoration.named import named_recipe
    from slr_probe.validation import validate as compare
    from slr_probe.validation.cost import estimated, validation_cost

    pair = loading.pair(base, tuned)
    recipes = [named_recipe(one, pair.base_side, pair.tuned_side) for one in layers]
    asked = {
        "preset": "quick" if quick else "full",
        "sampling": Sampling(temperature=temperature, min_p=min_p, top_p=top_p, seed=options["seed"]),
        "baselines": None if baselines is None else [name.strip() for name in baselines.split(",")],
        **options,
        **scoring.options(base, download=loading.download),
    }
    wanted, quicker = task_list(tasks), "" if quick else "--quick"
    estimate = partial(validation_cost, recipes=recipes, tasks=wanted, **estimated(asked))
    with opened(asked.pop("executor")) as executor:
        with foretold(lambda: by_worker(executor, estimate, pair), "validate", quicker=quicker):
            found = compare(pair, recipes, wanted, out=out, executor=executor, **asked)
    write_data(found.to_dict(), json_file)
    print(found)
    for note in found.notes:
        print(f"note: {note}")
    if out is not None:
        print(f"wrote {out / 'report.npz'}, report.json, table.csv, validation.pdf, validation.png")
