"""`verify_hybrid`: does all of a folder equal the sources it must come from, bit for bit?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slr_probe.checkpoint import Checkpoint, at_revision, hub_id, split_revision
from slr_probe.checkpoint.open import EMBEDDED
from slr_probe.checkpoint.shard import Bytes, read_bytes
from slr_probe.errors import CheckpointError
from slr_probe.files import digest, read_json
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.progress import progress_bar
from slr_probe.recipe import Recipe
from slr_probe.restoration.extras import FORMAT, RECORD
from slr_probe.restoration.folder import compare_files, compare_shards
from slr_probe.restoration.plan import Step, plan_hybrid
from slr_probe.restoration.stream import CHUNK, hybrid_pieces


@dataclass(frozen=True)
class HybridReport:
    """Outcome of `verify_hybrid`.

    Attributes:
        folder: The hybrid.
        recipe: Its recipe.
        counts: Number of tensors that were compared, by where they come from (`"base"`, `"tuned"`, `"mixed"`).
        problems: What does not agree, a line each; empty for a faithful hybrid.
    """

    folder: Path
    recipe: Recipe
    counts: dict[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the hybrid is exactly what its recipe says."""
        return not self.problems

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        compared = ", ".join(f"{n} from {origin}" for origin, n in self.counts.items())
        head = f"{self.folder}: {self.recipe}: {sum(self.counts.values())} tensors compared bit for bit ({compared})"
        return outcome(head, self.problems, "all equal")


def outcome(head: str, problems: Sequence[str], equal: str) -> str:
    """What a comparison found: that all is equal, or its first problems, a line each."""
    if not problems:
        return f"{head}: {equal}"
    more = f"\n  ... and {len(problems) - 8} more" if len(problems) > 8 else ""
    return f"{head}: {len(problems)} PROBLEM(S)\n  " + "\n  ".join(problems[:8]) + more


def verify_hybrid(
    folder: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    tuned: str | os.PathLike[str] | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    progress: bool | None = None,
) -> HybridReport:
    """Compare every tensor of a hybrid on disk, and every other file, with the source that its recipe names.

    Files that a loader would pick up and that are not the hybrid's are problems too. Both sides are streamed; no model
    is loaded.

    Args:
        folder: A folder that `restore` wrote.
        base: Where the base checkpoint is now; default: where `recipe.json` says.
        tuned: The same of the tuned checkpoint; default: likewise.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint (its config).
        base_revision: Branch, tag or commit of `base`, or of the hub id in `recipe.json`; default: likewise.
        tuned_revision: The same for tuned.
        progress: Show a progress bar; default: on a terminal and in Jupyter.

    Returns:
        A report; its `ok` says whether everything agrees.

    Raises:
        CheckpointError: The folder is no hybrid, is corrupt, or a source cannot be found.
    """
    path = Path(folder).expanduser()
    record = read_record(path)
    recipe = Recipe.from_dict(record["recipe"])
    base_side, tuned_side, _ = open_sides(
        base or source_of(record, "base", base_revision),
        tuned or source_of(record, "tuned", tuned_revision),
        base_revision=base_revision if base else None,
        tuned_revision=tuned_revision if tuned else None,
        download=download,
        trust_remote_code=trust_remote_code,
    )
    hybrid = Checkpoint.open(path)
    problems = [
        *changed(record, base_side, tuned_side),
        *compare_files(path, record["files"], tuned_side, dict(record.get("end_bias", ()))),
        *compare_shards(hybrid, require_checkpoint(tuned_side).shards),
    ]
    plan = plan_hybrid(base_side, tuned_side, recipe)
    with progress_bar(hybrid.nbytes, "verifying", show=progress, bytes=True) as steps:
        counts, differing = _compare_tensors(hybrid, base_side, tuned_side, plan, steps)
    return HybridReport(path, recipe, counts, (*problems, *differing))


