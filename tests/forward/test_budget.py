import random

import pytest
import torch

from slr_probe.errors import SweepError
from slr_probe.forward.budget import as_dtype, by_length, in_dtype, parse_bytes, runs, spans


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("1kib", 1024), ("2.5 MB", 2_500_000), ("7", 7), (7, 7)]
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["lots", "", "-1", 0, True, "4 parsecs", None])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(SweepError, match="memory must be a size"):
        parse_bytes(text)


def test_dtypes_by_name():
    assert as_dtype("bfloat16") is as_dtype(torch.bfloat16) is torch.bfloat16
    assert as_dtype(None) is None
    for name in ("int8", "float99", "nn"):
        with pytest.raises(SweepError, match="unknown dtype"):
            as_dtype(name)


def test_only_floating_tensors_are_cast():
    assert in_dtype(torch.ones(2), torch.bfloat16).dtype == torch.bfloat16
    assert in_dtype(torch.tensor([1]), torch.bfloat16).dtype == torch.int64
    assert in_dtype(torch.ones(2), None).dtype == torch.float32


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("rows", [None, 1, 3])
@pytest.mark.parametrize("tokens", [None, 20])
def test_batches_hold_every_sequence_once_within_their_bounds(equal, rows, tokens):
    rng = random.Random(0)
    lengths = [rng.randrange(1, 12) for _ in range(30)]
    batches = list(by_length(lengths, rows=rows, tokens=tokens, equal=equal))
    assert sorted(i for batch in batches for i in batch) == list(range(30))
    order = [lengths[i] for batch in batches for i in batch]
    assert order == sorted(lengths)
    for batch in batches:
        assert rows is None or len(batch) <= rows
        assert tokens is None or len(batch) * max(lengths[i] for i in batch) <= tokens
        assert not equal or len({lengths[i] for i in batch}) == 1


def test_a_sequence_longer_than_the_bound_is_a_batch_by_itself():
    assert list(by_length([50, 2], tokens=10)) == [[1], [0]]


@pytest.mark.parametrize("total", [0, 1, 7])
def test_spans_and_runs_cover_everything_in_order(total):
    items = list(range(total))
    assert [i for span in spans(total, 3) for i in items[span]] == items
    for binary in (True, False):
        pieces = list(runs(items, 3, binary=binary))
        assert [i for piece in pieces for i in piece] == items
        assert all(len(piece) in ((1, 2) if binary else (1, 2, 3)) for piece in pieces)
