"""`reproduce`: a hybrid built again from its record, and compared with what it was."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import Checkpoint
from slr_probe.checkpoint.shard import read_bytes
from slr_probe.errors import CheckpointError, OutputError
from slr_probe.pair.open import open_sides
from slr_probe.recipe import Recipe
from slr_probe.restoration import restore
from slr_probe.restoration.extras import CARD, RECORD, hash_file
from slr_probe.restoration.stream import CHUNK
from slr_probe.restoration.verify import changed, equal_bytes, outcome, read_record, source_of


@dataclass(frozen=True)
class Reproduction:
    """Outcome of `reproduce`.

    Attributes:
        folder: The hybrid that was built.
        recipe: Its recipe.
        tensors: How many tensors were compared, byte by byte; 0 where only the record was there.
        problems: What does not agree, a line each.
    """

    folder: Path
    recipe: Recipe
    tensors: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it is the same hybrid."""
        return not self.problems

    def __str__(self) -> str:
        how = (
            f"{self.tensors} tensors compared bit for bit" if self.tensors else "compared with the hash of the weights"
        )
        head = f"{self.folder}: {self.recipe}, built again; {how}"
        return outcome(head, self.problems, "the same")


def reproduce(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    tuned: str | os.PathLike[str] | None = None,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    progress: bool | None = None,
) -> Reproduction:
    """Build a hybrid again from its `recipe.json` and compare it: every tensor, and every other file.

    Where the weights lie beside `recipe.json`, all their bytes are compared; where it stands alone, the fingerprint of
    the weights that it recorded.

    Args:
        file: `recipe.json` of a hybrid, or its folder.
        out: Folder to create.
        base: Where the base checkpoint is now; default: where the record says.
        tuned: The same of the tuned checkpoint; default: likewise.
        base_revision: Branch, tag or commit of `base`, or of the hub id in the record; default: likewise.
        tuned_revision: The same for tuned.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint (its config).
        progress: Show a progress bar; default: on a terminal and in Jupyter.

    Raises:
        CheckpointError: There is no such record, or a source cannot be found.
        OutputError: `out` is not empty.
    """
    path = Path(file).expanduser()
    home = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name != RECORD:
        raise CheckpointError(
            f"{path} is no {RECORD}; give the one of a hybrid, or its folder (restore takes a recipe)"
        )
    if Path(out).expanduser().resolve() == home.resolve():
        raise OutputError(f"{out} holds the hybrid itself; give another folder to build it again")
    record = read_record(home)
    recipe = Recipe.from_dict(record["recipe"])
    recipe = recipe if recipe.end_bias else recipe.with_end_bias(dict(record.get("end_bias", ())))
    opened: dict[str, Any] = {
        "base_revision": base_revision if base else None,
        "tuned_revision": tuned_revision if tuned else None,
        "download": download,
        "trust_remote_code": trust_remote_code,
    }
    sources = (
        base or source_of(record, "base", base_revision),
        tuned or source_of(record, "tuned", tuned_revision),
    )
    names = [record[role]["source"] for role in ("base", "tuned")]
    sides = open_sides(*sources, **opened)[:2]
    built = restore(*sources, recipe, out, base_id=names[0], tuned_id=names[1], progress=progress, **opened)
    counted, differing = _compare_weights(record, home, built)
    return Reproduction(built, recipe, counted, (*changed(record, *sides), *_compare_files(record, built), *differing))


def _compare_files(record: dict[str, Any], built: Path) -> list[str]:
    """Files other than weights and card, by their hashes."""
    wanted = {name: hash for name, hash in record["files"].items() if name != CARD}
    made = {name for name in read_record(built)["files"] if name != CARD}
    problems = [f"{name} is not in the record" for name in sorted(made - wanted.keys())]
    for name, hash in wanted.items():
        if name not in made:
            problems.append(f"{name} was not built")
        elif hash_file(built / name) != hash:
            problems.append(f"{name} is another file than the record says")
    return problems


def _compare_weights(record: dict[str, Any], home: Path, built: Path) -> tuple[int, list[str]]:
    """How many tensors were compared, and what does not agree."""
    new = Checkpoint.open(built)
    if not any(home.glob("*.safetensors")):
        if not isinstance(record.get("weights"), str):
            return 0, [f"{RECORD} has no hash of the weights, and they do not lie beside it: nothing to compare with"]
        same = record["weights"] == new.fingerprint()
        return 0, [] if same else ["the weights are not those that were recorded: their fingerprint differs"]
    old = Checkpoint.open(home)
    problems = [
        f"tensor '{name}' is in one of the two only" for name in sorted(old.tensors.keys() ^ new.tensors.keys())
    ]
    common = [name for name in old.tensors if name in new.tensors]
    for name in common:
        before, after = old.tensors[name], new.tensors[name]
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            problems.append(
                f"'{name}' is {before.dtype} {list(before.shape)}, built again {after.dtype} {list(after.shape)}"
            )
        elif not equal_bytes(read_bytes(before, CHUNK), read_bytes(after, CHUNK)):
            problems.append(f"'{name}' differs")
    return len(common), problems
