"""`RayExecutor`: the parts of a piece of work, done by actors on the machines of a Ray cluster."""

from __future__ import annotations

import os
import socket
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from slr_probe.errors import ExecutorError, LostPartError, SlrProbeError, foreign
from slr_probe.executor.executor import Found, Part, Work
from slr_probe.executor.worker import Worker, versions

_TRIES = 4  # ours: times that a part may be given to a worker that does not live to finish it
_PATIENCE = 60.0  # ours: seconds to wait for a first worker before saying so
_ANSWER = 10.0  # ours: seconds in which the head of a cluster has to answer
_FAREWELL = 20.0  # ours: seconds that workers have to end engines and delete their files
_MISSING = "executor='ray' needs Ray, which is an extra: pip install 'slr-probe[cluster]', or use executor='local'"


class RayExecutor:
    """Does parts on a Ray cluster; workers start with the first part and stay until `close`.

    There are as many workers as the machines have room for: one for each GPU (or `Work.gpus` of them, of one machine,
    which a placement group keeps for it) where the work runs on GPUs, else one for every so many cores as this process
    has threads. A worker that is killed, or whose machine goes, is replaced, and its part is given to another.

    Args:
        address: `HOST:PORT` of the cluster's head; None for the cluster of this machine, which is made where there is
            none.
        workers: Most workers; None for as many as there is room for.

    Raises:
        ExecutorError: Not a count.
    """

    def __init__(self, address: str | None = None, *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ExecutorError(f"workers must be at least 1; got {workers}")
        self.address, self.workers = address, workers
        self._ray: Any = None
        self._ours = False
        self._gpus = 0
        self._idle: list[Any] = []
        self._doing: dict[Any, tuple[Any, int | None]] = {}  # by what was promised: the worker, and its part if any
        self._places: dict[Any, Any] = {}  # the placement group of each worker that has several GPUs

    def __repr__(self) -> str:
        return f"RayExecutor({self.address!r})"

    def run(self, work: Work[Part, Found], parts: Sequence[Part]) -> Iterator[tuple[int, Found]]:
        """The number of each part and what it gave, as parts are finished.

        Raises:
            ExecutorError: Ray is missing or cannot be reached, no machine has room for a worker, or one part ends
                every worker that tries it.
            SlrProbeError: What a part raised.
        """
        if not parts:
            return
        self._hire(work.gpus, len(parts))
        sent = [self._ray.put(work)]
        queue, tries = deque(range(len(parts))), Counter[int]()
        try:
            while queue or self._at_work:
                while queue and self._idle:
                    self._give(self._idle.pop(), sent, queue[0], parts[queue.popleft()])
                number, found = self._next()
                if found is not None:
                    yield number, found[0]
                elif number is not None:
                    tries[number] += 1
                    if tries[number] == _TRIES:
                        raise LostPartError(
                            f"part {number} of {len(parts)} ended {_TRIES} workers that tried it; they may lack memory",
                            number,
                        )
                    queue.appendleft(number)
        finally:
            self._abandon()

    def close(self) -> None:
        """Let all workers go; a cluster that was made here ends."""
        self._let_go()
        if self._ours:
            self._ray.shutdown()
        self._ray, self._ours = None, False

    @property
    def _at_work(self) -> bool:
        return any(number is not None for _, number in self._doing.values())

    def _next(self) -> tuple[Any, list[Any] | None]:
        """Wait for one worker: the part that it finished with what it gave, or the part that it lost, or neither."""
        promised = self._wait()
        worker, number = self._doing.pop(promised)
        try:
            found = self._ray.get(promised)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(worker)
            raise _own(error) from error
        except self._ray.exceptions.RayError as error:  # the worker or its machine is gone
            if number is None and isinstance(error, self._ray.exceptions.ActorDiedError):
                _refuse_broken(error)
            place = self._places.pop(worker, None)  # which stays: nobody else is to get these GPUs
            self._kill(worker)
            self._start(place)
            self._roll_call()
            return number, None
        self._idle.append(worker)
        return number, None if number is None else [found]

    def _wait(self) -> Any:
        """The next promise that is kept or broken."""
        kept: list[Any] = []
        while not kept:
            kept, _ = self._ray.wait(list(self._doing), num_returns=1, timeout=_PATIENCE)
            if not kept and not self._at_work:
                warnings.warn("no worker could be started yet: the Ray cluster has no free room", stacklevel=5)
        return kept[0]

    def _roll_call(self) -> None:
        """Let idle workers answer before they get a part: those of a machine that went with the one that was lost."""
        for worker in self._idle:
            self._doing[worker.ready.remote()] = (worker, None)
        self._idle = []

    def _hire(self, gpus: int, parts: int) -> None:
        """As many workers as there is room and work for."""
        if self._ray is None:
            self._connect()
        if gpus != self._gpus:
            self._let_go()
        self._gpus = gpus
        room = self._room() if self.workers is None else self.workers
        if not room:
            needs = f"{gpus} GPU(s) on one machine" if gpus else "one core"
            raise ExecutorError(f"no machine of the Ray cluster has room for a worker, which needs {needs}")
        for _ in range(min(room, parts) - len(self._idle) - len(self._doing)):
            self._start()

    def _let_go(self) -> None:
        """End all workers; those that are idle first end their engines and delete what they made for themselves."""
        if self._idle and self._ray.is_initialized():
            ending = [worker.end.remote() for worker in self._idle]
            self._ray.wait(ending, num_returns=len(ending), timeout=_FAREWELL)
        for worker in [*self._idle, *(worker for worker, _ in self._doing.values()), *self._places]:
            self._kill(worker)
        self._idle, self._doing = [], {}

    def _connect(self) -> None:
        ray = _import()
        ours = not ray.is_initialized()
        if ours:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent unless somebody asks for it
            where = f"at {self.address}" if self.address else "of this machine"
            with foreign(ExecutorError, f"the Ray cluster {where} cannot be reached"):
                _knock(self.address)
                ray.init(
                    address=self.address, log_to_driver=False, include_dashboard=False if not self.address else None
                )
        self._ours = ours
        self._ray = ray

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _room(self) -> int:
        """Workers that fit."""
        key, each = ("GPU", self._gpus) if self._gpus else ("CPU", self._cores())
        return sum(int(node.get(key, 0) // each) for node in self._nodes())

    def _cores(self) -> int:
        """Cores that a worker takes: one a thread, or all of the smallest machine that has any."""
        cores = [int(node["CPU"]) for node in self._nodes() if node.get("CPU", 0) >= 1]
        return max(1, min([_threads(), *cores]))

    def _start(self, place: Any = None) -> None:
        """Hire one worker, into a place that another left if there is one."""
        options: dict[str, Any] = {"num_cpus": 1 if self._gpus else self._cores(), "num_gpus": self._gpus}
        if self._gpus > 1:
            from ray.util import placement_group
            from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

            if place is None:
                place = placement_group([{"CPU": 1, "GPU": self._gpus}], strategy="STRICT_PACK")
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(place)
        make = self._ray.remote(Worker).options(max_restarts=0, **options)
        worker = make.remote(_threads(), versions())
        if place is not None:
            self._places[worker] = place
        self._doing[worker.ready.remote()] = (worker, None)

    def _give(self, worker: Any, sent: list[Any], number: int, part: Any) -> None:
        self._doing[worker.do.remote(sent, part)] = (worker, number)

    def _abandon(self) -> None:
        """End workers whose parts nobody waits for any more, as after an error."""
        for promised, (worker, number) in list(self._doing.items()):
            if number is not None:
                del self._doing[promised]
                self._kill(worker)

    def _kill(self, worker: Any) -> None:
        if self._ray is not None and self._ray.is_initialized():
            self._ray.kill(worker)
            place = self._places.pop(worker, None)
            if place is not None:
                from ray.util import remove_placement_group

                remove_placement_group(place)


def _import() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ExecutorError(_MISSING) from error
    return ray  # type: ignore[no-any-return]


def _knock(address: str | None) -> None:
    """Raise where nothing answers at a port: Ray would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER).close()


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _own(error: Any) -> BaseException:
    """What a part raised: our errors as they were, others with where they came from."""
    cause = error.cause
    return cause if isinstance(cause, SlrProbeError) else ExecutorError(f"a part failed on a worker: {error}")


def _refuse_broken(error: Any) -> None:
    """Raise what keeps workers from starting at all; one that was killed while it started is replaced instead."""
    text = str(error)
    if "ExecutorError" in text or "ModuleNotFoundError" in text or "ImportError" in text:
        last = [line for line in text.splitlines() if "Error" in line][-1].strip()
        raise ExecutorError(f"a worker cannot start: {last}; install slr-probe on every machine") from error
