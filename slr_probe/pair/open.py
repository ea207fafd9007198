"""Opening both sides of a pair: found, opened and compared before any weight is read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint, at_revision, open_checkpoint, resolve
from slr_probe.errors import CheckpointError, IncompatiblePairError
from slr_probe.pair.compat import compare_configs, compare_files
from slr_probe.pair.fit import check_fit, looks_unusual
from slr_probe.pair.side import Side
from slr_probe.pair.wrapped import unwrap

_COUNTS = re.compile(r"(^|_)(n|num)_\w*(layer|block|expert)|layers$|^depth$")  # modules are made one by one of these
_ROTATION = re.compile(r"rope_theta$|rotary_emb_base$|^partial_rotary_factor$|^rotary_pct$")
_SHARES = ("partial_rotary_factor", "rotary_pct")  # of a head that is rotated
_MOST_PARTS, _MOST = 4096, 1 << 40  # ours: the deepest models have a few hundred blocks, the longest 10 million tokens


def open_sides(
    base: Any,
    tuned: Any,
    *,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    thorough: bool = False,
) -> tuple[Side, Side, tuple[str, ...]]:
    """Open both sides of a pair and check that they fit, reading configs and tensor headers only.

    Args:
        base: Pre-trained side: folder, hub id, embedded checkpoint, or a model in memory (also in a
            TransformerLens bridge or a model of nnsight).
        tuned: Post-trained side: the same, or the folder of an adapter over base.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint.
        base_revision: Branch, tag or commit of a hub id.
        tuned_revision: The same for the tuned side.
        thorough: Ask transformers whether the tensors fill its model, whatever their names look like.

    Returns:
        Base, tuned, and notes on differences that do no harm.

    Raises:
        CheckpointError: A side cannot be found or is corrupt.
        IncompatiblePairError: The two are not checkpoints of one architecture.
    """
    base_side = _open_side("base", base, None, download, trust_remote_code, base_revision)
    tuned_side = _open_side("tuned", tuned, base_side, download, trust_remote_code, tuned_revision)
    notes = _compare_configs(base_side, tuned_side) + _compare_tensors(base_side, tuned_side)
    for side in (base_side, tuned_side):
        if side.checkpoint is not None:
            notes += tuple(f"{side.role}: {note}" for note in side.checkpoint.index_notes)
    notes += _adapter_notes(base_side, tuned_side)
    for side in (base_side, tuned_side):
        if thorough or looks_unusual(side):
            notes += check_fit(side)
    return base_side, tuned_side, notes


def _open_side(
    role: str, source: Any, base: Side | None, download: bool, trust_remote_code: bool, revision: str | None
) -> Side:
    if not isinstance(source, (str, os.PathLike)):
        source = unwrap(role, source)
        if not hasattr(source, "state_dict") or not hasattr(source, "config"):
            raise IncompatiblePairError(
                f"{role} must be a folder, a hub id or a loaded transformers model; got {type(source).__name__}"
            )
        _check_in_memory(role, source)
        return Side(role, f"{type(source).__name__} in memory", model=source)
    source = at_revision(source, revision)
    path = resolve(source, download=download, code=trust_remote_code)
    checkpoint = open_checkpoint(path, base.checkpoint if base else None)
    other = checkpoint.config().get("transformers_weights")
    if other:
        raise CheckpointError(
            f"{checkpoint.config_path} names other weights (transformers_weights: {other!r}), which only transformers "
            "would read; take that entry out, or save the model again with model.save_pretrained(folder)"
        )
    plain = checkpoint if isinstance(checkpoint, Checkpoint) else checkpoint.base
    if plain.codes and not plain.says_quantised:
        raise CheckpointError(
            f"{plain.path} is quantised: '{plain.codes}' is a code or scale, and its config has no quantization_config "
            "that says how to read it; transformers would take codes for weights; give one that is not"
        )
    _check_numbers(checkpoint.config(), len(checkpoint.tensors), checkpoint.config_path)
    return Side(role, source, path, checkpoint, trust_remote_code=trust_remote_code)


def _check_in_memory(role: str, model: Any) -> None:
    """A model whose tensors are those of its checkpoint: no adapter beside them, no wrapper, no codes."""
    names = model.state_dict()
    kind = type(model).__name__
    if hasattr(model, "peft_config") or any(".base_layer." in name or ".lora_" in name for name in names):
        raise IncompatiblePairError(
            f"{role} is a model with an adapter ({kind}); give model.merge_and_unload(), or the folder of the adapter"
        )
    if any("._original_component." in name for name in names):
        raise IncompatiblePairError(
            f"{role} is inside a TransformerLens bridge ({kind}), which renames tensors; give the bridge, or its folder"
        )
    if any(name.startswith(("_orig_mod.", "module.")) for name in names):
        raise IncompatiblePairError(f"{role} is wrapped ({kind}); give the model inside: its _orig_mod or module")
    codes = [name for name, tensor in names.items() if name.endswith("weight") and tensor.itemsize == 1]
    if codes or getattr(model, "hf_quantizer", None) is not None:
        raise IncompatiblePairError(f"{role} is quantised ({kind}); give model.dequantize(), whose tensors are weights")


def _adapter_notes(base: Side, tuned: Side) -> tuple[str, ...]:
    """Whether the adapter names another base than the one it is merged over; folders move, last names stay."""
    checkpoint = tuned.checkpoint
    if not isinstance(checkpoint, AdapterCheckpoint) or not checkpoint.made_over or base.path is None:
        return ()
    named = checkpoint.made_over.rstrip("/").lower()
    known = {base.label.partition("@")[0].rstrip("/").lower(), str(base.path).lower()}
    if named in known or named.rpartition("/")[2] in {name.rpartition("/")[2] for name in known}:
        return ()
    return (f"the adapter was made over {checkpoint.made_over!r}, and is merged over {base.label}",)


def _check_numbers(config: Mapping[str, Any], tensors: int, path: Path) -> None:
    """What transformers believes: lists and modules of the length of a count, rotations by any base."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            _check_numbers(value, tensors, path)
        elif value is not None and _ROTATION.search(key):
            _check_rotation(key, value, path)
        elif isinstance(value, int) and abs(value) > (max(tensors, _MOST_PARTS) if _COUNTS.search(key) else _MOST):
            raise CheckpointError(f"{path}: {key} is {value}, which no model has; the file is damaged")


