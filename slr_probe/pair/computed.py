"""Do two configs that are spelled differently make the same model? Asked of the model that transformers builds."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

_ALWAYS = frozenset({"model_type", "quantization_config", "tie_word_embeddings"})  # not of modules, or not seen in them
_SHARED = ("masking_utils", "integrations.sdpa_attention", "integrations.flash_attention")
_BUILDING = ("__init__", "__post_init__", "_init_weights", "compute_default_rope_parameters")


def compute_alike(base: PretrainedConfig, tuned: PretrainedConfig, fields: Iterable[str]) -> bool:
    """Whether two configs that differ in these fields make models that compute the same, weights aside.

    What is only read while a model is built shows in its modules: their kinds, shapes and numbers. A field that
    transformers reads later, while the model runs, is taken to matter.

    Args:
        base: Text config of base.
        tuned: The same of tuned.
        fields: Fields in which they differ, dotted where they are nested.
    """
    from transformers import AutoModelForCausalLM

    try:
        kinds = {AutoModelForCausalLM._model_mapping[type(config)] for config in (base, tuned)}
        kind = kinds.pop()
        names = {part for field in fields for part in field.split(".")}
        if kinds or names & _ALWAYS or names & _read_while_running(kind.__module__):
            return False
        return _structure(kind, base) == _structure(kind, tuned)
    except Exception:  # a class that comes with the checkpoint, or a config from which nothing can be built
        return False


@cache
def _read_while_running(module: str) -> frozenset[str]:
    """Every name that the code of a model reads outside of what builds it; more than the fields of its config."""
    import importlib

    found: set[str] = set()
    for name in (module, *(f"transformers.{shared}" for shared in _SHARED)):
        source = inspect.getsource(sys.modules.get(name) or importlib.import_module(name))
        for function in _functions(ast.parse(source)):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and not _is_self(node.value):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return frozenset(found)


def _functions(tree: ast.Module) -> Iterable[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name not in _BUILDING)


def _is_self(value: ast.expr) -> bool:
    """Whether an attribute is the module's own, which `_structure` compares."""
    return isinstance(value, ast.Name) and value.id in ("self", "module")


def _structure(kind: Any, config: PretrainedConfig) -> list[tuple[str, ...]]:
    """Every module of a model without weights: its kind, the shapes of its tensors and its plain attributes."""
    import torch

    with torch.device("meta"):
        model: nn.Module = kind._from_config(type(config).from_dict(config.to_dict()))
    return [(name, *_signature(module)) for name, module in model.named_modules()]


def _signature(module: nn.Module) -> tuple[str, ...]:
    """What a module is. An activation is what it does to numbers: the same one has several names and classes."""
    import torch
    from transformers import activations

    home = type(module).__module__
    if home in (activations.__name__, "torch.nn.modules.activation") and not any(True for _ in module.parameters()):
        values = module(torch.linspace(-4, 4, 33, device="cpu")).tolist()
        return ("activation", *(f"{value:.5f}" for value in values))
    return (type(module).__name__, *_tensors(module), *_plain(module))


def _tensors(module: nn.Module) -> list[str]:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return [f"{name} {list(tensor.shape)}" for name, tensor in own]


def _plain(module: nn.Module) -> list[str]:
    shown = {name: value for name, value in vars(module).items() if not name.startswith("_") and name != "name_or_path"}
    values = {name: _written(value) for name, value in shown.items()}
    return [f"{name} {value}" for name, value in sorted(values.items()) if value is not None]


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, (bool, int, float, str, tuple, list)):
        return repr(value)
    return getattr(value, "__qualname__", None) if callable(value) else None
