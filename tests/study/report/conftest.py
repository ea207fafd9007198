"""Reports are read from the same finished study that the study's own tests use."""

from tests.rank.conftest import pair, task
from tests.study.conftest import done, own

__all__ = ["done", "own", "pair", "task"]
