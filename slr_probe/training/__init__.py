"""A model while it is trained: validity and diversity of its answers, every so many steps."""

from slr_probe.training.callback import CRCCallback
from slr_probe.training.live import CRCPoint, LiveCRC

__all__ = ["CRCCallback", "CRCPoint", "LiveCRC"]
