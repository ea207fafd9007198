"""Where in depth each stage changed: weights, block by block, and the entropy that every block's output reads as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import SlrProbeError, TaskError
from slr_probe.files import safe_name, write_npz
from slr_probe.store import find_part
from slr_probe.tasks.crc import CRCTask, RenderedTask

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_KIND = "slr_probe.stage_depth/1"


@dataclass
class Depth:
    """What is known of the layers of all stages.

    Attributes:
        weight_base: Relative change against base, for each stage after base.
        weight_previous: Relative change against the stage before.
        entropy: Lens entropy of the stage.
        entropy_base: Lens entropy of base on the same prompts.
        categories: Category of each lens prompt.
        notes: What could not be measured.
    """

    weight_base: list[Float[ndarray, " block"]] = field(default_factory=list)
    weight_previous: list[Float[ndarray, " block"]] = field(default_factory=list)
    entropy: list[Float[ndarray, "block prompt"]] = field(default_factory=list)
    entropy_base: list[Float[ndarray, "block prompt"]] = field(default_factory=list)
    categories: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        stage: str,
        pair: ModelPair,
        previous: Any,
        prompts: Sequence[str],
        folder: Path | None,
        options: dict[str, Any],
    ) -> None:
        """Measure one stage, or read what an earlier run measured.

        Args:
            stage: Its name.
            pair: Base and the stage.
            previous: Checkpoint of the stage before; None where that is base.
            prompts: Prompts for the lens where the CRC questions do not fit the tokenizer.
            folder: Where measurements are kept.
            options: Of `weight_delta`.
        """
        questions, notes = _lens_prompts(pair, prompts)
        self.notes += [note for note in notes if note not in self.notes]
        self.categories = questions.categories if isinstance(questions, RenderedTask) else ("",) * len(questions)
        file = None if folder is None else folder / f"{safe_name(stage)}.npz"
        kept = None if file is None else find_part(file, _KIND)
        if kept is not None:
            arrays, plain = kept
        else:
            arrays, missing = self._measure(stage, pair, previous, questions, options)
            plain = {"stage": stage, "notes": missing}
            if file is not None:
                write_npz(file, _KIND, arrays, plain)
        self.notes += plain["notes"]
        for name in ("weight_base", "weight_previous", "entropy", "entropy_base"):
            getattr(self, name).append(arrays[name])

    def fields(self) -> dict[str, Any]:
        """Fields of a `Lineage`; base comes first, with no change of its own."""
        if not self.weight_base:
            return {}
        fields: dict[str, Any] = {}
        for name in ("weight_base", "weight_previous"):
            rows = getattr(self, name)
            fields[name] = np.stack([np.zeros_like(rows[0]), *rows])
        fields["entropy_base"] = np.stack([self.entropy_base[0], *self.entropy_base])
        fields["entropy"] = np.stack([self.entropy_base[0], *self.entropy])
        return fields | {"lens_categories": self.categories}

    @staticmethod
    def _measure(
        stage: str, pair: ModelPair, previous: Any, questions: Any, options: dict[str, Any]
    ) -> tuple[dict[str, ndarray[Any, Any]], list[str]]:
        """Arrays of one stage, and notes on what could not be measured."""
        from slr_probe.probes.lens.lens import logit_lens

        base = _relative(pair.base_side.path, pair.tuned_side.path, options)
        before, notes = base, []
        if previous is not None and pair.has_adapter:
            before = np.full_like(base, np.nan)
            notes.append(f"{stage}: an adapter over base; its weights were not compared with the stage before")
        elif previous is not None:
            try:
                before = _relative(previous, pair.tuned_side.path, options)
            except SlrProbeError as error:
                before = np.full_like(base, np.nan)
                notes.append(f"{stage}: weights were not compared with the stage before: {error}")
        trace = logit_lens(pair, questions, top_k=1, progress=options.get("progress"))
        arrays = {
            "weight_base": base,
            "weight_previous": before,
            "entropy": trace.values("entropy", "tuned"),
            "entropy_base": trace.values("entropy", "base"),
        }
        return arrays, notes


def _relative(base: Any, tuned: Any, options: dict[str, Any]) -> Float[ndarray, " block"]:
    from slr_probe.probes.weights.measure import weight_delta

    table = weight_delta(base, tuned, spectral="none", **options).to_dataframe(by="block")
    return table["relative"].to_numpy(dtype=np.float64)


def _lens_prompts(pair: ModelPair, prompts: Sequence[str]) -> tuple[Any, list[str]]:
    """CRC questions, or the tasks' own prompts where the tokenizer cannot ask those."""
    try:
        return CRCTask.default().selection.render(pair).one_token(), []
    except TaskError:
        return list(prompts), ["the entropy over depth is that of the tasks' prompts: CRC does not fit the tokenizer"]
