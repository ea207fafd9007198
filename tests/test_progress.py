"""Bars show on a terminal and in Jupyter, and nowhere else."""

from __future__ import annotations

import sys
import types

import pytest

from slr_probe.progress import progress_bar


class ZMQInteractiveShell:
    """Named as the shell of a Jupyter kernel."""


@pytest.mark.parametrize(("shell", "shown"), [(None, False), (object(), False), (ZMQInteractiveShell(), True)])
def test_a_bar_shows_in_a_kernel_and_not_where_its_packages_are_imported(
    monkeypatch: pytest.MonkeyPatch, shell: object, shown: bool
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr("slr_probe.progress.find_spec", lambda name: None)
    with progress_bar(1, "work") as found:
        assert found.disable is not shown
    with progress_bar(1, "work", show=not shown) as found:
        assert found.disable is shown
