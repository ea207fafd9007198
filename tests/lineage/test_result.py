import json

import numpy as np
import pandas as pd
import pytest

from slr_probe.errors import LineageError
from slr_probe.lineage import Lineage, lineage_from_outputs
from slr_probe.tasks.text import Item, TextTask
from tests.lineage.stages import STAGES


def test_decomposition_by_stage():
    items = tuple(Item(f"p{i}", "Name one.", answers=(("red",), ("blue",)), check="list") for i in range(6))
    task = TextTask("qa", "qa", items, 8, 8, "test")
    found = lineage_from_outputs(STAGES, task, vocabulary=1000)
    parts = found.decomposition("qa").to_dataframe().set_index("model")
    assert list(parts.index) == ["base", "sft", "dpo"]
    np.testing.assert_allclose(parts["loss"], parts["residual_loss"] + parts["quality_control_loss"], atol=1e-12)
    with pytest.raises(LineageError, match="among correct outputs"):
        lineage_from_outputs(STAGES, vocabulary=1000).decomposition("outputs")


def test_round_trip_tables_and_figure(tmp_path):
    found = lineage_from_outputs(STAGES, vocabulary=1000)
    path = found.save(tmp_path / "lineage.npz")
    read = Lineage.load(path)
    assert repr(read) == repr(found)
    assert read.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()
    pd.testing.assert_frame_equal(read.to_dataframe(), found.to_dataframe())
    assert json.loads(json.dumps(found.to_dict()))["stages"] == ["base", "sft", "dpo"]
    table = found.to_dataframe().set_index(["metric", "task", "stage"])
    row = table.loc[("ead", "outputs", "dpo")]
    assert row["previous"] == "sft"
    assert row["stage_loss_low"] <= row["stage_loss"] <= row["stage_loss_high"]
    figure = found.plot()
    assert figure.axes[0].get_ylabel() == "EAD\nretained, % of base"
    drawn = {round(float(y), 6) for line in figure.axes[0].lines for y in line.get_ydata()}
    assert {round(float(value), 6) for value in found.retained.loc["outputs"]} <= drawn
    assert "<table" in found._repr_html_()
