"""Every result has a text, a table for Jupyter and a figure, and no more is loaded for the text than it needs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from slr_probe import LayerRange, Recipe, compare, lineage_from_scores
from slr_probe.comparison import OutputComparison
from slr_probe.errors import SlrProbeError
from slr_probe.generation import Outputs
from slr_probe.lineage import Lineage
from slr_probe.probes.activations.result import ActivationComparison
from slr_probe.probes.lens.result import LayerTrace
from slr_probe.probes.mask.result import LayerMask
from slr_probe.probes.patching.result import PatchingResult
from slr_probe.probes.weights.result import WeightDelta
from slr_probe.rank import RangeRanking
from slr_probe.show import lens, mask, patching, validation, weights
from slr_probe.show.charts.style import ROLES
from slr_probe.sweep.result import SweepResult
from slr_probe.validation.result import ValidationReport
from tests.show.pairs import some_pairs

GOLDEN = Path(__file__).parents[1] / "golden" / "files"
RNG = np.random.default_rng(0)


def some_lineage() -> Lineage:
    import pandas as pd

    return lineage_from_scores(pd.DataFrame({"base": [0.8, 0.5], "sft": [0.4, 0.4], "rl/dpo": [0.2, 0.3]}, ["a", "b"]))


def some_sweep() -> SweepResult:
    recipes = tuple(Recipe.restore(layers, 3).to_dict() for layers in LayerRange.all(3))
    logs = np.log(RNG.dirichlet(np.ones(4), size=(len(recipes), 5)))[..., :3]
    nothing = np.zeros((len(recipes), 5, 1))
    return SweepResult(logs, np.full(5, 3), nothing.astype(int), nothing, recipes)


def some_mask() -> LayerMask:
    unit = {"block": np.repeat(np.arange(4), 2), "component": ("q", "zed") * 4, "changed": np.arange(8) != 3}
    learned = {"values": RNG.random((2, 8)), "loss": 2 + RNG.random((2, 30)), "seeds": (0, 1), "notes": ("a note",)}
    rest = {"base_loss": 2.9, "tuned_loss": 2.1, "depth": 4, "granularity": "matrix"}
    return LayerMask(size=np.full(8, 10), parameters=tuple((f"p{i}",) for i in range(8)), **unit, **learned, **rest)


def some_outputs() -> OutputComparison:
    ids, ended = tuple("abcd"), ((True, False),) * 4
    models = {"tuned": (("red", "red"),) * 4, "new": (("red", "blue"),) * 4, "half": (("red", "red"), ("a", "b")) * 2}
    return compare([Outputs(name, ids, ids, texts, ended) for name, texts in models.items()])


def some_comparison() -> ActivationComparison:
    rows = RNG.random((2, 4, 6))
    points, blocks = ("resid_post", "mlp_out"), np.arange(4)
    return ActivationComparison("base", "tuned", points, blocks, np.zeros(6, int), rows, rows, rows.mean(2))


RESULTS = {
    "weights": lambda: WeightDelta.load(GOLDEN / "delta" / "weight_delta.npz"),
    "lens": lambda: LayerTrace.load(GOLDEN / "lens" / "lens.npz"),
    "patching": lambda: PatchingResult.load(GOLDEN / "patching" / "patching.npz"),
    "pairs": some_pairs,
    "ranking": lambda: RangeRanking.load(GOLDEN / "rank" / "ranking.npz"),
    "validation": lambda: ValidationReport.load(GOLDEN / "validate" / "report.npz"),
    "activations": some_comparison,
    "comparison": some_outputs,
    "lineage": some_lineage,
    "mask": some_mask,
    "sweep": some_sweep,
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_shows_itself(name):
    result = RESULTS[name]()
    assert type(result).__name__ in repr(result)
    assert "nan" not in repr(result)
    assert str(result) == repr(result)
    assert "<table" in result._repr_html_()
    figure = result.plot()
    assert isinstance(figure, Figure)
    assert figure.axes


def colours_of(figure):
    return {to_hex(line.get_color()) for axis in figure.axes for line in axis.get_lines()}


@pytest.mark.parametrize("name", ["ranking", "validation", "lens"])
def test_a_palette_colours_roles_in_one_figure_alone(name):
    result = RESULTS[name]()
    own = colours_of(result.plot(palette={"tuned": "#123456"}))
    usual = colours_of(result.plot())
    assert "#123456" in own
    assert "#123456" not in usual
    assert ROLES["tuned"] in usual - own


@pytest.mark.parametrize("palette", ["tab10", 3, {"tuned": "no colour"}, {"chosen": "black"}])
def test_what_is_no_palette_is_one_error(palette):
    with pytest.raises(SlrProbeError, match="colours by role"):
        RESULTS["ranking"]().plot(palette=palette)


def test_what_is_not_drawn_is_said_below_the_panel(monkeypatch):
    report = RESULTS["validation"]()
    monkeypatch.setattr(validation, "_outside", lambda *_: [1])
    axis = report.plot(width="column").axes[0]
    below = axis.get_xlabel()
    assert "not drawn" in below
    assert report.models[1] in below
    assert not any("not drawn" in text.get_text() for text in axis.texts)


@pytest.mark.parametrize("name", RESULTS)
def test_every_figure_fits_a_column(name):
    figure = RESULTS[name]().plot(width="column", title="another title")
    assert figure.get_size_inches()[0] == pytest.approx(3.3)
    assert figure.get_suptitle() == "another title"


@pytest.mark.parametrize("view", [weights, lens, patching, mask])
def test_tables_for_the_terminal_have_a_cell_for_each_column(view):
    columns, rows = view.lines(RESULTS[view.__name__.rpartition(".")[2]]())
    assert rows
    assert all(len(row) == len(columns) for row in rows)
    assert all(isinstance(cell, str) for row in rows for cell in row)


def test_a_single_prompt_has_no_limits_to_print():
    trace = RESULTS["lens"]()
    fields = ("entropy", "kl_to_final", "js", "kl_base_tuned", "kl_tuned_base", "answer_logprobs", "answer_ranks")
    axis = {name: 2 if getattr(trace, name).ndim > 2 else 1 for name in fields}
    one = {name: getattr(trace, name).take([0], axis=axis[name]) for name in fields}
    rest = {"prompts": trace.prompts[:1], "answers": trace.answers[:1], "categories": trace.categories[:1]}
    single = replace(trace, **one, **rest)
    assert "nan" not in repr(single)
    assert "[" not in repr(single)
    assert not any("nan" in cell for row in lens.lines(single)[1] for cell in row)


def test_printing_a_result_loads_no_drawing_library():
    file = GOLDEN / "lens" / "lens.npz"
    script = (
        "import sys; from slr_probe.probes.lens.result import LayerTrace; "
        f"print(LayerTrace.load({str(file)!r})); print('matplotlib' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False"
