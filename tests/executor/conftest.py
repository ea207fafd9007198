import os
import sys
import tempfile
from pathlib import Path

import pytest

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
