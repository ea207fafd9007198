import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from slr_probe.executor import RayExecutor
from tests.executor.forking import forking_python


@pytest.fixture(scope="package")
def python():
    """A Python that has imported torch already; runs Ray's workers and `caller.py`."""
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, forking_python(Path(folder)) as program:
        yield program


@pytest.fixture(scope="package")
def cluster(python):
    """Two Ray nodes on this machine, of two cores and one, each with a GPU that is none."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    small = {"num_gpus": 1, "object_store_memory": 80 << 20}
    head = {"num_cpus": 2, "include_dashboard": False, "temp_dir": str(Path(python).parent)}  # of logs and sockets
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", python)  # with which Ray's nodes start their workers
        found = Cluster(initialize_head=True, head_node_args=head | small)
        found.add_node(num_cpus=1, **small)
    ray.init(address=found.address, log_to_driver=False)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture(autouse=True)
def limit():
    """A test that hangs fails, after far more than it takes on a machine that is busy with other things."""

    def give_up(*_):
        raise TimeoutError("the test takes too long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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
