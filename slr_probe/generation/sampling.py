"""`Sampling`: how the next token is drawn, every setting explicit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from slr_probe.errors import GenerationError

_COLDEST = 1e-6
_LONGEST = 1 << 20  # tokens


@dataclass(frozen=True)
class Sampling:
    """How outputs are drawn. Nothing is taken from a checkpoint's own generation settings except its end tokens.

    Applied in the order of transformers: temperature, top-k, top-p, min-p; each one sees what the one before it left.

    Attributes:
        temperature: Divides the logits; 0 is greedy, and then nothing else matters. Below 1e-6, logits would overflow.
        top_p: The fewest likeliest tokens whose probabilities sum to at least this are kept; 1 is off.
        top_k: So many likeliest tokens are kept; 0 is off.
        min_p: Tokens less likely than this share of the likeliest are dropped; 0 is off.
        max_tokens: Longest output in tokens, the end token included.
        seed: The same seed gives the same outputs.
        stop: An output ends before the first of these strings; for models without an end token, such as base.

    Raises:
        GenerationError: A value out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 64
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop
        listed = isinstance(stop, (list, tuple)) and all(isinstance(text, str) and text for text in stop)
        object.__setattr__(self, "stop", tuple(stop) if listed else self.stop)
        checks = (
            ("temperature", "0 (greedy), or 1e-6 or more", _real(self.temperature) and _warm(self.temperature)),
            ("top_p", "above 0 and at most 1", _real(self.top_p) and 0 < self.top_p <= 1),
            ("top_k", "a whole number, 0 (off) or more", _whole(self.top_k) and self.top_k >= 0),
            ("min_p", "between 0 and 1", _real(self.min_p) and 0 <= self.min_p <= 1),
            (
                "max_tokens",
                f"a whole number from 1 to {_LONGEST}",
                _whole(self.max_tokens) and 1 <= self.max_tokens <= _LONGEST,
            ),
            ("seed", "a whole number from 0 to 2^63 - 1", _whole(self.seed) and 0 <= self.seed < 1 << 63),
            ("stop", "texts that are not empty", listed),
        )
        for name, expected, good in checks:
            if not good:
                raise GenerationError(f"{name} must be {expected}; got {getattr(self, name)!r}")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0

    def drawn(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        """Which of these samples of a prompt are written: all, or the first where greedy decoding gives the same."""
        return samples[:1] if self.greedy else samples

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "stop": list(self.stop)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sampling:
        """Rebuild from `to_dict`.

        Raises:
            GenerationError: A setting is unknown or out of its range.
        """
        unknown = sorted(data.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise GenerationError(f"unknown sampling setting {unknown[0]!r}")
        return cls(**data)


def _warm(temperature: float) -> bool:
    return temperature == 0 or temperature >= _COLDEST


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
