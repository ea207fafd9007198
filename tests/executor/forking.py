"""Python that has imported everything already: one process whose forks run scripts, such as Ray's workers.

Each of Ray's workers is a Python of its own that imports torch and transformers, seconds of a core. Here Ray, and tests
that start callers, call a small program in place of Python, which has the script run by a fork of one process.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FORKED = ("default_worker.py", "caller.py")  # the first is what Ray's workers run
_PYTHON = """#!{python} -IS
import json, os, socket, sys
if os.path.basename(sys.argv[1]) not in {forked!r}:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(line, [len(asked).to_bytes(4, "big")], [1, 2])
    line.sendall(asked)
    line.recv(1)  # until the fork ends
"""


@contextmanager
def forking_python(folder: Path) -> Iterator[str]:
    """A program that runs `PROGRAM SCRIPT ARGUMENTS...` as Python would; the fork that does it dies with nobody's help.

    Args:
        folder: Where it is put; its path must be short.
    """
    address, program = str(folder / "fork"), folder / "python"
    program.write_text(_PYTHON.format(python=sys.executable, address=address, forked=_FORKED))
    program.chmod(0o755)
    with subprocess.Popen([sys.executable, "-m", "tests.executor.forking", address], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield str(program)
        finally:
            server.terminate()


def _serve(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)  # who asks before all is imported waits
        _import()
        while True:
            line = listening.accept()[0]
            if not os.fork():
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(line)
            line.close()


def _import() -> None:
    import torch
    import transformers.models.gemma3.modeling_gemma3  # noqa: F401

    import slr_probe.generation.calls.spread
    import slr_probe.validation.cost  # noqa: F401
    import tests.executor.caller
    import tests.executor.work  # noqa: F401

    torch.set_num_threads(1)
    assert "ray" not in sys.modules, "Ray's library reads the environment, such as a worker's job, when it is loaded"


def _become(line: socket.socket) -> None:
    """Be the script that was asked for, as long as it takes."""
    head, outputs, _, _ = socket.recv_fds(line, 4, 2)
    size, text = int.from_bytes(head, "big"), b""
    while len(text) < size:
        text += line.recv(size - len(text))
    arguments, environment, folder = json.loads(text)
    for place, output in enumerate(outputs, 1):
        os.dup2(output, place)
        os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
