"""Our tasks run by Inspect on the embedded pair, and read back; needs Inspect installed."""

from pathlib import Path

import numpy as np
import pytest

from slr_probe import CRCTask, organism
from slr_probe.comparison import compare

inspect_ai = pytest.importorskip("inspect_ai")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from slr_probe.comparison.inspect_tasks import crc

    folder, found = tmp_path_factory.mktemp("logs"), {}
    for stage in ("dpo", "sft"):
        (log,) = inspect_ai.eval(
            crc(samples=4, prompts=3),
            model="hf/local",
            model_args={"model_path": str(organism.path(stage)), "device": "cpu"},
            log_dir=str(folder / stage),
            log_format="json",
            display="none",
        )
        assert log.status == "success", log.error
        found[stage] = Path(log.location.removeprefix("file://"))
    return found


def test_replies_are_read_back_and_scored(logs: dict[str, Path]) -> None:
    found = compare(logs)
    assert found.models == ("dpo", "sft")
    assert found.samples == (4,)
    prompts = {item.prompt for item in CRCTask.default().held_out.items}
    assert {example.prompt for example in found.examples} <= prompts
    accuracy = found.values[0, :, next(i for i, name in enumerate(found.metrics) if name.startswith("score:"))]
    assert np.isfinite(accuracy).all()
    assert "score: accepted" in found.metrics
    assert "ended" not in found.metrics  # its provider for local models does not say why a reply ended
    assert accuracy.max() > 0  # the embedded pair answers such questions
