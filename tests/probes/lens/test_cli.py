"""`slr-probe lens` and `slr-probe patch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slr_probe.probes.lens.result import LayerTrace
from slr_probe.probes.patching.result import PatchingResult


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("Pick a letter.\n\nWhich one?\n")
    return path


def test_lens(run: Any, pair_of: Any, prompts: Path, tmp_path: Path) -> None:
    pair, out = pair_of("llama"), tmp_path / "out"
    options = ["--prompts", prompts, "--answer", "a", "--answer", "b", "--hybrid", "1:3", "-q"]
    code, text, _ = run("lens", pair.base, pair.tuned, *options, "--out", out, "--json", tmp_path / "rows.json")
    assert code == 0
    assert "base - tuned" in text
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert len(rows) == 4 * pair.depth
    assert {row["model"] for row in rows} == {"base", "tuned", "base (plain)", "restore 1:3 of 4"}
    trace = LayerTrace.load(out / "lens.npz")
    assert len(trace.prompts) == 2  # the empty line is none
    by_block = {row["block"]: row for row in rows if row["model"] == "tuned"}
    assert by_block[2]["collapse"] == pytest.approx(trace.collapse().estimate[2])
    assert rows[0]["collapse"] is None  # base against itself
    assert (out / "lens.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "lens.png").read_bytes().startswith(b"\x89PNG")


def test_patch(run: Any, pair_of: Any, prompts: Path, tmp_path: Path) -> None:
    pair, out = pair_of("llama"), tmp_path / "out"
    options = ["--prompts", prompts, "--component", "mlp", "--blocks", "3", "--blocks", "0:2", "--positions", "all"]
    code, text, _ = run("patch", pair.base, pair.tuned, *options, "--out", out, "--json", tmp_path / "rows.json")
    assert code == 0
    assert "base->tuned" in text
    rows = json.loads((tmp_path / "rows.json").read_text())
    result = PatchingResult.load(out / "patching.npz")
    assert [(row["direction"], row["component"], row["block"], row["blocks"]) for row in rows] == [
        (direction, "mlp", *window)
        for direction in ("base->tuned", "tuned->base")
        for window in ((3, "3:4"), (0, "0:2"))
    ]
    assert rows[0]["effect"] == pytest.approx(result.effect("entropy", "base->tuned", "mlp").estimate[0])
    assert (out / "patching.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["patch", "--component", "head"], "unknown component 'head'"),
        (["patch", "--blocks", "9"], "block 9 is out of bounds"),
        (["lens", "--answer", "cat"], "becomes 3 tokens"),
        (["lens", "--prompts", "none.txt"], "cannot read none.txt"),
    ],
)
def test_bad_input_is_one_line(run: Any, pair_of: Any, prompts: Path, options: list[str], message: str) -> None:
    pair = pair_of("llama")
    verb, *rest = options
    given = rest if "--prompts" in rest else ["--prompts", str(prompts), *rest]
    code, _, said = run(verb, pair.base, pair.tuned, *given)
    assert code == 2
    error = said.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "must hold a list"),
        ("[]", "has no prompts"),
        ("[1]", "must hold a list"),
        ("[", "not JSON"),
    ],
)
def test_bad_prompt_files(tmp_path: Path, text: str, message: str) -> None:
    from slr_probe.errors import PromptError
    from slr_probe.forward.questions import read_prompts

    (tmp_path / "p.json").write_text(text)
    with pytest.raises(PromptError, match=message):
        read_prompts(tmp_path / "p.json")
