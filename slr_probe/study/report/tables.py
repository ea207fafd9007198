"""Tables of the report, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.rank.compare import evidence
from slr_probe.show.sentences import as_text

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


@dataclass(frozen=True)
class Row:
    """Cells of one row, the first its heading, and its style."""

    cells: tuple[str, ...]
    cls: str = ""


@dataclass(frozen=True)
class Table:
    """A captioned table; `words` for cells that are text and not numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    words: bool = False
    cls: str = ""


def score_table(ranking: RangeRanking, chosen: str | None) -> Table:
    """The chosen range, the next best, references and controls, with intervals."""
    n, held = len(ranking.ranges), bool(ranking.held_validity.shape[1])
    row = ranking.index(chosen) if chosen else None
    shown = [(f"chosen, {chosen}", row, "chosen")] if row is not None else []
    others = [int(i) for i in ranking.order[:4] if int(i) != row and ranking.measured[int(i)]][:3]
    shown += [(f"range {ranking.ranges[i]}", i, "") for i in others]
    names = {"tuned": "tuned", "base": "base", "full": "all blocks restored", "early": "early, equal width",
             "late": "late, equal width"}  # fmt: skip
    shown += [(name, int(i), "") for kind, name in names.items() for i in ranking.rows(kind)[:1]]
    if ranking.best_soup is not None:
        share = 1 - ranking.recipes[ranking.best_soup].blocks[0].default
        shown.append((f"best soup, {share:.0%} base", ranking.best_soup, ""))
    rows = []
    for name, i, cls in shown:
        assert i is not None
        found = evidence(ranking, i)
        select = f"{ranking.mean_validity[i]:.3f}", f"{ranking.mean_diversity[i]:.3f}"
        tested: tuple[str, ...] = ("", "", "")
        if found.held_out:
            gain = "" if name == "tuned" else as_text(found.gain, "+.3f")
            tested = (as_text(found.validity), as_text(found.diversity), gain)
        share = ranking.p_best[i] if i < n else np.nan
        best = f"{share:.2f}" if np.isfinite(share) else ""
        rows.append(Row((name, *select, *(tested if held else ()), best), cls))
    counts = f"{ranking.validity.shape[1]} selection prompts"
    caption = f"Scores on {counts}"
    columns: tuple[str, ...] = ("", "validity", "diversity")
    if held:
        caption += (f" (where the choice was made) and on {ranking.held_validity.shape[1]} held-out prompts, with "
                    f"{ranking.level:.0%} intervals")  # fmt: skip
        columns += ("held-out validity", "held-out diversity", "gain over tuned")
    return Table(caption + ". p(best): share of resamples in which a range is the best.", (*columns, "p(best)"), rows)


def provenance(run: dict[str, Any]) -> list[Table]:
    """Checkpoints, stages and versions of a run."""
    pair = [Row((role, side["source"], side["fingerprint"][:16])) for role, side in run.get("pair", {}).items()]
    stages = []
    for name, record in run.get("stages", {}).items():
        seconds = f"{record['seconds']:.1f} s" if "seconds" in record else ""
        stages.append(Row((name, record.get("summary") or record.get("error") or record.get("status", ""), seconds)))
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    machine = run.get("machine", {})
    where = (f"{machine.get('device', '')}, {machine.get('threads', '?')} threads of {machine.get('processors', '?')} "
             f"processors, {machine.get('platform', '')}")  # fmt: skip
    return [
        Table("Checkpoints; the fingerprint covers weights, config, tokenizer and chat template.",
              ("", "source", "fingerprint"), pair, words=True),
        Table("Stages of this run.", ("stage", "what it found", "time"), stages, words=True, cls="stages"),
        Table("Environment.", ("", ""), [Row(("versions", versions)), Row(("machine", where)),
              Row(("command", machine.get("command", "")))], words=True),
    ]  # fmt: skip
