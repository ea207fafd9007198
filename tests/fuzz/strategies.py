"""What files of others may hold: any JSON, any text, and pieces of what the readers look for."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

BOUNDED = settings(derandomize=True, database=None, deadline=2000, max_examples=50)
"""The same examples in every run, each with two seconds at most."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.sampled_from([2**31, 2**63, -(2**70), 10**400])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\x1b[2J", "../..", "\ud800", "x" * 5000])
)
plain_data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def pieces(*words: str, most: int = 12):
    """Texts put together from words that a reader knows, and from any others."""
    return st.lists(st.sampled_from(words) | st.text(max_size=6), max_size=most).map("".join)


def wrong(data: dict, keys):
    """An object with some fields replaced, taken out or added."""

    def put(changes):
        return {key: value for key, value in {**data, **changes}.items() if value is not ...}

    return st.dictionaries(st.sampled_from(keys), plain_data | st.just(...), min_size=1, max_size=3).map(put)
