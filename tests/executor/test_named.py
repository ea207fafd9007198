"""Executors by name, and the one that needs nothing."""

import pytest

from slr_probe.errors import ExecutorError, TaskError
from slr_probe.executor import LocalExecutor, RayExecutor, executes, opened
from tests.executor.work import Squares


@pytest.mark.parametrize(("name", "kind"), [("local", LocalExecutor), ("ray", RayExecutor), ("ray://h:1", RayExecutor)])
def test_names(name, kind):
    with opened(name) as executor:
        assert isinstance(executor, kind)
        assert getattr(executor, "address", None) == (name.partition("://")[2] or None)


def test_no_name_is_no_executor_and_an_executor_is_itself():
    own = LocalExecutor()
    with opened(None) as none, opened(own) as same:
        assert none is None
        assert same is own


@pytest.mark.parametrize("name", ["slurm", "ray://", "raylet", "", "local://here", 3])
def test_what_is_no_executor_is_refused(name):
    with pytest.raises(ExecutorError, match="'ray://HOST:PORT'"), opened(name):
        pass


def test_the_name_becomes_one_executor_for_the_time_of_the_call():
    @executes
    def outer(*, executor=None):
        return executor, inner(executor=executor)

    @executes
    def inner(*, executor=None):
        return executor

    first, second = outer(executor="local")
    assert isinstance(first, LocalExecutor)
    assert second is first
    assert outer() == (None, None)


def test_local_does_all_parts_and_opens_the_work_once(tmp_path):
    found = dict(LocalExecutor().run(Squares(tmp_path), [3, 1, 2]))
    assert found == {0: 9, 1: 1, 2: 4}
    assert len(list(tmp_path.glob("opened-*"))) == 1
    assert list(LocalExecutor().run(Squares(tmp_path / "absent"), [])) == []


def test_local_passes_errors_on(tmp_path):
    with pytest.raises(TaskError, match="part 2"):
        list(LocalExecutor().run(Squares(tmp_path, refused=2), [1, 2]))


def test_counts_of_workers():
    with pytest.raises(ExecutorError, match="at least 1"):
        RayExecutor(workers=0)


def test_a_cluster_that_is_not_there_is_one_line_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pytest.importorskip("ray"), "is_initialized", lambda: False)
    with (
        pytest.raises(ExecutorError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be reached"),
        opened("ray://127.0.0.1:1") as executor,
    ):
        list(executor.run(Squares(tmp_path), [1]))
