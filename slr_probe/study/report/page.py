"""The page: what was found, put into the template."""

from __future__ import annotations

import itertools
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from slr_probe.files import write_text
from slr_probe.rank.compare import Choice, evidence
from slr_probe.show.format import typeset
from slr_probe.show.sentences import as_text, blocks_of, rivals, sentences
from slr_probe.study.folder import Findings
from slr_probe.study.report.figures import heat_maps, profile, trade_off
from slr_probe.study.report.generated import section, sentence
from slr_probe.study.report.samples import side_by_side
from slr_probe.study.report.tables import provenance, score_table
from slr_probe.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

    from slr_probe.rank.ranking import RangeRanking

_TEMPLATES = "templates"
_WHERE = {
    True: "Ranges are half-open and counted from 0. The choice was made on the selection prompts alone; what is "
    "claimed above is from the held-out prompts.",
    False: "There are no held-out prompts, so the scores of the chosen range are optimistic.",
}


def write_report(folder: str | os.PathLike[str], *, prompts: int = 2, samples: int = 4) -> Path:
    """Write `report.html` from what the stages of a study saved: one file that needs no other and no network.

    Args:
        folder: The study's folder.
        prompts: Prompts a task whose samples are shown side by side.
        samples: Samples a model and prompt that are shown.

    Returns:
        The file.

    Raises:
        StudyError: The folder holds no study.
    """
    found = Findings(folder)
    return write_text(found.report, render(found, prompts=prompts, samples=samples))


def render(found: Findings, *, prompts: int = 2, samples: int = 4) -> str:
    """The report as HTML; see `write_report`."""
    values = _general(found)
    choice = Choice(None, "the ranges were not ranked")
    if found.ranking is not None:
        choice = found.choice()
        values |= _ranges(found.ranking, choice)
    chosen = _named(choice)
    values |= {"profile": profile(found, chosen), "depth_words": _depth_words(found, chosen)}
    if found.validation is not None:
        values["validation"] = section(found.validation)
        values["samples"] = side_by_side(found, prompts, samples)
        values["samples_note"] = (
            f"The first {samples} samples of each model on prompts at equal distances, not chosen by hand; longer "
            "texts are cut and empty lines left out."
        )
    values["verdict"] = " ".join(verdict(found)) or values["verdict"]
    values["sections"] = _sections(values)
    environment = _environment()
    table = environment.get_template("table.html.j2").module.table  # type: ignore[attr-defined]
    return environment.get_template("report.html.j2").render(**values, table=table)


def verdict(found: Findings) -> list[str]:
    """The verdict in plain language, sentence by sentence; empty where the ranges were not ranked."""
    if found.ranking is None:
        return []
    said = sentences(found.ranking, found.choice())
    said += [sentence(found.validation)] if found.validation is not None else []
    return [line for line in said if line]


def _general(found: Findings) -> dict[str, Any]:
    run, pair = found.run, found.pair
    names = {role: _short(side["source"]) for role, side in run["pair"].items()}
    sources = {role: side["source"] for role, side in run["pair"].items()}
    dates = [record["started"] for record in run["stages"].values() if "started" in record]
    number = itertools.count(1)
    return {
        **names,
        "version": __version__,
        "css": _asset("report.css"),
        "js": _asset("report.js"),
        "headline": pair.get("headline", ""),
        "date": max(dates)[:10] if dates else "",
        "verdict": "The ranges were not ranked, so nothing can be said of what to restore.",
        "number": _Counter(number),
        "level": f"{run['settings']['common']['level']:.0%}",
        "notes": [*pair.get("notes", ()), *(found.ranking.notes if found.ranking is not None else ())],
        "provenance": provenance(run),
        "toml": found.settings,
        "again": f"slr-probe run {sources['base']} {sources['tuned']} --settings study.toml --out DIR",
    }


