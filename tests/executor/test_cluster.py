"""Parts on two Ray nodes: the same whoever does them, also where workers, machines or the caller die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slr_probe import ModelPair
from slr_probe.errors import ExecutorError, TaskError
from slr_probe.executor import LocalExecutor, RayExecutor
from slr_probe.sweep import sweep
from slr_probe.sweep.spread import BLOCK
from slr_probe.tasks.answers import Query
from tests.executor.work import Squares

PROMPTS = [Query((11, 12, 20 + i, *range(30, 31 + i % 4)), ((20, 21), (22,))) for i in range(3 * BLOCK - 5)]


@pytest.fixture
def workers(cluster):
    """`workers(2)`: an executor with two workers, which go when the test ends."""
    made = []

    def make(count=None):
        made.append(RayExecutor(cluster.address, workers=count))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


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
    with pytest.raises(ExecutorError, match="needs 1 GPU"):
        list(workers().run(Squares(tmp_path, gpus=1), [1]))


def test_a_machine_that_goes(cluster, workers, tmp_path):
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    cluster.wait_for_nodes()
    running = workers(4).run(Squares(tmp_path), range(40))
    found = dict([next(running)])
    cluster.remove_node(node)
    found.update(running)
    assert found == {i: i * i for i in range(40)}


def test_a_sweep_gives_the_same_bytes_for_any_number_of_workers(pair_of, workers):
    pair = ModelPair.load(*pair_of("gemma3_text").folders, device="cpu")
    here = sweep(pair, ["1:2", "0:3"], PROMPTS, executor=LocalExecutor())
    assert here.settings["chunks"] == 3
    executor = workers()
    for count in (1, 2, 3):
        executor.workers = count
        assert_same(sweep(pair, ["1:2", "0:3"], PROMPTS, executor=executor), here)


_CHILD = """
import sys, time
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair
from slr_probe.sweep import sweep
from slr_probe.sweep.store import ChunkStore
from tests.executor.test_cluster import PROMPTS

append = ChunkStore.append
def slowly(self, *args):
    append(self, *args)
    print("saved", flush=True)
    time.sleep(60)
ChunkStore.append = slowly
pair = ModelPair.load(sys.argv[1], sys.argv[2], device="cpu")
sweep(pair, ["1:2", "0:3"], PROMPTS, out=sys.argv[3], executor="ray://" + sys.argv[4])
"""


def test_a_caller_that_is_killed(cluster, pair_of, workers, tmp_path, monkeypatch):
    folders = pair_of("gemma3_text").folders
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", _CHILD, *map(str, folders), str(tmp_path), cluster.address]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "saved\n"
        child.send_signal(signal.SIGKILL)
    pair = ModelPair.load(*folders, device="cpu")
    executor, done = workers(1), []
    run = executor.run
    monkeypatch.setattr(executor, "run", lambda work, parts: done.extend(parts) or run(work, parts))
    resumed = sweep(pair, ["1:2", "0:3"], PROMPTS, out=tmp_path, executor=executor)
    assert len(done) == 2, "a finished part was done again"
    assert_same(resumed, sweep(pair, ["1:2", "0:3"], PROMPTS, executor=LocalExecutor()))


def assert_same(one, other):
    assert np.array_equal(one.answer_logprobs, other.answer_logprobs)
    assert np.array_equal(one.invalid_tokens, other.invalid_tokens)
    assert np.array_equal(one.invalid_logprobs, other.invalid_logprobs)
