"""What README says that the demo finds and writes, against the demo's own settings."""

from pathlib import Path

import pytest

from slr_probe import ModelPair, rank_layers, validate
from slr_probe.study.settings import PRESETS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:local", dtype=PRESETS["local"]["common"]["dtype"])


def test_readme_names_the_range_that_the_demo_finds(pair):
    """In float32 rounding does not choose among ranges that differ by 0.0001 in diversity, as it does in bfloat16."""
    found = rank_layers(pair, guards=None, soups=0).choice.layers
    assert f"found: {found} (" in README


def test_readme_shows_what_the_demo_writes(pair, tmp_path):
    asked = PRESETS["local"]["validate"]
    sizes = {name: asked[name] for name in ("prompts", "samples")}
    validate(pair, "4:9", "qa", baselines="none", crc=False, out=tmp_path, **sizes)
    rows = [line.strip("| ").split(" | ") for line in README.splitlines() if line.startswith("| What ")]
    rows = [row for row in rows if len(row) == 3]
    assert len(rows) == 2
    for prompt, tuned, hybrid in rows:
        assert _first_six(tmp_path, "tuned", prompt) == [tuned.removesuffix(" (six times)")] * 6
        assert " ".join(_first_six(tmp_path, "hybrid 4:9", prompt)) == hybrid


def _first_six(folder: Path, model: str, prompt: str) -> list[str]:
    import json

    texts = {}
    for path in folder.glob("outputs/*/*/*.jsonl"):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            if row.get("model") == model and row["prompt"] == prompt:
                texts[row["sample"]] = row["text"].strip()
    return [texts[sample] for sample in range(6)]
