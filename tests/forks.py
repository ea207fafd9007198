"""A program that imports once: tests that measure memory run its body in forks, each as fresh as the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SERVE = """
import json, os, sys
exec(sys.argv[1])
body = sys.argv[2]
for line in sys.stdin:
    sys.argv = ["-c", *json.loads(line)]
    sys.stdout.flush()
    child = os.fork()
    if not child:
        exec(body)
        sys.stdout.flush()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print("done" if status == 0 else "failed", flush=True)
"""


class Forks:
    """Runs the body with other arguments, one fork at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *arguments: object) -> str:
        """What the body prints with these arguments."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(one) for one in arguments]) + "\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line in ("done\n", "failed\n"):
                assert line == "done\n", "the body failed; its error is above"
                return "".join(lines)
            lines.append(line)
        raise AssertionError("the program ended; its error is above")


@contextmanager
def forks(imports: str, body: str, **environment: Any) -> Iterator[Forks]:
    """A process that has run `imports`, and runs `body` in forks as often as it is asked."""
    command = [sys.executable, "-c", _SERVE, imports, body]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Forks(process)
        assert process.stdin is not None
        process.stdin.close()
