"""Times as people say them."""

from __future__ import annotations

_MINUTE, _HOUR = 60, 3600


def spell(seconds: float) -> str:
    """A time, as precise as an estimate is.

    Examples:
        >>> spell(0.3), spell(48), spell(95), spell(1260), spell(8000)
        ('1 s', '48 s', '1.6 min', '21 min', '2.2 h')
    """
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        minutes = seconds / _MINUTE
        return f"{minutes:.1f} min" if minutes < 10 else f"{minutes:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
