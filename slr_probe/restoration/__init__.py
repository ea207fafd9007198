"""Hybrids: in memory (`restored`), on disk (`restore`), and proved (`verify_hybrid`)."""

from slr_probe.restoration.disk import restore
from slr_probe.restoration.memory import restored
from slr_probe.restoration.verify import HybridReport, verify_hybrid

__all__ = ["HybridReport", "restore", "restored", "verify_hybrid"]
