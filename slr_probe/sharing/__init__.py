"""A hybrid on its way to others: built again from its record, published."""

from slr_probe.sharing.publish import publish
from slr_probe.sharing.reproduce import Reproduction, reproduce

__all__ = ["Reproduction", "publish", "reproduce"]
