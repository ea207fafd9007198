"""`AdapterSettings`: what `adapter_config.json` says of a LoRA adapter, read without PEFT and without trust."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slr_probe.errors import CheckpointError

CONFIG = "adapter_config.json"
MERGE = "merge it first with PEFT: PeftModel.from_pretrained(...).merge_and_unload().save_pretrained(folder)"
_SAFE_INITS = (True, False, None, "gaussian", "eva", "orthogonal")  # the others change the base weights at start
_HARMLESS_USES = ("use_rslora",)
_REFUSED = (
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "lora_bias",
    "alora_invocation_tokens",
    "arrow_config",
)
_MOST_PATTERNS, _LONGEST, _SECONDS = 4096, 2000, 5.0
"""How many patterns there may be, their characters, and the time that all matches together may take (our choice)."""


@dataclass(frozen=True)
class AdapterSettings:
    """Settings of a LoRA adapter that can be merged tensor by tensor.

    Attributes:
        path: The adapter folder.
        config: Its `adapter_config.json`.
        spent: Seconds that its patterns have taken so far.

    Raises:
        CheckpointError: (from the methods) A setting is of the wrong type, or a pattern cannot be matched in time.
    """

    path: Path
    config: Mapping[str, Any]
    spent: list[float] = field(default_factory=lambda: [0.0])

    def check_kind(self) -> None:
        """Check that this is a LoRA adapter of a kind that can be merged tensor by tensor.

        Raises:
            CheckpointError: It is not.
        """
        kind = self.config.get("peft_type")
        if kind != "LORA":
            raise CheckpointError(f"{self.path} is a PEFT adapter of type {kind!r}; only LORA is merged here; {MERGE}")
        uses = [name for name, on in self.config.items() if name.startswith("use_") and on]
        unsupported = [name for name in uses if name not in _HARMLESS_USES]
        unsupported += [name for name in _REFUSED if self.config.get(name)]
        if self.config.get("init_lora_weights", True) not in _SAFE_INITS:
            unsupported.append(f"init_lora_weights={self.config['init_lora_weights']!r}")
        if unsupported:
            raise CheckpointError(f"{self.path} is a LoRA adapter with {', '.join(unsupported)}; {MERGE}")

    @property
    def base(self) -> str:
        """The base that the adapter was made over, as it was named then; empty where that is not said."""
        named = self.config.get("base_model_name_or_path")
        return named if isinstance(named, str) else ""

    @property
    def transposed(self) -> bool:
        """Whether weights are stored as `[in, out]` (GPT-2's `Conv1D`)."""
        return bool(self.config.get("fan_in_fan_out"))

    def scaling(self, module: str, rank: int) -> float:
        """What a module's delta is multiplied with.

        Raises:
            CheckpointError: The rank of the weights is not that of the settings.
        """
        expected = self._setting("rank_pattern", "r", module, rank)
        if expected != rank:
            raise self._wrong(f"rank of {module} is {rank} in the weights but {expected:g}")
        alpha = self._setting("alpha_pattern", "lora_alpha", module, rank)
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def _setting(self, patterns: str, default: str, module: str, otherwise: float) -> float:
        """A number for a module: that of the first pattern that matches it, as PEFT matches, or the default."""
        named = self.config.get(patterns) or {}
        if not isinstance(named, Mapping) or len(named) > _MOST_PATTERNS:
            raise self._wrong(f"{patterns} is no table of at most {_MOST_PATTERNS} modules")
        found = next((value for pattern, value in named.items() if self._ends(pattern, module)), None)
        value = self.config.get(default, otherwise) if found is None else found
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
            raise self._wrong(f"{default} or {patterns} is {value!r} for {module}, no number")
        return float(value)

    def _ends(self, pattern: str, module: str) -> bool:
        literal = module == pattern or module.endswith(f".{pattern}")
        return literal or self._matches(rf"(.*\.)?({pattern})$", module)

    def targets(self, modules: Iterable[str]) -> list[str]:
        """Those of the base's modules that the adapter was made to change; none where its settings do not say."""
        wanted, excluded = self.config.get("target_modules"), self.config.get("exclude_modules") or []
        return [name for name in modules if self._among(wanted, name) and not self._among(excluded, name)]

    def _among(self, wanted: Any, module: str) -> bool:
        if isinstance(wanted, str):
            return wanted != "all-linear" and self._matches(rf"(?:{wanted})\Z", module)
        layers = self.config.get("layers_to_transform")
        listed = isinstance(wanted, list) and any(
            isinstance(name, str) and (module == name or module.endswith(f".{name}")) for name in wanted
        )
        if not listed or layers is None:
            return listed
        numbers = [int(part) for part in module.split(".") if part.isdecimal()]
        return bool(numbers) and numbers[0] in (layers if isinstance(layers, list) else [layers])

    def _matches(self, pattern: str, text: str) -> bool:
        """Whether a pattern of the settings matches from the start; Python's own `re` could not be stopped."""
        import regex

        if len(pattern) > _LONGEST or "{" in pattern:  # counted repeats within each other take forever to compile
            raise self._wrong(f"pattern {pattern[:80]!r} is longer than {_LONGEST} characters or has counted repeats")
        begun = time.monotonic()
        try:
            return regex.match(pattern, text, timeout=max(_SECONDS - self.spent[0], 0.01)) is not None
        except TimeoutError:
            raise self._wrong(f"its patterns take more than {_SECONDS:g} s, last {pattern[:80]!r}") from None
        except (regex.error, RecursionError, OverflowError, MemoryError) as error:
            raise self._wrong(f"pattern {pattern[:80]!r} cannot be read: {error}") from error
        finally:
            self.spent[0] += time.monotonic() - begun

    def _wrong(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path / CONFIG}: {what}; {MERGE}")
