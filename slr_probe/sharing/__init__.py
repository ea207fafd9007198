"""A hybrid on its way to others: built again from its record, as a patch, published."""

from slr_probe.sharing.reproduce import Reproduction, reproduce

__all__ = ["Reproduction", "reproduce"]
