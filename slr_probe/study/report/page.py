"""The page: what was found, put into the template."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from slr_probe.files import write_text
from slr_probe.rank.compare import Choice
from slr_probe.show.words.format import model_name, typeset
from slr_probe.show.words.plain import advice, brings_and_costs, doubt
from slr_probe.show.words.sentences import sentences
from slr_probe.show.words.validation import in_text
from slr_probe.study.folder import Findings
from slr_probe.study.report import depth, free, generated, ranges
from slr_probe.study.report.samples import side_by_side
from slr_probe.study.report.tables import provenance
from slr_probe.study.report.terms import terms
from slr_probe.study.report.truth import truth
from slr_probe.study.report.unmeasured import unmeasured
from slr_probe.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = ("report.html.j2", "table.html.j2")
_NOT_RANKED = "The ranges were not ranked, so nothing can be said of what to restore."
_SECTIONS = {
    "samples": ("Samples", "samples"),
    "range": ("Range", "scores"),
    "maps": ("All ranges", "maps"),
    "tradeoff": ("Trade-off", "tradeoff"),
    "free": ("From the same table", "free"),
    "depth": ("Over depth", "profile"),
    "text": ("Generated text", "validation"),
    "terms": ("Terms", "terms"),
    "provenance": ("Provenance", "provenance"),
}
"""Title of each section by its id, and the value without which it is left out."""


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
    choice = found.choice() if found.ranking is not None else Choice(None, "the ranges were not ranked")
    values = {**_general(found), **depth.section(found, choice.layers)}
    if found.ranking is not None:
        values |= ranges.section(found.ranking, choice) | free.section(found.ranking)
        values["asked"] = ranges.asked(found.examples)
    if found.validation is not None:
        values |= {"validation": generated.section(found.validation), "samples": side_by_side(found, prompts, samples)}
        values["samples_shown"] = samples
    values["sections"] = [(id, title) for id, (title, needed) in _SECTIONS.items() if values.get(needed)]
    environment = _environment()
    table = environment.get_template("table.html.j2").module.table  # type: ignore[attr-defined]
    return environment.get_template("report.html.j2").render(**values, table=table)


def plain_verdict(found: Findings, *, steady: bool = True) -> list[str]:
    """What to restore or why not, and what that brings and costs in generated text, for a newcomer.

    Args:
        found: The study.
        steady: Say with the choice how stable it is, where it is not.
    """
    if found.ranking is None:
        return [_NOT_RANKED]
    choice = found.choice()
    said = [advice(found.ranking, choice, steady=steady)]
    if choice.layers is not None and found.validation is not None:
        said.append(brings_and_costs(found.validation))
    return [line for line in said if line]


def verdict(found: Findings) -> list[str]:
    """The verdict in plain language, sentence by sentence; empty where the ranges were not ranked."""
    if found.ranking is None:
        return []
    said = sentences(found.ranking, found.choice())
    said += [in_text(found.validation)] if found.validation is not None else []
    return [line for line in said if line]


def _general(found: Findings) -> dict[str, Any]:
    """What every report has, whatever was measured."""
    run, pair = found.run, found.pair
    sources = {role: side["source"] for role, side in run["pair"].items()}
    names = {role: model_name(source.replace("organism:", "organism/")) for role, source in sources.items()}
    dates = [record["started"] for record in run["stages"].values() if "started" in record]
    return {
        **names,
        "version": __version__,
        "css": _asset("report.css"),
        "js": _asset("report.js"),
        "headline": pair.get("headline", ""),
        "date": max(dates)[:10] if dates else "",
        "plain": plain_verdict(found, steady=False),
        "doubt": doubt(found.ranking, found.choice()) if found.ranking is not None else "",
        "truth": truth(found),
        "verdict": " ".join(verdict(found)),
        "unmeasured": ", ".join(unmeasured(found)),
        "terms": terms(found),
        "number": count(1),
        "level": f"{run['settings']['common']['level']:.0%}",
        "notes": [*pair.get("notes", ()), *(found.ranking.notes if found.ranking is not None else ())],
        "provenance": provenance(run),
        "toml": found.settings,
        "again": f"slr-probe run {sources['base']} {sources['tuned']} --settings study.toml --out DIR",
    }


def _asset(name: str) -> Markup:
    return Markup(resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment

    templates = DictLoader({name: str(_asset(name)) for name in _TEMPLATES})
    environment = Environment(loader=templates, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"typeset": typeset, "next": next}
    return environment
