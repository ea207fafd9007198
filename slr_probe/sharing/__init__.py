"""A hybrid on its way to others: as a patch, built again from its record, published."""

from slr_probe.sharing.patch import apply_patch, save_patch
from slr_probe.sharing.publish import publish
from slr_probe.sharing.reproduce import Reproduction, reproduce

__all__ = ["Reproduction", "apply_patch", "publish", "reproduce", "save_patch"]
