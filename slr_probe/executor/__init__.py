"""Where work is done: here, or on the machines of a Ray cluster. It is cut by content, never by who does it."""

from slr_probe.executor.calls import each
from slr_probe.executor.cluster import RayExecutor
from slr_probe.executor.executor import Executor, LocalExecutor, Work
from slr_probe.executor.named import executes, opened

__all__ = ["Executor", "LocalExecutor", "RayExecutor", "Work", "each", "executes", "opened"]
