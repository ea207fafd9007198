"""Do cheap scores predict the text? Every proxy beside what the same recipes write, and what the choice brings.

    python analyses/proxy.py [BASE TUNED] [--recipes N] [--with-guards A:B] [--without-guards C:D] [--questions N]
        [--stories N] [--samples N] [--minutes M] [--results DIR] [--figures DIR] [--quick]

Writes proxy.{pdf,png,csv}: Spearman's correlation over recipes of every proxy with every outcome, intervals over
recipes and prompts; proxy_outcomes.csv: how reliable each outcome is, and the smallest difference that this size could
find; proxy_choice.csv: what the chosen ranges and a warmer tuned model write on prompts that no choice was made on.

With --minutes it stops in time, and the same command goes on; with --partial it compares what is there by then.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
from common import Analysis, main, span, write_table
from outcomes.association import associate, reliability, smallest_difference, split_half
from outcomes.figure import plot_proxies
from outcomes.proxies import PROXIES, Asked, measure_proxies
from outcomes.recipes import some_recipes
from outcomes.written import Sizes, Writer, fresh_tasks, outcomes, write_outputs

from slr_probe.comparison.outputs import compare_logs
from slr_probe.defaults import WARMER
from slr_probe.files import digest
from slr_probe.generation import Outputs
from slr_probe.generation.logs import Log
from slr_probe.judges import Embedder
from slr_probe.layers import LayerRange
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.scoring import Scorers
from slr_probe.stats.compare import holm
from slr_probe.tasks.text import TextTask


def options(parser: ArgumentParser) -> None:
    """What only this script takes."""
    parser.add_argument("--recipes", type=int, default=34, metavar="N", help="recipes that are compared (34)")
    for rule in ("with", "without"):
        text = f"range to restore {rule} guards, or none; default: what the study's ranking chooses"
        parser.add_argument(f"--{rule}-guards", metavar="A:B", help=text)
    sizes = {"questions": 24, "stories": 16, "samples": 8, "answer-tokens": 32, "story-tokens": 64}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"how many of them ({value})")
    parser.add_argument("--minutes", type=float, metavar="M", help="let no recipe begin to write later than that")
    parser.add_argument("--partial", action="store_true", help="compare what is there when the minutes are over")


def run(analysis: Analysis) -> None:
    """Let all recipes write, score them by every proxy, and compare."""
    args, pair = analysis.args, analysis.pair
    started = time.monotonic()
    chosen = choices(analysis)
    sizes = Sizes(args.questions, args.stories, args.samples, args.answer_tokens, args.story_tokens)
    folder = analysis.folder / "analyses" / f"proxy-{digest(asdict(sizes))[:8]}"
    recipes = some_recipes(pair.depth, args.recipes, chosen.values())
    writers = [Writer(str(recipe), recipe) for recipe in recipes]
    methods = methods_of(writers, chosen)
    tasks = fresh_tasks(pair, sizes)
    order = list(dict.fromkeys([*methods.values(), *writers]))
    until = started + 60 * args.minutes if args.minutes is not None else float("inf")
    written = write_outputs(pair, order, tasks, folder / "outputs", until, progress=False)
    missing = sum(one is None for outputs in written.values() for one in outputs)
    if missing and not args.partial:
        print(f"{missing} of {len(order) * len(tasks)} sets of outputs are missing; the same command goes on")
        return
    embedder = Embedder("all-MiniLM-L6-v2")
    place = {writer: number for number, writer in enumerate(order)}
    scored = outcomes(tasks, written, len(pair.tokenizer), embedder)
    rows = [place[writer] for writer in writers]
    measured = {label: values[rows] for label, values in scored.items()}
    proxies = measure_proxies(pair, recipes, Asked(), folder / "sweeps")
    reliable = outcome_table(measured)
    table = association_table(proxies, measured)
    logs = logs_of(methods, {family: dict(zip(order, found, strict=True)) for family, found in written.items()}, tasks)
    scorers = Scorers(len(pair.tokenizer), embedder)
    write_table(reliable, args.figures / "proxy_outcomes.csv")
    write_table(choice_table(logs, tasks, scorers), args.figures / "proxy_choice.csv")
    figure = plot_proxies(table, reliable.set_index("outcome")["reliability"])
    settings = f"{len(recipes)} recipes, {sizes.questions} questions and {sizes.stories} stories x {sizes.samples}, "
    settings += f"at most {sizes.answer_tokens} and {sizes.story_tokens} tokens, temperature 1, min-p 0.1"
    analysis.write("proxy", figure, table, shown(table), settings, height=3.9)


def choices(analysis: Analysis) -> dict[str, LayerRange]:
    """The ranges that the two rules choose, by label; a rule that chooses none has no entry."""
    found: dict[str, LayerRange] = {}
    for rule, named in (("with", analysis.args.with_guards), ("without", analysis.args.without_guards)):
        layers: Any = named
        if layers is None:
            ranking = analysis.study("rank").ranking
            assert ranking is not None
            layers = (ranking if rule == "with" else replace(ranking, guards=None)).choice.layers
        if layers is not None and layers != "none" and LayerRange(layers) not in found.values():
            found[f"{rule} guards {layers}"] = LayerRange(layers)
    return found


def methods_of(writers: Sequence[Writer], chosen: Mapping[str, LayerRange]) -> dict[str, Writer]:
    """What the choice is compared with, by label: tuned, the ranges, tuned warmer, and the ranges a little warmer."""
    methods = {"tuned": writers[0], **dict(zip(chosen, writers[1:], strict=False))}
    heats = {"tuned": WARMER, **dict.fromkeys(chosen, WARMER[:1])}
    for label, method in list(methods.items()):
        for heat in heats[label]:
            name = f"{chosen.get(label, label)} T={heat:g}"
            methods[f"{label} T={heat:g}"] = Writer(name, method.recipe, heat)
    return methods


def association_table(proxies: dict[str, Any], measured: dict[str, Any]) -> pd.DataFrame:
    """One row a proxy and outcome; p-values adjusted over all of them."""
    rows = []
    for name, label in PROXIES.items():
        for outcome, values in measured.items():
            found = associate(proxies[name], values)
            rho = found.spearman
            numbers = {"spearman": float(rho.estimate), "low": float(rho.low), "high": float(rho.high), "p": found.p}
            rows.append({"proxy": name, "label": label, "outcome": outcome, **numbers, "recipes": found.recipes})
    table = pd.DataFrame(rows)
    table.insert(7, "p_adjusted", holm(table["p"].to_numpy()))
    return table


def outcome_table(measured: dict[str, Any]) -> pd.DataFrame:
    """How far each outcome can be told apart between recipes at this size."""
    rows = []
    for outcome, values in measured.items():
        half = split_half(values)
        spread = {"lowest": float(pd.DataFrame(values).mean(axis=1).min())}
        spread["highest"] = float(pd.DataFrame(values).mean(axis=1).max())
        numbers = {"split_half": half, "reliability": reliability(half)}
        rows.append({"outcome": outcome, **numbers, "smallest_difference": smallest_difference(values), **spread})
    return pd.DataFrame(rows)


def logs_of(
    methods: Mapping[str, Writer], written: Mapping[str, Mapping[Writer, Outputs | None]], tasks: Mapping[str, TextTask]
) -> dict[str, list[Log]]:
    """What each method wrote on every task; methods that were not finished are left out."""
    found = {}
    for label, writer in methods.items():
        outputs = [written[family][writer] for family in tasks]
        logs = [Log(one, task.name) for one, task in zip(outputs, tasks.values(), strict=True) if one is not None]
        if len(logs) == len(tasks):
            found[label] = logs
    return found


def choice_table(logs: dict[str, list[Log]], tasks: dict[str, Any], scorers: Scorers) -> pd.DataFrame:
    """Every method against tuned, then against tuned at each higher temperature: all metrics, paired by prompt.

    Two methods are compared once, and a reference has a row of its own in the first comparison alone.
    """
    parts: list[pd.DataFrame] = []
    references = [label for label in logs if label.startswith("tuned")]
    for i, reference in enumerate(references):
        rest = {label: log for label, log in logs.items() if label not in references[: i + 1]}
        ordered = {reference: logs[reference], **rest}
        known = {task.name: task for task in tasks.values()}
        part = compare_logs(ordered, known, scorers, Folder(None)).to_dataframe()
        if parts:
            part = part[part["model"] != part["model"].iloc[0]]
        part.insert(2, "reference", reference)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def shown(table: pd.DataFrame) -> str:
    """For each outcome the proxy that orders recipes most like it, as text."""
    parts = []
    for outcome, rows in table.groupby("outcome", sort=False):
        if rows["spearman"].notna().any():
            best = rows.loc[rows["spearman"].abs().idxmax()]
            parts.append(f"{outcome} by {best['label']} {span(best['spearman'], best['low'], best['high'], '+.2f')}")
    return f"Strongest association (Spearman) of each outcome: {'; '.join(parts)}."


if __name__ == "__main__":
    main(__doc__, run, options)
