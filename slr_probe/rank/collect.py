"""`Search`: everything that a ranking measures, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.progress import step
from slr_probe.rank.blocks.propose import Proposal
from slr_probe.rank.candidates import WIDER, Row
from slr_probe.rank.findings.wider import leaders as leaders_of
from slr_probe.rank.frontier import measure_curves
from slr_probe.rank.guards.table import SCORES
from slr_probe.rank.measure import Scorer
from slr_probe.rank.ranking import RangeRanking
from slr_probe.rank.scores import RangeScores
from slr_probe.recipe import Recipe
from slr_probe.tasks.crc import CRCTask, RenderedTask


@dataclass
class Search:
    """What is measured: first what the order follows from, then what the best range is compared with.

    Attributes:
        selection: Scores recipes on the selection prompts.
        held_out: Scores them on the held-out prompts; None where there are none.
        proposal: Which ranges are measured.
        rows: Ranges and references; controls join once the best range is known.
        fields: Fields of the result that no score changes.
    """

    selection: Scorer
    held_out: Scorer | None
    proposal: Proposal
    rows: list[Row]
    fields: dict[str, Any]

    def scores(self) -> RangeScores:
        """Ranges and references, measured on the selection prompts."""
        return RangeScores(**self._columns([], "ranges"))

    def ranking(self, first: RangeScores, held_out: int, asked: dict[str, Any], *, ended: bool = False) -> RangeRanking:
        """All rows, with held-out scores of the best ranges, the references and the controls.

        Args:
            first: The order that the controls were made for.
            held_out: How many of the best ranges are scored on held-out prompts.
            asked: Settings that the scorer does not know.
            ended: Whether to read if replies end after their answers.
        """
        leaders = [int(i) for i in first.order[:held_out] if first.measured[i]]
        leaders += [row for family in WIDER for row in leaders_of(first, family, held_out)]
        tested = [i for i in self._others if self.rows[i].kind not in ("soup", *WIDER) or i == first.best_soup]
        columns = self._columns([*leaders, *tested], "controls") | self._curves(first)
        columns |= self._ended([*leaders, *tested]) if ended else {}
        settings = {
            "base": str(self.selection.pair.base_side),
            "tuned": str(self.selection.pair.tuned_side),
            "format": getattr(self.selection.task, "format", None),
            **self.selection.sampling,
            **asked,
            **_base_on_plain_prompts(self.selection, whole=any(row.kind == "base" for row in self.rows)),
            "hybrids_measured": self.selection.seen,
            **({} if self.selection.replies is None else {"end_tokens": self.selection.replies.replies.ends}),
            **self._speed(),
        }
        return RangeRanking(**columns, settings=settings)

    def _speed(self) -> dict[str, float]:
        """The share of the device's matrix rate that all sweeps long enough to know theirs reached together."""
        timed = [one.timed for one in (self.selection, self.held_out) if one is not None]
        seconds, products = (sum(part) for part in zip(*timed, strict=True))
        return {"matmul_share": round(products / seconds, 3)} if seconds else {}

    @property
    def _others(self) -> range:
        """Rows that are no ranges."""
        return range(len(self.proposal.score), len(self.rows))

    def _columns(self, tested: Sequence[int], what: str) -> dict[str, Any]:
        with step(what):
            columns = _measure(self.selection, self.rows, [*self.proposal.rows, *self._others])
        with step("held-out prompts" if tested else ""):
            held = _measure(self.held_out, self.rows, tested)
        return {
            "kinds": np.array([row.kind for row in self.rows]),
            **columns,
            **{f"held_{name}": values for name, values in held.items()},
            "score": np.concatenate([self.proposal.score, np.full(len(self._others), np.nan)]),
            "block_gain": self.proposal.block_gain,
            "recipe_data": tuple(row.recipe.to_dict() for row in self.rows),
            "categories": self.selection.categories,
            "held_categories": () if self.held_out is None else self.held_out.categories,
            **self.fields,
        }

    @step("given and ended")
    def _ended(self, rows: Sequence[int]) -> dict[str, Any]:
        found = (self.held_out or self.selection).ended([self.rows[row].recipe for row in rows])
        values = np.full((len(self.rows), found.shape[1]), np.nan)
        values[list(rows)] = found
        return {"ended_validity": values}

    @step("temperatures")
    def _curves(self, first: RangeScores) -> dict[str, Any]:
        """Tuned and the best range over temperature."""
        rows = [first.tuned, int(first.order[0])]
        if not first.measured[rows[1]]:
            rows = rows[:1]
        recipes = [self.rows[row].recipe for row in rows]
        found = measure_curves(self.selection, recipes)
        fields = {
            "curve_rows": np.array(rows),
            "curve_validity": found.validity,
            "curve_diversity": found.diversity,
            "curve_entropy": found.entropy,
            "curve_drift": found.drift,
            "curve_order": found.order,
        }
        if self.held_out is None:
            return fields
        held = measure_curves(self.held_out, recipes)
        of_held = {"validity": held.validity, "diversity": held.diversity, "order": held.order}
        return fields | {f"held_curve_{name}": values for name, values in of_held.items()}


def _measure(scorer: Scorer | None, rows: Sequence[Row], wanted: Sequence[int]) -> dict[str, Float[ndarray, "..."]]:
    """Scores of the wanted rows, NaN elsewhere; without prompts where there is no scorer."""
    prompts = 0 if scorer is None else len(scorer.queries)
    reads = 0 if scorer is None or scorer.replies is None else len(scorer.replies.place)
    shapes = {"validity": (prompts,), "diversity": (prompts,), "reply_scores": (reads, len(SCORES))}
    columns = {name: np.full((len(rows), *shape), np.nan) for name, shape in shapes.items()}
    columns["reply_scores"] = columns["reply_scores"].astype(np.float32)  # as the sweep gives them
    if scorer is not None and len(wanted):
        found = scorer.measured([rows[i].recipe for i in wanted])
        for values, measured in zip(columns.values(), found, strict=True):
            values[list(wanted)] = measured
    return columns


def _base_on_plain_prompts(scorer: Scorer, *, whole: bool) -> dict[str, Any]:
    """Scores of base under plain prompts, where the ranking itself is under a chat template."""
    task = scorer.task
    if not isinstance(task, RenderedTask) or task.format == "plain":
        return {}
    plain = CRCTask(task.items).render(scorer.pair, "plain")
    base = Recipe.base(scorer.pair.depth, blocks_only=not whole)
    validity, diversity = Scorer(scorer.pair, plain, scorer.changed, scorer.engine)([base])
    return {"base_plain": {"validity": float(validity.mean()), "diversity": float(diversity.mean())}}
