"""Without a terminal every long verb says where it is, how much is done, and how much never falls back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from slr_probe.progress import line
from tests.cli.test_bad_input import write_files

SHORT = ["--samples", 2, "--max-tokens", 4, "--device", "cpu"]
STAGES = ["--stage", "base=BASE", "--stage", "one=TUNED", "--stage", "two=TUNED", "--tasks", "TEXTS,TEXTS2"]
VERBS: dict[str, tuple[list[Any], str]] = {
    "lens": (["PAIR", "--task", "TASK"], "logit lens"),
    "patch": (["PAIR", "--task", "TASK"], "patching"),
    "mask": (["PAIR", "--data", "TALKS", "--steps", 5], "layer mask"),
    "rank": (["PAIR", "--task", "TASK", "--soups", 2], "rank, replies|rank, ranges: sweep|rank, held-out prompts"),
    "validate": (
        ["PAIR", "-l", "1:2", "--tasks", "TEXTS,TEXTS2", "--baselines", "early", *SHORT],
        "validate, text: 2 of 2: generate|validate, scores",
    ),
    "lineage": ([*STAGES, *SHORT], "lineage, one: text: 1 of|lineage, two: text: 2 of|lineage, two: layers"),
    "compare": (["BASE", "TUNED", "--tasks", "TEXTS,TEXTS2", *SHORT], "compare, .*: 2 of"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_stage_and_share(run: Any, pair_of: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    said: list[str] = []

    class Every:
        """A line that hears of every step, not only every 30 seconds."""

        def __init__(self, tell: Any) -> None:
            self._tell = tell

        def show(self, share: float) -> None:
            said.append(self._tell())

        def close(self) -> None:
            pass

    monkeypatch.setattr(line, "Heartbeat", Every)
    pair = pair_of("llama")
    names = {name: str(file) for name, file in write_files(tmp_path).items()}
    names |= {"BASE": str(pair.base), "TUNED": str(pair.tuned)}
    second = tmp_path / "texts2.jsonl"
    second.write_text('{"id": "3", "prompt": "c"}\n{"id": "4", "prompt": "d"}\n')
    names["TEXTS,TEXTS2"] = f"{names['TEXTS']},{second}"
    asked, wanted = VERBS[verb]
    given = [part for one in asked for part in (pair.folders if one == "PAIR" else [one])]
    for name, file in names.items():
        given = [str(one).replace(f"={name}", f"={file}") if str(one) != name else file for one in given]
    code, _, err = run(verb, *given)
    assert code == 0, err
    for words in wanted.split("|"):
        assert any(re.match(words, one) for one in said), (words, said)
    shares = [int(found[1]) for one in said if (found := re.search(r"(\d+)%", one))]
    assert shares == sorted(shares)
    assert max(shares) > 80
