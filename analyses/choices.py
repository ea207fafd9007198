"""What the choice brings in text: the ranges chosen with and without guards, beside tuned at two temperatures.

    python analyses/choices.py [BASE TUNED] [--questions N] [--stories N] [--samples N] [--results DIR] [--figures DIR]

Ranks all ranges by the guards and by the paper's rule, and lets both choices write on prompts that no choice was made
on, beside tuned at temperature 1 and at the temperatures at which tuned is as valid as they are.

Writes choices.{pdf,png,csv}: differences in text, paired by prompt; choices_rules.csv: what each rule chooses and its
scores. After a kill the same command goes on.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import pandas as pd
from common import Analysis, main, span, write_table
from outcomes.choices import compare_text, plot_choices, rule_table
from outcomes.written import Sizes, fresh_tasks

from slr_probe import rank_layers
from slr_probe.files import digest
from slr_probe.judges import Embedder
from slr_probe.rank import RangeRanking
from slr_probe.study.context import Context
from slr_probe.study.stages.prompts import choose
from slr_probe.study.stages.ranking import measured_by
from slr_probe.validation import validate

SIZES = {"questions": 55, "stories": 30, "samples": 8, "answer-tokens": 24, "story-tokens": 48}


def options(parser: ArgumentParser) -> None:
    """What only this script takes."""
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"how many of them ({value})")


def run(analysis: Analysis) -> None:
    """Choose by both rules, let the choices and tuned write, and compare."""
    args, pair = analysis.args, analysis.pair
    rankings = both_rules(analysis)
    rules = rule_table(rankings)
    write_table(rules, args.figures / "choices_rules.csv")
    chosen = rules[rules["layers"] != ""].drop_duplicates("layers").set_index("layers")
    if chosen.empty:
        print("neither rule chooses a range: nothing to write with")
        return
    sizes = Sizes(args.questions, args.stories, args.samples, args.answer_tokens, args.story_tokens)
    tasks = fresh_tasks(pair, sizes, share=1.0)
    warm = {layers: round(float(heat), 2) for layers, heat in chosen["temperature"].items() if heat == heat}
    heats = sorted({heat for heat in warm.values() if heat != 1})
    key = digest({"sizes": vars(sizes), "layers": list(chosen.index), "heats": heats})[:8]
    report = validate(
        pair,
        {f"{row.rule} {row.Index}": row.Index for row in chosen.itertuples()},
        list(tasks.values()),
        baselines=("temperature",) if heats else (),
        temperatures=heats,
        embedder=Embedder("all-MiniLM-L6-v2"),
        crc=False,
        out=analysis.folder / "analyses" / f"choices-{key}",
    )
    pairs = {f"{chosen.loc[layers, 'rule']} {layers}": f"tuned T={heat:g}" for layers, heat in warm.items()}
    table = compare_text(report, dict(zip(tasks, report.tasks, strict=True)), pairs)
    settings = (
        f"{len(tasks['qa'].items)} questions and {len(tasks['writing'].items)} writing prompts x {args.samples}, "
    )
    settings += f"at most {args.answer_tokens} and {args.story_tokens} tokens, temperature 1 unless named, min-p 0.1"
    analysis.write("choices", plot_choices(table), table, shown(table), settings, height=4.6)


def both_rules(analysis: Analysis) -> dict[str, RangeRanking]:
    """The study's ranking, and one without guards under the same settings."""
    guarded = analysis.study("rank").ranking
    assert guarded is not None
    settings, common = analysis.settings.rank, analysis.settings.common
    context = Context(analysis.args.base, analysis.args.tuned, analysis.folder, analysis.settings)

    def rank() -> RangeRanking:
        return rank_layers(
            analysis.pair,
            choose(context, settings.prompts),
            guards=None,
            out=analysis.folder / "analyses" / "no-guards",
            **measured_by(context),
        )

    asked = {"rank": vars(settings), "common": vars(common)}
    return {"with guards": guarded, "without guards": analysis.kept("no-guards", RangeRanking, asked, rank)}


def shown(table: pd.DataFrame) -> str:
    """What is confirmed of the choices on the outcomes that were fixed before, as text."""
    first = table[table["family"] == "choices"]
    sure = first[first["state"].isin(["more", "less"])]
    said = [_difference(row) for row in sure.itertuples()] or ["nothing"]
    return f"Of {len(first)} comparisons of the choices with tuned, confirmed: {'; '.join(said)}."


def _difference(row: Any) -> str:
    numbers = span(row.difference, row.low, row.high, "+.2f")
    return f"{row.outcome}, {row.model} beside {row.reference} {numbers}, adjusted p {row.p_adjusted:.3f}"


if __name__ == "__main__":
    main(__doc__, run, options)
