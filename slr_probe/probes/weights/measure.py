"""`weight_delta`: what post-training changed in every weight matrix, streamed from two checkpoints."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from slr_probe.errors import SlrProbeError
from slr_probe.pair import ModelPair
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side
from slr_probe.probes.weights.result import WeightDelta
from slr_probe.probes.weights.stream import HELD, DeltaSums, MemoryGate, TensorJob
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Spectral = Literal["auto", "all", "none"]
_PART = 16 << 20  # elements of one job where a tensor can be cut
_WORKERS = 8
_ROLES = ("embedding", "block", "final_norm", "head", "other")
_INTEGER = ("I64", "I32", "I16", "I8", "U8", "BOOL")


def weight_delta(
    base: str | os.PathLike[str] | PreTrainedModel | ModelPair,
    tuned: str | os.PathLike[str] | PreTrainedModel | None = None,
    *,
    spectral: Spectral = "auto",
    tolerance: float = 1e-3,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    progress: bool | None = None,
) -> WeightDelta:
    """Compare every tensor of two checkpoints without loading a model.

    Folders are read tensor by tensor in pieces, so memory does not grow with the model. A LoRA adapter is never merged:
    norms, cosine and singular values follow from its factors and one pass over the base.

    Args:
        base: Folder, hub id, `"organism:..."`, loaded model, or a `ModelPair` (then `tuned` is left out).
        tuned: The same, or the folder of a LoRA adapter over `base`.
        spectral: Spectral norms of which matrices: `"auto"` (all in blocks; outside, those below 48 million elements),
            `"all"` (large embeddings and heads cost several more passes over them), or `"none"`.
        tolerance: Relative error bound of spectral norms of larger matrices, see `spectral.spectral_norm`; those
            that must be read again for each step (above 48 million elements) may reach less, as
            `spectral_error` then says.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let a checkpoint's own Python code run.
        base_revision: Branch, tag or commit of base, where that is a hub id.
        tuned_revision: The same for tuned.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Raises:
        CheckpointError: A side is missing, corrupt, pickled, or has NaN or infinite weights.
        IncompatiblePairError: The two are not of one architecture.

    Examples:
        >>> delta = weight_delta("organism:base", "organism:dpo")
        >>> list(delta.to_dataframe(by="block")["block"])
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if spectral not in ("auto", "all", "none"):
        raise SlrProbeError(f"unknown spectral={spectral!r}; expected 'auto', 'all' or 'none'")
    if isinstance(base, ModelPair):
        if tuned is not None:
            raise SlrProbeError("weight_delta(pair) takes no second model: a ModelPair holds both")
        one, other = base.base_side, base.tuned_side
    elif tuned is None:
        raise SlrProbeError("weight_delta needs two checkpoints: weight_delta(base, tuned), or a ModelPair")
    else:
        one, other, _ = open_sides(
            base,
            tuned,
            download=download,
            trust_remote_code=trust_remote_code,
            base_revision=base_revision,
            tuned_revision=tuned_revision,
        )
    names, notes = _comparable(one, other)
    jobs = [job for name, twin in names.items() for job in _jobs(one, other, name, twin, spectral, tolerance)]
    sums = dict.fromkeys(names, DeltaSums())
    for job, part in zip(jobs, _run(jobs, progress), strict=True):
        whole = job.start == 0 and job.stop == _elements(other, job.name)
        sums[job.name] = part if whole else sums[job.name] + part
    if spectral != "none":  # without a change it is known for free
        sums = {name: part if part.delta else replace(part, spectral=0.0, error=0.0) for name, part in sums.items()}
    return _result(one, other, sums, notes)