def _check_rotation(key: str, value: Any, path: Path) -> None:
    """Others give angles that are no numbers, or rotate more of a head than there is."""
    most = 1 if key in _SHARES else math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most or math.isinf(value):
        bound = "" if most == math.inf else " and at most 1"
        raise CheckpointError(f"{path}: {key} is {value!r}, and must be a number above 0{bound}; the file is damaged")


def _compare_configs(base: Side, tuned: Side) -> tuple[str, ...]:
    if base.checkpoint is not None and tuned.checkpoint is not None:
        notes = compare_files(base.checkpoint.config(), tuned.checkpoint.config())
        if notes is not None:
            return notes
    return compare_configs(base.config, tuned.config)


def _compare_tensors(base: Side, tuned: Side) -> tuple[str, ...]:
    """Notes on tensors outside the blocks that differ; those inside must agree in name and shape."""
    notes: list[str] = []
    problems: list[str] = []
    # Experts lie in a file one by one and in a model as one tensor: then only what both have can be compared.
    named_alike = (base.model is None) == (tuned.model is None)
    for name, address in tuned.addresses.items():
        if address.role == "other" or not (named_alike or address.key in base.names):
            continue
        difference, remedy = _difference(base, tuned, name)
        if difference and address.role == "block":
            problems.append(difference)
        elif difference:
            notes.append(f"{difference}; {remedy}")
    for key, name in base.names.items():
        if named_alike and key[0] == "block" and key not in tuned.names:
            problems.append(f"'{name}' of base is not in tuned")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise IncompatiblePairError(f"the tensors of base and tuned do not match: {problems[0]}{more}")
    return tuple(notes)


def _difference(base: Side, tuned: Side, name: str) -> tuple[str, str]:
    """How a tensor of tuned differs from that of base (empty where not), and what a hybrid does about it."""
    base_name = base.names.get(tuned.addresses[name].key)
    if base_name is None:
        return f"'{name}' of tuned is not in base", "the hybrid takes tuned's"
    shapes = base.shapes[base_name], tuned.shapes[name]
    if shapes[0] != shapes[1]:
        return f"'{name}' is {list(shapes[0])} in base and {list(shapes[1])} in tuned", "it can only come from tuned"
    return "", ""
