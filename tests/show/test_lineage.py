from slr_probe.lineage import lineage_from_outputs
from tests.lineage.test_scores import STAGES


def test_a_dollar_in_the_name_of_a_stage_is_no_formula():
    (base, one), *rest = STAGES
    stages = [(base, one), *((f"{name}$x^$", outputs) for name, outputs in rest)]
    figure = lineage_from_outputs(stages, vocabulary=1000).plot()
    figure.canvas.draw()
    labels = [label.get_text() for axis in figure.axes for label in axis.get_xticklabels()]
    assert f"{rest[0][0]}\\$x^\\$" in labels
