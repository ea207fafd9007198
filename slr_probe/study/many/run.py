"""`run_table`: a study of each of many pairs, and one table over all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slr_probe.errors import SlrProbeError, StudyError
from slr_probe.executor import Executor, executes
from slr_probe.rank.across import PairTable, row_of
from slr_probe.rank.blocks.scorers import BlockScores
from slr_probe.study.folder import Findings
from slr_probe.study.many.pairs import NamedPair
from slr_probe.study.place import STUDIES, TABLE, check_home
from slr_probe.study.run import run_study
from slr_probe.study.settings import Settings
from slr_probe.study.stages.save import save


@executes
def run_table(
    pairs: Sequence[NamedPair],
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    device: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    executor: Executor | str | None = None,
    progress: bool | None = None,
    say: Callable[[str], None] | None = None,
) -> PairTable:
    """Study one pair after the other, and put what was found into one table and figure.

    Each study is kept in `studies/NAME` of the folder, and goes on there when the same call is made again. A pair that
    fails becomes a row with its reason, and the others go on; the same call tries it again.

    Args:
        pairs: The pairs; `read_pairs` reads them from a file.
        out: Folder of the studies and of `table.npz`, `.csv`, `.pdf` and `.png`.
        settings: What to measure of each; default: `Settings.preset("standard")`.
        device: Where models run; default: CUDA where there is one, else CPU.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let a checkpoint's own Python code run.
        executor: Who does sweeps: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`; default: this process,
            uncut. See `slr_probe.executor`.
        progress: Show progress bars; None shows them on a terminal and in Jupyter.
        say: Called with a line as each pair and each stage begins, and as it ends.

    Raises:
        StudyError: There are no pairs.
        OutputError: The table cannot be written, or its folder holds other files.

    Examples:
        >>> table = run_table(read_pairs("pairs.toml"), "table")  # doctest: +SKIP
        >>> table.to_dataframe()["found_by"]  # doctest: +SKIP
    """
    if not pairs:
        raise StudyError("a table needs at least one pair")
    home, say = Path(out).expanduser(), say or (lambda line: None)
    check_home(home)
    opened: dict[str, Any] = {"device": device, "download": download, "trust_remote_code": trust_remote_code}
    rows = []
    for i, pair in enumerate(pairs, 1):
        say(f"[{i}/{len(pairs)}] {pair.name}: {pair.base} and {pair.tuned}")
        folder = home / STUDIES / pair.name
        row: dict[str, Any] = {"pair": pair.name, "base": pair.base, "tuned": pair.tuned}
        try:
            found = run_study(
                pair.base, pair.tuned, folder, settings, executor=executor, progress=progress, say=say, **opened
            )
            row |= _row(found)
        except Exception as error:  # whatever one pair does, the others go on
            row["reason"] = f"failed: {error}" if isinstance(error, SlrProbeError) else f"failed: {error!r}"
            say(f"{pair.name} {row['reason']}")
        rows.append(row)
    table = PairTable(tuple(rows))
    save(table, home, TABLE)
    return table


def _row(found: Findings) -> dict[str, Any]:
    if found.ranking is None:
        raise StudyError(f"{found.folder} has no ranking, which a table is made of")
    return row_of(found.ranking, _cheap(found))


def _cheap(found: Findings) -> dict[str, BlockScores]:
    """What the probes of a study say of each block, without any range being run; of those that the study has."""
    cheap = {}
    if found.delta is not None:
        change = found.delta.to_dataframe("block").sort_values("block")["relative"]
        cheap["delta"] = BlockScores(change.to_numpy())
    if found.lens is not None:
        collapse = found.lens.collapse().estimate
        cheap["lens"] = BlockScores(np.abs(np.diff(collapse, prepend=0.0)))  # what the block adds, of whichever sign
    if found.patching is not None and (credits := found.patching.credits()) is not None:
        cheap["patching"] = BlockScores(*credits)
    if found.mask is not None:
        cheap["mask"] = BlockScores(found.mask.blocks())
    return cheap
