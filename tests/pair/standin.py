"""Two devices that are none: tensors of the processor which believe that they lie elsewhere, and never mix.

An operation on tensors of both is an error, as it is on two GPUs; each is computed by the processor. Registered for
the whole process, so a test runs in one of its own: `python -m tests.pair.standin BASE TUNED`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

CPU = torch.device("cpu")
POINTS = ["resid_post", "mlp_out"]
ANSWERS = ((20,), (21,), (22,))
QUESTIONS = [((5, 6, 7 + i, 8, 9), ANSWERS) for i in range(3)] + [((5, 6, 7), ANSWERS)]
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
_tensor = torch.tensor


class Placed(torch.Tensor):
    """A tensor of the processor that says that it lies on another device."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor, device: torch.device) -> Placed:
        shape = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, device=device, **shape)

    def __init__(self, inner: torch.Tensor, device: torch.device) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class Devices(TorchDispatchMode):
    """Makes tensors where they are asked for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    given = tree_leaves((args, kwargs))
    tensors = [one for one in given if isinstance(one, torch.Tensor)]
    devices = {one.device for one in tensors if isinstance(one, Placed) or one.ndim}
    if len(devices) > 1 and function not in COPIES:
        raise RuntimeError(f"{function}: tensors on {sorted(map(str, devices))}")
    asked = [one for one in given if isinstance(one, torch.device)]
    device = (asked or [one.device for one in tensors if isinstance(one, Placed)] or [CPU])[0]

    def bare(one: Any) -> Any:
        return one.inner if isinstance(one, Placed) else CPU if isinstance(one, torch.device) else one

    found = function(*tree_map(bare, args), **tree_map(bare, kwargs))
    if function._schema.is_mutable and isinstance(args[0], torch.Tensor):
        return args[0]
    return found if device == CPU else tree_map(lambda one: _placed(one, device), found)


def _placed(one: Any, device: torch.device) -> Any:
    return Placed(one, device) if isinstance(one, torch.Tensor) and not isinstance(one, Placed) else one


def install() -> None:
    """Register the devices `stand:0` and `stand:1`."""
    _setup_privateuseone_for_python_backend("stand")

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = _tensor(data, **options)
        return made if device is None else made.to(device)

    def enter(mode: Any) -> None:  # wrapped tensors cannot be views in the true inference mode
        mode.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)

    torch.tensor = tensor
    torch.inference_mode.__enter__ = enter
    torch.inference_mode.__exit__ = lambda mode, *_: torch.set_grad_enabled(mode.before)


def main(base: str, tuned: str) -> None:
    """Probe a pair here and spread over both, and print the largest difference of each array."""
    from slr_probe import ModelPair, generate, logit_lens, patch_activations
    from slr_probe.pair import several
    from slr_probe.probes.activations.record import record
    from slr_probe.sweep import sweep
    from slr_probe.tasks.answers import Query

    here, there = (ModelPair.load(base, tuned, device="cpu") for _ in range(2))
    assert here.base.device == here.tuned.device == there.base.device == there.tuned.device == CPU  # all are loaded
    install()
    several.free_memory = lambda: {0: 1 << 30, 1: 1 << 30}
    queries = [Query(*one) for one in QUESTIONS]
    probes = {
        "lens": lambda pair: logit_lens(pair, queries, progress=False),
        "patch": lambda pair: patch_activations(pair, queries, progress=False),
        "everywhere": lambda pair: patch_activations(pair, queries, positions="all", progress=False),
    }
    with Devices():
        for model in (there.base, there.tuned):
            several.spread(model, several.place(model, "stand"))
        there.device = there.tuned.device
        found: dict[str, Any] = {"devices": sorted({str(p.device) for p in there.tuned.parameters()})}
        found |= {name: _difference(probe(here), probe(there)) for name, probe in probes.items()}
        kept = [record(pair, queries, points=POINTS, progress=False) for pair in (here, there)]
        found["record"] = max(float((a - b).abs().max()) for a, b in zip(*map(_values, kept), strict=True))
        refused = {
            "sweep": lambda: sweep(there, None, queries, stream=False, progress=False),
            "text": lambda: generate(there, [("1", "a cat")], ["tuned"], samples=1, progress=False),
        }
        found |= {name: _said(work) for name, work in refused.items()}
    print(json.dumps(found))


def _values(kept: Any) -> list[torch.Tensor]:
    return [kept.read(name, point, block) for name in ("base", "tuned") for point in POINTS for block in kept.blocks]


def _difference(one: Any, other: Any) -> float:
    arrays = {n: a for n, a in vars(one).items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    gaps = {n: np.nan_to_num(a, neginf=0) - np.nan_to_num(getattr(other, n), neginf=0) for n, a in arrays.items()}
    return max(float(np.abs(gap).max()) for gap in gaps.values())


def _said(work: Callable[[], Any]) -> str:
    from slr_probe import SlrProbeError

    try:
        work()
    except SlrProbeError as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    main(*sys.argv[1:])
