"""`LayerRange`: a half-open range of decoder blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slr_probe.errors import LayerRangeError

_PATTERN = re.compile(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*")


@dataclass(frozen=True, order=True, init=False)
class LayerRange:
    """Decoder blocks `start, ..., stop - 1`, counted from 0, like Python slices and mergekit.

    Args:
        start: First block, or the whole range as text such as `"8:14"`.
        stop: One past the last block; omitted when `start` is text.

    Raises:
        LayerRangeError: The text is not `START:STOP`, a bound is negative, or the range is reversed.

    Examples:
        >>> LayerRange("8:14")
        LayerRange('8:14')
        >>> LayerRange(8, 14).width
        6
        >>> 13 in LayerRange("8:14"), 14 in LayerRange("8:14")
        (True, False)
    """

    start: int
    stop: int

    def __init__(self, start: int | str | LayerRange, stop: int | None = None) -> None:
        if isinstance(start, LayerRange) and stop is None:
            first, last = start.start, start.stop
        elif isinstance(start, str) and stop is None:
            first, last = _parse(start)
        elif _is_int(start) and _is_int(stop):
            first, last = int(start), int(stop)  # type: ignore[arg-type]
        else:
            raise LayerRangeError(
                f"a layer range is LayerRange('START:STOP') or LayerRange(start, stop) with whole numbers; "
                f"got start={start!r}, stop={stop!r}"
            )
        if first < 0 or last < 0:
            raise LayerRangeError(f"layer range {first}:{last} has a negative bound; blocks are counted from 0")
        if first > last:
            raise LayerRangeError(
                f"layer range {first}:{last} is reversed; start must not exceed stop. Did you mean {last}:{first}?"
            )
        object.__setattr__(self, "start", first)
        object.__setattr__(self, "stop", last)

    @classmethod
    def all(cls, depth: int, *, width: int | None = None) -> list[LayerRange]:
        """Every non-empty range over `depth` blocks (`depth * (depth + 1) / 2` of them), or those of one width.

        Examples:
            >>> [str(r) for r in LayerRange.all(3)]
            ['0:1', '0:2', '0:3', '1:2', '1:3', '2:3']
            >>> [str(r) for r in LayerRange.all(3, width=2)]
            ['0:2', '1:3']
        """
        ranges = [cls(a, b) for a in range(depth) for b in range(a + 1, depth + 1)]
        return [r for r in ranges if width is None or r.width == width]

    @property
    def width(self) -> int:
        """Number of blocks in the range."""
        return self.stop - self.start

    def within(self, depth: int, *, allow_empty: bool = True) -> LayerRange:
        """Return the range itself after checking it against a model of `depth` blocks.

        Raises:
            LayerRangeError: The range reaches past the last block, or is empty and `allow_empty` is false.
        """
        if self.stop > depth:
            raise LayerRangeError(
                f"layer range {self} is out of bounds: the model has {depth} decoder blocks, so the last range is "
                f"{max(depth - 1, 0)}:{depth}"
            )
        if not allow_empty and not self.width:
            raise LayerRangeError(f"layer range {self} is empty; give at least one block, such as 0:1")
        return self

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.width

    def __contains__(self, block: object) -> bool:
        return _is_int(block) and self.start <= block < self.stop  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"

    def __repr__(self) -> str:
        return f"LayerRange('{self}')"


def _is_int(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _parse(text: str) -> tuple[int, int]:
    match = _PATTERN.fullmatch(text)
    if match is None:
        other = re.fullmatch(r"\s*(\d+)\s*(?:-|\.\.|,|–)\s*(\d+)\s*", text)
        hint = f" Did you mean '{other[1]}:{other[2]}' (the stop is exclusive)?" if other else ""
        if re.fullmatch(r"\s*-?\d*\s*:\s*-?\d*\s*", text):
            hint = " Both ends are given, and counted from the first block, 0."
        raise LayerRangeError(
            f"cannot read layer range {text!r}: expected START:STOP with whole numbers, half-open, such as '8:14'."
            + hint
        )
    return int(match[1]), int(match[2])
