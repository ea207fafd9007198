"""What writing costs: lengths by their closed form, seconds as the sum of what is run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slr_probe.generation.cost import Pace, measure_pace
from slr_probe.generation.decode import Request, end_tokens
from slr_probe.generation.sampling import Sampling


def pace(lengths: list[int], ended: list[int]) -> Pace:
    return Pace(0.5, 0.1, 0.01, np.array(lengths), np.array(ended))


def test_outputs_that_were_followed_to_their_end_are_as_long_as_they_were() -> None:
    assert pace([2, 4, 6], [1, 1, 1]).expected_length(100) == 4
    assert pace([2, 10, 10], [1, 0, 0]).expected_length(10) == pytest.approx(22 / 3)


def test_outputs_that_never_end_are_as_long_as_they_may_be() -> None:
    assert pace([5, 5], [0, 0]).expected_length(64) == 64
    assert pace([5, 5], [0, 0]).ending_share(64) == 0


def test_outputs_that_are_left_end_at_the_rate_of_the_second_half() -> None:
    found = pace([10, 20, 20, 20], [0, 1, 0, 0])
    assert found.rate == pytest.approx(1 / 30)  # one end in 30 tokens beyond the tenth
    beyond = (1 - math.exp(-found.rate * 80)) * 30  # mean of an exponential, cut at 80
    assert found.expected_length(100) == pytest.approx(17.5 + 0.75 * beyond)
    assert found.ending_share(100) == pytest.approx(0.25 + 0.75 * (1 - math.exp(-80 / 30)))


def test_seconds_are_those_of_every_token_step_and_row() -> None:
    requests = [Request("a", (1,) * 6, (0, 1, 2)), Request("b", (1,) * 4, (0, 1, 2))]
    one_batch = 0.5 * 12 + 0.1 * 8 + 0.01 * 6 * 8
    assert pace([8, 8], [0, 0]).seconds(requests, Sampling(max_tokens=8)) == pytest.approx(one_batch)
    two = 0.5 * (6 + 4) + 2 * 0.1 * 8 + 0.01 * 6 * 8
    assert pace([8, 8], [0, 0]).seconds(requests, Sampling(max_tokens=8), batch_tokens=42) == pytest.approx(two)


def test_a_model_is_timed_and_followed(pair) -> None:
    requests = [Request(str(i), tuple(pair.render(f"Pick {i}.")), (0, 1)) for i in range(10)]
    found = measure_pace(pair.tuned, requests, Sampling(max_tokens=6), ends=end_tokens(pair), seconds=5)
    assert len(found.lengths) == 8
    assert (found.lengths[found.ended == 0] == 6).all()
    assert found.token > 0
    assert found.seconds(requests, Sampling(max_tokens=6)) > 0
    again = measure_pace(pair.base, requests, Sampling(max_tokens=6), ends=end_tokens(pair), seconds=5, like=found)
    assert (again.token, again.step, again.row) == (found.token, found.step, found.row)
