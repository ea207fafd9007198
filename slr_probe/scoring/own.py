"""`TextMetric`: a number of the user's own for each prompt, compared like those that come with the package."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slr_probe.errors import ValidationError
from slr_probe.scoring.inputs import ScoringInputs
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.metrics import METRICS, SCORE

_TRIAL = ("One text.", "Another text.")  # what a metric is tried on before any work


@dataclass(frozen=True)
class TextMetric:
    """A metric of the user's own: one number for the texts of a prompt.

    Attributes:
        name: What tables and results call it.
        function: All outputs of one prompt, reasoning taken out and empty ones included, to one number, or NaN where
            it is undefined. The same texts must give the same number.
        better: Whether `"higher"` or `"lower"` is better.

    Raises:
        ValidationError: The name is empty or that of a metric of the package, the function cannot be called, or
            `better` is another word.

    Examples:
        >>> TextMetric("characters", lambda texts: sum(map(len, texts)) / len(texts), better="lower").better
        'lower'
    """

    name: str
    function: Callable[[Sequence[str]], float]
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValidationError(f"a metric needs a name, such as 'characters'; got {self.name!r}")
        if self.name in METRICS or self.name.startswith(SCORE):
            raise ValidationError(f"there is a metric '{self.name}' already; give yours another name")
        if not callable(self.function):
            raise ValidationError(
                f"the metric '{self.name}' needs a function of a list of texts that returns a number; got "
                f"{self.function!r}"
            )
        if self.better not in ("higher", "lower"):
            raise ValidationError(f"better of the metric '{self.name}' is 'higher' or 'lower'; got {self.better!r}")

    def __call__(self, texts: Sequence[str]) -> float:
        """The number of the texts of one prompt.

        Raises:
            ValidationError: The function raised, or returned something else than a finite number or NaN.
        """
        try:
            value = self.function(list(texts))
        except Exception as error:
            raise ValidationError(
                f"the metric '{self.name}' raised {type(error).__name__}: {error}; it is given a list of texts, such "
                f"as {_shown(texts)}, and must return a number, or NaN where there is none"
            ) from error
        if isinstance(value, np.ndarray) and value.shape == ():
            value = value.item()
        if not isinstance(value, numbers.Real) or math.isinf(value):
            raise ValidationError(
                f"the metric '{self.name}' returned {value!r} for {_shown(texts)}; it must return one finite number "
                "for the whole list, or NaN where there is none"
            )
        return float(value)

    def measure(self, inputs: ScoringInputs) -> Scores:
        """The number of each prompt."""
        return {self.name: np.array([self(texts) for texts in inputs.texts], dtype=np.float64)}

    def record(self) -> dict[str, str]:
        """What results keep of it."""
        return {"name": self.name, "better": self.better}


def read_metrics(metrics: Any) -> tuple[TextMetric, ...]:
    """The user's metrics, each tried on two short texts, so that a slip shows before any work.

    Raises:
        ValidationError: Something else than a `TextMetric`, two of one name, or one that fails.
    """
    found = (metrics,) if isinstance(metrics, TextMetric) else metrics
    if not isinstance(found, Collection) or not all(isinstance(one, TextMetric) for one in found):
        raise ValidationError(
            "metrics takes your own, as a list: [TextMetric('characters', lambda texts: len(texts[0]))]; those of the "
            f"package are always measured; got {metrics!r}"
        )
    names = [one.name for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValidationError(f"two metrics are called '{twice[0]}'; give each a name of its own")
    for one in found:
        one(_TRIAL)
    return tuple(found)


def _shown(texts: Sequence[str]) -> str:
    return f"{[text[:40] for text in texts[:2]]!r}{' ...' if len(texts) > 2 else ''}"
