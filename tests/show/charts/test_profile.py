from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from slr_probe.layers import LayerRange
from slr_probe.show.charts.marks import marks
from slr_probe.show.charts.profile import plot_profile
from slr_probe.study.folder import Findings


@pytest.fixture(scope="module")
def found(done):
    return Findings(done)


def test_a_panel_for_each_measure_on_one_depth_axis(found):
    figure = plot_profile(delta=found.delta, lens=found.lens, patching=found.patching, layers="0:2")
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert len(titles) == 1 + 2 + len(found.patching.directions)
    assert titles[0].startswith("Weight change")
    assert {axis.get_xlim() for axis in figure.axes} == {(-0.5, found.delta.depth - 0.5)}
    for axis in figure.axes:
        shade = next(p for p in axis.patches if isinstance(p, Rectangle) and p.get_gid() is None)
        assert (shade.get_x(), shade.get_width()) == (-0.5, 2.0)


def test_marks_say_the_values_of_every_block(found):
    lens = _of_more_prompts(found.lens)
    said = marks(plot_profile(delta=found.delta, lens=lens))
    assert len(said) == 3 * found.delta.depth
    change = found.delta.to_dataframe(by="group").set_index(["group", "block"])["relative"]
    entropy = lens.interval("entropy", "tuned")
    for block in range(found.delta.depth):
        words = said[f"weights-{block}:{block + 1}"]
        assert words.startswith(f"block {block}\n")
        assert f"mlp {change['mlp', block]:.3g}" in words
        limits = f"[{entropy.low[block]:.3g}, {entropy.high[block]:.3g}]"
        assert f"tuned {entropy.estimate[block]:.3g} {limits}" in said[f"entropy-{block}:{block + 1}"]


def _of_more_prompts(lens):
    """The trace of each prompt three times, so that there are enough for an interval."""
    three = {name: np.repeat(getattr(lens, name), 3, axis=-1) for name in ("entropy", "kl_to_final", "js")}
    return replace(lens, prompts=lens.prompts * 3, categories=lens.categories * 3, **three)


def test_too_few_prompts_for_an_interval_say_the_value_alone(found):
    said = marks(plot_profile(lens=found.lens))
    entropy = found.lens.interval("entropy", "tuned").estimate
    assert len(found.lens.prompts) < 5
    for block, value in enumerate(entropy):
        assert f"tuned {value:.3g}" in said[f"entropy-{block}:{block + 1}"].splitlines()


def test_windows_of_several_blocks_have_their_marks(found):
    windows = tuple(str(LayerRange(int(w.split(":")[0]), int(w.split(":")[0]) + 2)) for w in found.patching.windows)
    said = marks(plot_profile(patching=replace(found.patching, windows=windows)))
    assert said["base-into-tuned-3:5"].startswith("blocks 3:5\n")


def test_values_that_are_missing_are_not_said(found):
    entropy = found.lens.entropy.copy()
    entropy[found.lens.models.index("base"), 4] = np.nan
    said = marks(plot_profile(lens=replace(found.lens, entropy=entropy)))
    assert "base" not in said["entropy-4:5"]
    assert "tuned" in said["entropy-4:5"]
    assert "collapse-4:5" not in said


def test_nothing_to_show_is_refused():
    with pytest.raises(ValueError, match="needs at least one of"):
        plot_profile(lens=None)


def test_names_at_the_right_end_do_not_overlap(found):
    figure = plot_profile(delta=found.delta, lens=found.lens)
    for axis in figure.axes:
        places = sorted(text.get_position()[1] for text in axis.texts)
        assert np.isfinite(places).all()
        assert (np.diff(places) > 0.19).all()
        assert max(places) < 0.91
