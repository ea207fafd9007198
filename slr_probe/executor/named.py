"""Executors by name, as functions and the command line take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from slr_probe.errors import ExecutorError
from slr_probe.executor.cluster import RayExecutor
from slr_probe.executor.executor import Executor, LocalExecutor

Args = ParamSpec("Args")
Found = TypeVar("Found")


@contextmanager
def opened(executor: Executor | str | None) -> Iterator[Executor | None]:
    """An executor by name; one that was opened here lets its workers go in the end.

    Args:
        executor: `"local"`, `"ray"` (the cluster that this machine belongs to, else one of this machine alone),
            `"ray://HOST:PORT"` (the cluster with that head), an executor, or None for none.

    Raises:
        ExecutorError: There is none of that name.

    Examples:
        >>> with opened("local") as executor:
        ...     print(executor)
        LocalExecutor()
    """
    if not isinstance(executor, str):
        if executor is not None and not callable(getattr(executor, "run", None)):
            raise ExecutorError(f"an executor is 'local', 'ray', 'ray://HOST:PORT' or has run(); got {executor!r}")
        yield executor
        return
    found = _named(executor)
    try:
        yield found
    finally:
        found.close()


def _named(name: str) -> Executor:
    kind, mark, address = name.partition("://")
    if name == "local":
        return LocalExecutor()
    if kind == "ray" and bool(address) == bool(mark):
        return RayExecutor(address or None)
    raise ExecutorError(f"unknown executor {name!r}; expected 'local', 'ray' or 'ray://HOST:PORT'")


def executes(function: Callable[Args, Found]) -> Callable[Args, Found]:
    """Let a function take `executor` as `opened` does, and have it open while it runs."""

    @wraps(function)
    def call(*args: Args.args, **kwargs: Args.kwargs) -> Found:
        with opened(cast("Executor | str | None", kwargs.get("executor"))) as executor:
            if executor is not None:
                kwargs["executor"] = executor
            return function(*args, **kwargs)

    return call
