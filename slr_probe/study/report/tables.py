"""Tables of the page, as plain data, and those that say where a study comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TableRow:
    """Cells of one row, the first its heading, and its style."""

    cells: tuple[str, ...]
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        caption: What it shows.
        columns: Heads of its columns; all empty for none.
        rows: Its rows.
        words: Cells are text and not numbers.
        style: Its class.
    """

    caption: str
    columns: tuple[str, ...]
    rows: list[TableRow]
    words: bool = False
    style: str = ""


def provenance(run: dict[str, Any]) -> list[Table]:
    """Checkpoints, stages and versions of a run."""
    return [_checkpoints(run.get("pair", {})), _stages(run.get("stages", {})), _environment(run)]


def _checkpoints(pair: dict[str, Any]) -> Table:
    rows = [TableRow((role, side["source"], side["fingerprint"][:16])) for role, side in pair.items()]
    caption = "Checkpoints; the fingerprint is that of the weights, as in every record and model card."
    return Table(caption, ("", "source", "fingerprint"), rows, words=True)


def _stages(stages: dict[str, Any]) -> Table:
    rows = []
    for name, record in stages.items():
        found = record.get("summary") or record.get("error") or record.get("status", "")
        seconds = f"{record['seconds']:.1f} s" if "seconds" in record else ""
        rows.append(TableRow((name, found, seconds)))
    return Table("Stages of this run.", ("stage", "what it found", "time"), rows, words=True, style="stages")


def _environment(run: dict[str, Any]) -> Table:
    machine = run.get("machine", {})
    threads, processors = machine.get("threads", "?"), machine.get("processors", "?")
    places = (machine.get("device", ""), f"{threads} threads of {processors} processors", machine.get("platform", ""))
    rows = [
        TableRow(("versions", ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()))),
        TableRow(("machine", ", ".join(places))),
        TableRow(("command", machine.get("command", ""))),
    ]
    return Table("Environment.", ("", ""), rows, words=True)
