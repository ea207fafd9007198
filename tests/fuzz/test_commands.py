"""The command line with files that are none: exit code 2 and one line, of each verb that reads a file of the user."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slr_probe.errors import printable
from tests.fuzz.strategies import BOUNDED

VERBS = {
    "recipe": (["restore", "BASE", "TUNED", "--out", "OUT", "--recipe"], "json", b"{"),
    "settings": (["run", "BASE", "TUNED", "--out", "OUT", "--settings"], "toml", b"= "),
    "task": (["rank", "BASE", "TUNED", "--task"], "json", b"{"),
    "prompts": (["lens", "BASE", "TUNED", "--prompts"], "json", b"["),
    "outputs": (["lineage", "--out", "OUT", "--stage", "base=FILE", "--stage"], "jsonl", b"{"),
}
TORN = st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))


@pytest.mark.parametrize("kind", VERBS)
@settings(BOUNDED, max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(torn=TORN)
def test_a_torn_file_is_one_line(kind, torn, run, pair_of, tmp_path):
    command, suffix, start = VERBS[kind]
    file = tmp_path / f"torn.{suffix}"
    file.write_bytes(start + torn + b"\x00")
    base, tuned = map(str, pair_of("llama").folders)
    names = {"BASE": base, "TUNED": tuned, "OUT": str(tmp_path / "out"), "base=FILE": f"base={file}"}
    last = f"sft={file}" if kind == "outputs" else str(file)
    code, _, err = run(*(names.get(word, word) for word in command), last)
    lines = [line for line in err.splitlines() if not line.startswith("Loading")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert err == printable(err)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
