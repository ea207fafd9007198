"""A study's folder: the name of each file in it, and `Findings`, which reads what the stages saved."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import ResultError, StudyError
from slr_probe.files import read_json
from slr_probe.rank.compare import Choice
from slr_probe.study.place import RUN, SETTINGS

if TYPE_CHECKING:
    from slr_probe.probes.lens.result import LayerTrace
    from slr_probe.probes.mask.result import LayerMask
    from slr_probe.probes.patching.result import PatchingResult
    from slr_probe.probes.weights.result import WeightDelta
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.result import R
    from slr_probe.validation.result import ValidationReport

REPORT = "report.html"
HYBRID = "hybrid"

# In the folder of the stage that writes it; a result without its suffixes (npz, csv, pdf, png).
PAIR = "pair.json"
WEIGHT_DELTA = "weight_delta"
LOGIT_LENS = "lens"
ACTIVATION_PATCHING = "patching"
RANKING = "ranking"
EXAMPLES = "prompts.json"
SWEEPS = ".sweeps"
LAYER_MASK = "mask"
CHOICE = "choice.json"
VERIFIED = "verify.json"
VALIDATION = "report"


class Findings:
    """A study's folder. Results of stages that were not done, or done with other settings, are None.

    Args:
        folder: The folder of `run_study`.

    Raises:
        StudyError: It holds no study.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.run: dict[str, Any] = read_json(self.folder / RUN)
        except ResultError as error:
            raise StudyError(f"{folder} holds no run of slr-probe ({RUN}: {error})") from error
        if not isinstance(self.run, dict) or not isinstance(self.run.get("stages", {}), dict):
            raise StudyError(f"{folder} holds no run of slr-probe: {RUN} is no object with stages")

    def stage(self, name: str) -> dict[str, Any] | None:
        """The record of a stage that is done; None for one that was skipped, failed, or not asked for."""
        record = self.run.get("stages", {}).get(name)
        return record if record and record.get("status") == "done" else None

    @cached_property
    def pair(self) -> dict[str, Any]:
        """What `inspect` said; empty where it was not run."""
        return self._json("inspect", PAIR) or {}

    @cached_property
    def delta(self) -> WeightDelta | None:
        """Weight change."""
        from slr_probe.probes.weights.result import WeightDelta

        return self._result(WeightDelta, "delta", WEIGHT_DELTA)

    @cached_property
    def lens(self) -> LayerTrace | None:
        """Logit lens."""
        from slr_probe.probes.lens.result import LayerTrace

        return self._result(LayerTrace, "lens", LOGIT_LENS)

    @cached_property
    def patching(self) -> PatchingResult | None:
        """Cross-model activation patching."""
        from slr_probe.probes.patching.result import PatchingResult

        return self._result(PatchingResult, "patching", ACTIVATION_PATCHING)

    @cached_property
    def ranking(self) -> RangeRanking | None:
        """Every range, scored."""
        from slr_probe.rank.ranking import RangeRanking

        return self._result(RangeRanking, "rank", RANKING)

    @cached_property
    def examples(self) -> list[dict[str, Any]]:
        """A few of the prompts that ranges were chosen by; none in a study of an older version."""
        known = (self.folder / "rank" / EXAMPLES).is_file()
        return (self._json("rank", EXAMPLES) or []) if known else []

    @cached_property
    def mask(self) -> LayerMask | None:
        """The learned mask."""
        from slr_probe.probes.mask.result import LayerMask

        return self._result(LayerMask, "mask", LAYER_MASK)

    @cached_property
    def validation(self) -> ValidationReport | None:
        """What the hybrid writes, against tuned and baselines."""
        from slr_probe.validation.result import ValidationReport

        return self._result(ValidationReport, "validate", VALIDATION)

    @cached_property
    def verified(self) -> dict[str, Any] | None:
        """What `verify` counted."""
        found: dict[str, Any] | None = self._json("verify", VERIFIED)
        return found

    @property
    def settings(self) -> str:
        """The study's settings as TOML, which `slr-probe run --settings` reads, without their comments."""
        file = self.folder / SETTINGS
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
        return "".join(line for line in lines if not line.startswith("#"))

    @property
    def report(self) -> Path:
        """Where the report is."""
        return self.folder / REPORT

    @property
    def hybrid(self) -> Path | None:
        """Folder of the hybrid; None where none was built."""
        return self.folder / HYBRID if self.stage("restore") else None

    def choice(self, named: str | None = None) -> Choice:
        """The range to restore, or why there is none.

        Args:
            named: Blocks that overrule the ranking; None for what the study's settings say.

        Raises:
            StudyError: The ranges were not ranked.
        """
        if self.ranking is None:
            raise StudyError(f"{self.folder} has no ranking; run the stage 'rank'")
        settings = self.run.get("settings", {}).get("restore", {})
        layers = settings.get("layers", "") if named is None else named
        return self.ranking.named(layers) if layers else self.ranking.choice

    def __repr__(self) -> str:
        lines = [f"Study in {self.folder}"]
        for name, record in self.run.get("stages", {}).items():
            lines.append(f"  {name:<10}{record.get('summary') or record.get('status')}")
        return "\n".join(lines)

    def _result(self, kind: type[R], stage: str, name: str) -> R | None:
        return kind.load(self.folder / stage / f"{name}.npz") if self.stage(stage) else None

    def _json(self, stage: str, name: str) -> Any:
        return read_json(self.folder / stage / name, StudyError) if self.stage(stage) else None
