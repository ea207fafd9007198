"""Parts on two Ray nodes: the same whoever does them, also where workers, machines or the caller die."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from slr_probe import ModelPair
from slr_probe.errors import ExecutorError, TaskError
from slr_probe.executor import LocalExecutor
from tests.executor import caller
from tests.executor.caller import Telling, sweeps, writes
from tests.executor.work import Squares


def test_a_worker_for_every_core_and_each_opens_the_work_once(workers, tmp_path):
    executor = workers()
    assert dict(executor.run(Squares(tmp_path), range(12))) == {i: i * i for i in range(12)}
    assert dict(executor.run(Squares(tmp_path), [5])) == {0: 25}
    assert 1 <= len(list(tmp_path.glob("opened-*"))) <= 3


def test_killed_workers_are_replaced_and_their_parts_done_by_others(workers, tmp_path):
    work = Squares(tmp_path, deadly={0: 1, 3: 2})
    assert dict(workers(2).run(work, range(5))) == {i: i * i for i in range(5)}
    assert len(list(tmp_path.glob("died-*"))) == 3


def test_a_part_that_ends_every_worker_is_given_up(workers, tmp_path):
    with pytest.raises(ExecutorError, match="part 1 of 2 ended 4 workers"):
        list(workers(1).run(Squares(tmp_path, deadly={7: 99}), [6, 7]))


def test_an_error_of_a_part_arrives_as_it_was_and_the_executor_goes_on(workers, tmp_path):
    executor = workers(2)
    with pytest.raises(TaskError, match="part 4 cannot be done"):
        list(executor.run(Squares(tmp_path, refused=4), range(6)))
    assert dict(executor.run(Squares(tmp_path), [2])) == {0: 4}


def test_no_machine_has_room(workers, tmp_path):
    with pytest.raises(ExecutorError, match=r"needs 2 GPU\(s\) on one machine"):  # there are two, on two machines
        list(workers().run(Squares(tmp_path, gpus=2), [1]))


def test_a_machine_that_goes(cluster, workers, tmp_path):
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    cluster.wait_for_nodes()
    running = workers(4).run(Squares(tmp_path), range(40))
    found = dict([next(running)])
    cluster.remove_node(node)
    found.update(running)
    assert found == {i: i * i for i in range(40)}


@pytest.fixture(scope="module")
def pair(pair_of):
    return ModelPair.load(*pair_of("gemma3_text").folders, device="cpu")


@pytest.fixture(scope="module")
def swept(pair):
    return sweeps(pair, LocalExecutor())


@pytest.fixture(scope="module")
def written(pair):
    return writes(pair, LocalExecutor())


def test_a_sweep_and_text_are_the_same_bytes_for_any_number_of_workers(pair, swept, written, workers):
    executor = workers()
    assert swept.settings["chunks"] == 6
    for executor.workers in (1, 2, 3):
        assert_same(sweeps(pair, executor), swept)
        assert writes(pair, executor) == written


def test_a_caller_that_is_killed_at_ten_random_moments(cluster, python, pair, swept, written, workers, tmp_path):
    notes, chance = tmp_path / "notes", np.random.default_rng(0)
    folders = (pair.base_side.path, pair.tuned_side.path)
    for _ in range(10):
        arguments = [python, str(Path(caller.__file__)), *map(str, folders), str(tmp_path), cluster.address]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            number = int(child.stdout.readline())
            time.sleep(chance.uniform(0, 0.4))
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    assert 5 <= notes.read_text().count("kept") < 18
    here = Telling(workers(2), notes)
    assert_same(sweeps(pair, here, tmp_path), swept)
    assert writes(pair, here, tmp_path) == written
    kept = []
    for line in notes.read_text().splitlines():
        what, part = line.split(" ", 1)
        assert part not in kept or part == "()", f"done twice: {part}"
        if what == "kept":
            kept.append(part)


def test_an_engine_on_several_gpus_has_them_on_one_machine(cluster, workers, tmp_path):
    from ray.util import placement_group_table

    node = cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=80 << 20)
    cluster.wait_for_nodes()
    executor = workers()
    assert dict(executor.run(Squares(tmp_path, gpus=2, deadly={1: 1}), [1, 2])) == {0: 1, 1: 4}
    seen = {path.read_text() for path in tmp_path.glob("opened-*")}
    assert seen == {"0,1"}, "a worker, and the one in its place, see both GPUs of their machine"
    assert [one["strategy"] for one in _places(placement_group_table())] == ["STRICT_PACK"]
    executor.close()
    assert not _places(placement_group_table())
    cluster.remove_node(node)


def _places(table):
    return [one for one in table.values() if one["state"] != "REMOVED"]


def assert_same(one, other):
    assert np.array_equal(one.answer_logprobs, other.answer_logprobs)
    assert np.array_equal(one.invalid_tokens, other.invalid_tokens)
    assert np.array_equal(one.invalid_logprobs, other.invalid_logprobs)
