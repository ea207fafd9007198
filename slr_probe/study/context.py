"""`Context`: what every stage is handed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.study.settings import Settings

if TYPE_CHECKING:
    from slr_probe.executor import Executor
    from slr_probe.pair import ModelPair
    from slr_probe.study.folder import Findings


@dataclass
class Context:
    """A study while it runs.

    Attributes:
        base: What the user named as base.
        tuned: What the user named as tuned.
        folder: The study's folder.
        settings: Its settings.
        device: Device that was asked for; None for CUDA where there is one.
        download: Let hub ids be fetched.
        trust_remote_code: Let a checkpoint's own Python code run.
        executor: Who does sweeps and generation; None for this process.
        progress: Whether bars are shown; None decides by the terminal.
    """

    base: str | os.PathLike[str]
    tuned: str | os.PathLike[str]
    folder: Path
    settings: Settings = field(default_factory=Settings)
    device: str | None = None
    download: bool = False
    trust_remote_code: bool = False
    executor: Executor | str | None = None
    progress: bool | None = None

    @cached_property
    def pair(self) -> ModelPair:
        """The pair; opened once, and its models loaded when a stage first needs them."""
        from slr_probe.pair import ModelPair

        return ModelPair.load(
            self.base,
            self.tuned,
            dtype=self.settings.common.dtype or None,
            device=self.device,
            download=self.download,
            trust_remote_code=self.trust_remote_code,
        )

    @property
    def found(self) -> Findings:
        """What stages have saved so far; each result is read when it is used."""
        from slr_probe.study.folder import Findings

        return Findings(self.folder)

    @property
    def options(self) -> dict[str, Any]:
        """How checkpoints are opened."""
        return {"download": self.download, "trust_remote_code": self.trust_remote_code}
