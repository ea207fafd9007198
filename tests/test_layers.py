from __future__ import annotations

import numpy as np
import pytest

from slr_probe import LayerRange
from slr_probe.errors import LayerRangeError, SlrProbeError


@pytest.mark.parametrize(
    ("given", "start", "stop"),
    [
        (("8:14",), 8, 14),
        ((" 8 : 14 ",), 8, 14),
        ((8, 14), 8, 14),
        ((np.int64(8), np.int32(14)), 8, 14),
        ((LayerRange(8, 14),), 8, 14),
        (("0:0",), 0, 0),
        (("007:010",), 7, 10),
    ],
)
def test_every_spelling_of_a_range(given: tuple, start: int, stop: int) -> None:
    layers = LayerRange(*given)
    assert (layers.start, layers.stop) == (start, stop)
    assert type(layers.start) is int
    assert layers == LayerRange(start, stop)
    assert hash(layers) == hash(LayerRange(start, stop))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("8-14",), ["'8-14'", "START:STOP", "'8:14'"]),
        (("-6:-1",), ["START:STOP", "counted from the first block, 0"]),
        (("8:",), ["START:STOP", "Both ends"]),
        (("8..14",), ["'8:14'"]),
        (("8,14",), ["'8:14'"]),
        (("8–14",), ["'8:14'"]),
        (("8",), ["START:STOP"]),
        (("",), ["START:STOP"]),
        ((":",), ["START:STOP"]),
        (("8:",), ["START:STOP"]),
        (("8:14:2",), ["START:STOP"]),
        (("-1:3",), ["START:STOP"]),
        (("1.0:3",), ["START:STOP"]),
        (("8:14\n9:10",), ["START:STOP"]),
        ((14, 8), ["14:8", "reversed", "8:14"]),
        (("14:8",), ["reversed", "8:14"]),
        ((-1, 3), ["-1:3", "negative"]),
        ((8,), ["stop=None"]),
        ((8.0, 14.0), ["8.0"]),
        ((True, 3), ["True"]),
        (("8:14", 15), ["'8:14'", "15"]),
        ((None, None), ["None"]),
        ((LayerRange(0, 1), 5), ["LayerRange('0:1')", "5"]),
    ],
)
def test_a_malformed_range_is_refused_and_shown(given: tuple, words: list[str]) -> None:
    with pytest.raises(LayerRangeError) as caught:
        LayerRange(*given)
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, SlrProbeError)
    assert isinstance(caught.value, ValueError)


def test_a_range_is_half_open() -> None:
    layers = LayerRange("2:5")
    assert list(layers) == [2, 3, 4]
    assert len(layers) == layers.width == 3
    assert [block in layers for block in range(7)] == [False, False, True, True, True, False, False]
    assert np.int64(4) in layers
    assert "2" not in layers
    assert list(LayerRange("3:3")) == []


def test_a_range_prints_as_it_is_written() -> None:
    layers = LayerRange(8, 14)
    assert str(layers) == "8:14"
    assert repr(layers) == "LayerRange('8:14')"
    assert eval(repr(layers)) == layers


def test_a_range_is_immutable_and_sorts_by_start() -> None:
    with pytest.raises(AttributeError):
        LayerRange(1, 2).start = 0  # type: ignore[misc]
    assert sorted([LayerRange(2, 3), LayerRange(0, 4), LayerRange(0, 1)]) == [
        LayerRange(0, 1),
        LayerRange(0, 4),
        LayerRange(2, 3),
    ]


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_all_ranges_are_counted_once(depth: int) -> None:
    ranges = LayerRange.all(depth)
    assert len(ranges) == len(set(ranges)) == depth * (depth + 1) // 2
    assert all(r.width >= 1 and r.stop <= depth for r in ranges)
    for width in range(1, depth + 1):
        assert LayerRange.all(depth, width=width) == [LayerRange(a, a + width) for a in range(depth - width + 1)]
    assert LayerRange.all(depth, width=depth + 1) == []


def test_a_range_is_checked_against_the_depth() -> None:
    layers = LayerRange("2:6")
    assert layers.within(6) is layers
    with pytest.raises(LayerRangeError, match=r"2:6 is out of bounds: the model has 5 decoder blocks.* 4:5"):
        layers.within(5)
    assert LayerRange("3:3").within(4) == LayerRange(3, 3)
    with pytest.raises(LayerRangeError, match="3:3 is empty"):
        LayerRange("3:3").within(4, allow_empty=False)
