"""The golden study: what one small study of the embedded pair found, kept to guard numbers and file formats.

`python -m tests.golden.study` writes the golden files again; the change then shows in the diff.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tests.study.sample import small_study

_NUMBER = re.compile(r"[-+\u2212]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
GOLDEN = Path(__file__).parent / "files"
ARRAYS = (
    "delta/weight_delta.npz",
    "lens/lens.npz",
    "patching/patching.npz",
    "rank/ranking.npz",
    "validate/report.npz",
)
DOCUMENTS = ("hybrid/recipe.json", "rank/ranking.json", "restore/choice.json", "run.json", "validate/report.json")
TABLES = ("delta/weight_delta.csv", "lens/lens.csv", "patching/patching.csv", "rank/ranking.csv", "validate/table.csv")
_CHANGING = frozenset(
    "created digest files host identity key machine matmul_share platform python requests seconds started".split()
    + "time version versions when".split()
)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The arrays of a result and its plain data, less what differs from run to run."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, settled(json.loads(str(arrays.pop("__slr_probe__"))))


def read_document(path: Path) -> Any:
    """A JSON file, less what differs from run to run."""
    return settled(json.loads(path.read_text(encoding="utf-8")))


def settled(data: Any) -> Any:
    """Plain data without paths, times, versions, hashes of folders and sizes of files."""
    if isinstance(data, dict):
        return {key: settled(value) for key, value in data.items() if key not in _CHANGING}
    if isinstance(data, list):
        return [settled(value) for value in data]
    if isinstance(data, str):
        return "<path>" if data.startswith("/") else re.sub(r"[\d,.]+ KiB", "<size> KiB", data)
    return data


def differences(found: Any, kept: Any, where: str = "") -> list[str]:
    """Where two plain structures differ: numbers by more than rounding, everything else at all."""
    if isinstance(kept, dict) and isinstance(found, dict):
        names = sorted({*found, *kept})
        absent = [f"{where}.{name} is only in one" for name in names if (name in found) != (name in kept)]
        both = [name for name in names if name in found and name in kept]
        return absent + [line for name in both for line in differences(found[name], kept[name], f"{where}.{name}")]
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        return [
            line for i, pair in enumerate(zip(found, kept, strict=True)) for line in differences(*pair, f"{where}[{i}]")
        ]
    if isinstance(kept, str) and isinstance(found, str):
        return text_differences(found, kept, where)
    if isinstance(kept, float) and isinstance(found, float):
        return [] if np.isclose(found, kept, rtol=1e-3, atol=1e-4, equal_nan=True) else [f"{where}: {found} for {kept}"]
    return [] if found == kept else [f"{where}: {found!r} for {kept!r}"]


def text_differences(found: str, kept: str, where: str, tolerance: float = 0.011) -> list[str]:
    """Where the words of two texts differ, or their numbers by more than one unit of the last place shown."""
    words, kept_words = ([_NUMBER.sub("#", line) for line in text.split("\n")] for text in (found, kept))
    if words != kept_words:
        return [f"{where}: {one!r} for {other!r}" for one, other in zip_longest(words, kept_words) if one != other]
    numbers = [[float(n.replace("\u2212", "-")) for n in _NUMBER.findall(text)] for text in (found, kept)]
    return [f"{where}: {a} for {b}" for a, b in zip(*numbers, strict=True) if abs(a - b) > tolerance * max(1, abs(b))]


def report_text(page: Path) -> str:
    """The words of the report, one block a line, without scripts, styles and figures."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<(script|style|svg|head)\b.*?</\1>", "", text, flags=re.DOTALL)
    lines = html.unescape(re.sub(r"<[^>]+>", "\n", text)).split("\n")
    words = "\n".join(line for line in (" ".join(line.split()) for line in lines) if line) + "\n"
    words = re.sub(r"(?m)^(versions|machine|command)\n.*$", r"\1", words)
    return re.sub(r"\d{4}-\d\d-\d\d", "<date>", re.sub(r"[\d.]+ s\b", "<time>", words))


def write(folder: Path) -> None:
    """Keep what the study in `folder` found."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for name in (*ARRAYS, *TABLES):
        target = GOLDEN / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, target)
    for name in DOCUMENTS:
        target = GOLDEN / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(read_document(folder / name), indent=1) + "\n")
    for path in sorted((folder / "validate" / "outputs").rglob("*.jsonl")):
        target = GOLDEN / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (GOLDEN / "report.txt").write_text(report_text(folder / "report.html"))


if __name__ == "__main__":
    write(small_study())