class _Counter:
    """Numbers of figures, for the template."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def next(self) -> int:
        """The next number."""
        return int(next(self.numbers))


def _ranges(ranking: RangeRanking, choice: Choice) -> dict[str, Any]:
    held = ranking.held_validity.shape[1]
    plain = ranking.settings.get("base_plain")
    chosen = _named(choice)
    clause = f"Blocks {chosen} of {ranking.depth}: {choice.why}." if chosen else f"None: {choice.why}."
    against = rivals(ranking, choice.layers) if choice.layers else ""
    return {
        "prompts": f"{ranking.validity.shape[1]} selection and {held} held-out prompts",
        "figures": _figures(ranking, choice),
        "why": " ".join(part for part in (clause, _WHERE[held > 0], against) if part),
        "scores": score_table(ranking, chosen),
        "maps": heat_maps(ranking, chosen),
        "tradeoff": trade_off(ranking, chosen),
        "selection": ranking.validity.shape[1],
        "floor": f"{ranking.floor:g}",
        "chosen": chosen,
        "base_plain": {name: f"{value:.3f}" for name, value in plain.items()} if plain else None,
    }  # fmt: skip


def _named(choice: Choice) -> str | None:
    return None if choice.layers is None else str(choice.layers)


def _figures(ranking: RangeRanking, choice: Choice) -> list[dict[str, str]]:
    if choice.layers is None:
        near = evidence(ranking, int(ranking.order[0]))
        return [
            {"name": "Range to restore", "value": "none", "note": choice.why},
            {"name": "Nearest", "value": str(ranking.best), "note": f"keeps {near.kept.value:.0%} of tuned’s validity"},
        ]
    row = ranking.index(choice.layers)
    found = evidence(ranking, row)
    where = "held out" if found.held_out else "selection prompts"
    before = found.diversity.value - found.gain.value
    change = as_text(found.gain, "+.2f")
    share = ranking.p_best[row]
    made = [
        {
            "name": "Range set back to base",
            "value": str(choice.layers),
            "note": f"{blocks_of(ranking.ranges[row])} of {ranking.depth}",
        },
        {
            "name": "Diversity",
            "value": f"{before:.2f} → {found.diversity.value:.2f}",
            "note": f"change {change}, {where}",
        },
        {
            "name": "Validity kept",
            "value": f"{found.kept.value:.0%}",
            "note": f"[{found.kept.low:.0%}, {found.kept.high:.0%}] of tuned, {where}",
        },
    ]
    if np.isfinite(share):
        made.append(
            {"name": "Stability of the choice", "value": f"{share:.0%}", "note": "of resamples choose this range"}
        )
    return made


def _depth_words(found: Findings, chosen: str | None) -> str:
    from slr_probe.layers import LayerRange

    inside = list(LayerRange(chosen)) if chosen else []
    said = []
    if found.delta is not None:
        change = found.delta.to_dataframe(by="block").set_index("block")["relative"]
        block = int(change.index[int(np.argmax(change.to_numpy()))])
        said.append((f"the weights changed most in block {block}", block))
    if found.lens is not None and {"base", "tuned"} <= set(found.lens.models):
        collapse = found.lens.collapse()
        at = int(np.nanargmax(collapse.estimate))
        clear = "" if collapse.low[at] > 0 else " (its interval holds zero, so a collapse is not shown)"
        said.append((f"entropy collapses most after block {at}{clear}", at))
    if not said:
        return "How the two models differ, block by block."
    words = [text + (f", {'inside' if at in inside else 'outside'} the chosen range" if chosen else "")
             for text, at in said]  # fmt: skip
    caution = "A place where two models differ is not yet a cause: patching tests that."
    return f"By these measures {'; '.join(words)}. {caution}"


def _sections(values: dict[str, Any]) -> list[tuple[str, str]]:
    known = [
        ("range", "Range", "scores"),
        ("maps", "All ranges", "maps"),
        ("tradeoff", "Trade-off", "tradeoff"),
        ("depth", "Over depth", "profile"),
        ("text", "Generated text", "validation"),
        ("samples", "Samples", "samples"),
    ]
    found = [(id, name) for id, name, key in known if values.get(key)]
    return [*found, ("provenance", "Provenance")]


def _short(source: str) -> str:
    """The telling part of a path, hub id or embedded name."""
    parts = [part for part in source.replace("organism:", "organism/").split("/") if part]
    plain = parts and parts[-1] in ("base", "tuned", "sft", "dpo")
    return "/".join(parts[-2:]) if plain else parts[-1] if parts else source


def _asset(name: str) -> Markup:
    return Markup(resources.files(__package__).joinpath(_TEMPLATES, name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment

    names = ("report.html.j2", "table.html.j2")
    environment = Environment(loader=DictLoader({name: str(_asset(name)) for name in names}), autoescape=True,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters["typeset"] = typeset
    return environment