def _comparable(base: Side, tuned: Side) -> tuple[dict[str, str], tuple[str, ...]]:
    """Names of tensors in tuned with their names in base, in the order of the model; and why others are left out."""
    names, notes = {}, []
    order = {role: i for i, role in enumerate(_ROLES)}
    addresses = sorted(tuned.addresses.items(), key=lambda item: (order[item[1].role], item[1].block or 0))
    for side in (base, tuned):
        if side.checkpoint is not None:
            side.checkpoint.require_numbers()
    states = [None if side.model is None else side.model.state_dict() for side in (base, tuned)]
    seen: set[tuple[int, ...]] = set()
    for name, address in addresses:
        twin = base.names.get(address.key)
        if twin is None:
            notes.append(f"'{name}' is only in tuned")
        elif base.shapes[twin] != tuned.shapes[name]:
            notes.append(f"'{name}' is {list(base.shapes[twin])} in base and {list(tuned.shapes[name])} in tuned")
        elif _floating(base, twin, states[0]) and _floating(tuned, name, states[1]):
            # Tied tensors of a loaded model share their data; on disk one that is tied is stored once.
            places = (_place(states[0], twin), _place(states[1], name))
            if 0 not in places and places in seen:
                notes.append(f"'{name}' is tied to a tensor that is compared already")
                continue
            seen.add(places)
            names[name] = twin
    notes += [f"'{name}' is only in base" for key, name in base.names.items() if key not in tuned.names]
    return names, tuple(notes)


def _place(state: dict[str, Tensor] | None, name: str) -> int:
    """Where a loaded tensor lies in memory; 0 for one on disk."""
    return 0 if state is None else state[name].data_ptr()


def _floating(side: Side, name: str, loaded: dict[str, Tensor] | None) -> bool:
    if loaded is not None:
        return loaded[name].is_floating_point()
    assert side.checkpoint is not None
    return side.checkpoint.tensors[name].dtype not in _INTEGER


def _jobs(base: Side, tuned: Side, name: str, twin: str, spectral: Spectral, tolerance: float) -> list[TensorJob]:
    size, address = _elements(tuned, name), tuned.addresses[name]
    wanted = spectral == "all" or (spectral == "auto" and (address.role == "block" or size <= HELD))
    whole = TensorJob(base, tuned, twin, name, 0, size, wanted, tolerance)
    if wanted or whole.low_rank is not None:
        return [whole]
    return [TensorJob(base, tuned, twin, name, i, min(i + _PART, size)) for i in range(0, size, _PART)] or [whole]


def _elements(side: Side, name: str) -> int:
    return math.prod(side.shapes[name])


def _run(jobs: list[TensorJob], progress: bool | None) -> list[DeltaSums]:
    """Run jobs in threads of one core each: their pieces are far too small to be worth splitting."""
    import torch

    gate, threads = MemoryGate(HELD), torch.get_num_threads()

    def work(job: TensorJob) -> DeltaSums:
        with gate.hold(job.held):
            return job.run()

    sums = [DeltaSums()] * len(jobs)
    total = sum(job.stop - job.start for job in jobs)
    pool = ThreadPoolExecutor(min(threads, _WORKERS), initializer=torch.set_num_threads, initargs=(1,))
    try:
        with progress_bar(total, "weight delta", unit=" weights", show=progress) as shown:
            largest_first = sorted(range(len(jobs)), key=lambda i: jobs[i].start - jobs[i].stop)
            futures = {pool.submit(work, jobs[i]): i for i in largest_first}
            for future in as_completed(futures):
                i = futures[future]
                sums[i] = future.result()
                shown.update(jobs[i].stop - jobs[i].start)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # threads that start later would inherit the workers' setting
    return sums


def _result(base: Side, tuned: Side, sums: dict[str, DeltaSums], notes: tuple[str, ...]) -> WeightDelta:
    addresses = [tuned.addresses[name] for name in sums]
    parts = list(sums.values())
    sizes = np.array([_elements(tuned, name) for name in sums])
    square = {key: np.array([getattr(part, key) for part in parts], dtype=float) for key in ("base", "tuned", "delta")}
    return WeightDelta(
        base=base.label,
        tuned=tuned.label,
        depth=tuned.depth,
        name=tuple(sums),
        block=np.array([-1 if address.block is None else address.block for address in addresses], dtype=np.int64),
        group=tuple(address.group for address in addresses),
        component=tuple(address.component for address in addresses),
        shape=tuple(tuned.shapes[name] for name in sums),
        delta_norm=np.sqrt(square["delta"]),
        base_norm=np.sqrt(square["base"]),
        tuned_norm=np.sqrt(square["tuned"]),
        spectral_norm=np.array([part.spectral for part in parts]),
        spectral_error=np.array([part.error for part in parts]),
        changed=np.array([part.changed for part in parts]) / np.maximum(sizes, 1),
        notes=notes,
    )
