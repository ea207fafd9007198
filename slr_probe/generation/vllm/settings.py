"""Settings of vLLM's engine as a user gives them: read, typed and checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from slr_probe.errors import GenerationError, one_line

OURS = {
    "model": "it is the tuned checkpoint",
    "dtype": "give the pair its dtype",
    "seed": "every sample has a seed of its own; give the sampling its seed",
    "generation_config": "sampling settings are those that are asked for",
    "worker_extension_cls": "it swaps the weights",
    "logprobs_mode": "swaps are proved by raw log-probabilities",
    "trust_remote_code": "give it where the pair is loaded",
}
"""Settings that are decided elsewhere, and where."""
_ONLY_ROOM = frozenset(
    "gpu_memory_utilization kv_cache_memory_bytes cpu_offload_gb max_model_len max_num_seqs max_num_batched_tokens "
    "disable_log_stats".split()
)
_EXAMPLE = "such as tensor_parallel_size=2"


def read_settings(given: Iterable[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings by name, from a mapping or from texts `KEY=VALUE`.

    Raises:
        GenerationError: Something that is no setting, or one that is decided elsewhere.

    Examples:
        >>> read_settings(["tensor_parallel_size=2", "enforce_eager=true", "load_format=auto"])
        {'tensor_parallel_size': 2, 'enforce_eager': True, 'load_format': 'auto'}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        texts = [given] if isinstance(given, str) else list(given)
        found = dict(map(_read, texts))
        if len(found) < len(texts):
            raise GenerationError(f"a setting of the engine is given twice: {', '.join(texts)}")
    for name in found:
        if not isinstance(name, str):
            raise GenerationError(f"settings of the engine have names {_EXAMPLE}; got {name!r}")
        if name in OURS:
            raise GenerationError(f"{name} is no setting of the engine to give: {OURS[name]}")
    return found


def check_settings(settings: Mapping[str, Any], known: Any) -> None:
    """Check settings against vLLM's own list.

    Args:
        settings: By name.
        known: Its dataclass `EngineArgs`; of a version without one, vLLM itself checks.

    Raises:
        GenerationError: An unknown setting, or one of another type.
    """
    if not is_dataclass(known):
        return
    defaults = {field.name: field.default for field in fields(known)}
    for name, value in settings.items():
        if name not in defaults:
            near = get_close_matches(name, defaults, n=1)
            raise GenerationError(f"vLLM has no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        kind = type(defaults[name])
        numbers = kind is float and isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind in (bool, int, float, str) and type(value) is not kind and not numbers:
            raise GenerationError(f"{name} must be {kind.__name__}, as {defaults[name]!r} is; got {value!r}")


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that may change what is written; the others make room for it only."""
    return {name: settings[name] for name in sorted(settings) if name not in _ONLY_ROOM}


def _read(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=") if isinstance(text, str) else ("", "", "")
    name = name.strip().replace("-", "_")
    if not (name and mark and value.strip()):
        raise GenerationError(f"a setting of the engine is KEY=VALUE, {_EXAMPLE}; got {one_line(text, 100)!r}")
    try:
        return name, json.loads(value if value not in ("True", "False") else value.lower())
    except ValueError:
        return name, value.strip()