def _compare_tensors(
    hybrid: Checkpoint, base: Side, tuned: Side, plan: dict[str, Step], steps: Any
) -> tuple[dict[str, int], list[str]]:
    """How many tensors were compared, by origin, and what does not agree."""
    expected = require_checkpoint(tuned).tensors
    problems = [f"tensor '{name}' is missing" for name in expected if name not in hybrid.tensors]
    problems += [f"tensor '{name}' should not be there" for name in hybrid.tensors if name not in expected]
    counts: Counter[str] = Counter()
    for name in [name for name in expected if name in hybrid.tensors]:  # in the order of the files
        source, stored = expected[name], hybrid.tensors[name]
        base_name = plan[name].base_name
        if base_name != name and base_name is not None and name in require_checkpoint(base).tensors:
            problems.append(f"'{name}' was taken from '{base_name}', not from its namesake in base")
        origin = {0.0: "base", 1.0: "tuned"}.get(plan[name].share, "mixed")
        counts[origin] += 1
        if (stored.dtype, stored.shape) != (source.dtype, source.shape):
            actual, right = (f"{info.dtype} {list(info.shape)}" for info in (stored, source))
            problems.append(f"'{name}' is {actual}, not {right}")
        elif not equal_bytes(hybrid_pieces(plan[name], source, base, tuned), read_bytes(stored, CHUNK)):
            problems.append(f"'{name}' differs from {origin}")
        steps.update(stored.nbytes)
    return dict(sorted(counts.items())), problems


def read_record(path: Path) -> dict[str, Any]:
    """What `recipe.json` in a folder says.

    Raises:
        CheckpointError: There is none, or it is not whole.
    """
    if not (path / RECORD).is_file():
        raise CheckpointError(f"{path} has no {RECORD}; expected a folder that slr-probe restore wrote")
    record = read_json(path / RECORD, CheckpointError)
    if not isinstance(record, dict) or record.get("format") != FORMAT or not _is_whole(record):
        raise CheckpointError(f"{path / RECORD} is not a record of format {FORMAT!r}; restore the hybrid once more")
    return record


def _is_whole(record: dict[str, Any]) -> bool:
    texts = [record.get("digest"), record.get("slr_probe")]
    for role in ("base", "tuned"):
        side = record.get(role)
        texts += [side.get(name) if isinstance(side, dict) else None for name in ("source", "path", "fingerprint")]
    return "recipe" in record and isinstance(record.get("files"), dict) and all(isinstance(text, str) for text in texts)


def source_of(record: dict[str, Any], role: str, revision: str | None) -> str:
    """Where a side that is recorded can be found now.

    Raises:
        CheckpointError: The record knows it by a folder that is not here, or by the name of one.
    """
    origin: dict[str, str] = record[role]
    if revision is not None:
        return at_revision(split_revision(origin["source"])[0], revision)
    place = origin["path"] if Path(origin["path"]).is_dir() else origin["source"]
    if not (Path(place).is_dir() or hub_id(place) or place.startswith(EMBEDDED)):
        raise CheckpointError(f"{role} was {place!r}, which is not here; say where it is now: {role}= (--{role})")
    return place


def changed(record: dict[str, Any], base: Side, tuned: Side) -> list[str]:
    """Whether the record was edited, and whether a side is not what it was built from."""
    content = {name: value for name, value in record.items() if name != "digest"}
    edited = [] if digest(content) == record["digest"] else [f"{RECORD} was edited: its digest does not fit"]
    return edited + [
        f"{side.role} ({side}) is not the checkpoint that the hybrid was built from: its fingerprint has changed"
        for side in (base, tuned)
        if require_checkpoint(side).fingerprint() != record[side.role]["fingerprint"]
    ]


def equal_bytes(left_pieces: Iterator[Bytes], right_pieces: Iterator[Bytes]) -> bool:
    """Whether two streams hold the same bytes, however they are cut."""
    left = right = np.empty(0, dtype=np.uint8)
    while True:
        left = left if len(left) else next(left_pieces, left)
        right = right if len(right) else next(right_pieces, right)
        if not len(left) or not len(right):
            return len(left) == len(right)
        both = min(len(left), len(right))
        if not np.array_equal(left[:both], right[:both]):
            return False
        left, right = left[both:], right[both:]
