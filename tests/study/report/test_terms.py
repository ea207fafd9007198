"""Every term of art has its explanation, and only what was measured is explained."""

import re
from dataclasses import replace

import pytest

from slr_probe.scoring.metrics import METRICS as ALL
from slr_probe.scoring.metrics import SPREAD, primary_metrics
from slr_probe.study.folder import Findings
from slr_probe.study.report.terms import METRICS, glossary, terms
from slr_probe.study.report.unmeasured import unmeasured
from slr_probe.tasks.builtin import qa_task, reasoning_task, writing_task


@pytest.fixture
def found(done):
    return Findings(done)


def test_every_measure_that_a_verdict_may_be_about_is_explained():
    tasks = (qa_task("organism"), writing_task("organism"), reasoning_task(size="organism"))
    choices = [ALL.keys() - set(SPREAD[:i]) for i in range(len(SPREAD))]  # without an encoder, and so on
    choices += [names - {"judge"} for names in choices]
    possible = {name for task in tasks for names in choices for name in primary_metrics(task, names)}
    assert possible == set(METRICS)


def test_terms_in_the_page_are_those_of_what_was_measured(found):
    said = terms(found)
    for measured in found.validation.primary[0]:
        assert METRICS[measured][0] in said
    assert {"Validity", "Soup", "Logit lens", "Interval"} <= set(said)
    page = re.sub(r"<svg.*?</svg>", "", found.report.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert all(f"<dt>{term}</dt>" in page for term in said)
    assert set(terms(unfinished(found.folder))) == {"Base and tuned", "Block"}


def unfinished(folder):
    """A study of which nothing is done."""
    found = Findings(folder)
    found.run["stages"] = {}
    return found


def test_what_was_not_measured_is_named(found):
    assert "generated text" not in unmeasured(found)
    ranking = found.ranking
    none = {name: getattr(ranking, name)[:, :0] for name in ("held_validity", "held_diversity")}
    found.ranking = replace(ranking, **none)
    assert "prompts held out from the choice" in unmeasured(found)
    assert unmeasured(unfinished(found.folder)) == [
        "the ranges",
        "generated text",
        "the change of weights",
        "entropy over depth",
        "activation patching",
    ]


def test_the_glossary_holds_every_term_of_a_page_and_those_of_rivals(found):
    said = glossary()
    assert terms(found).items() <= said.items()
    assert {"Calibration error (ECE)", "Routing", "Guards"} <= set(said)
    rivals = replace(found.validation, kinds=(*found.validation.kinds[:-1], "routing"))
    found.validation = rivals
    assert "Routing" in terms(found)
    assert "String seed of thought" not in terms(found)
