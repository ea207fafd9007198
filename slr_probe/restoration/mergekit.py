"""The same hybrid as a mergekit recipe, for pipelines that already use mergekit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from slr_probe.checkpoint import at_revision, is_adapter, resolve, split_revision
from slr_probe.errors import CheckpointError, RecipeError
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side
from slr_probe.recipe import BlockWeight, Recipe
from slr_probe.restoration.plan import check_names, grid

Rules = tuple[tuple[str | None, float], ...]  # (part of a tensor name, share of tuned); None is the rest


def to_mergekit(
    recipe: Recipe,
    base: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    *,
    infer_architecture: bool = False,
    download: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
) -> str:
    """YAML with which mergekit (0.1.5 or later) builds exactly the hybrid of `recipe`.

    mergekit takes embeddings from the first slice and final norm and head from the last, which for a plain list of
    slices is not Selective Layer Restoration. The YAML therefore starts and ends with empty slices that carry those
    parts, and names tuned as the model whose config and tokenizer are kept. Whole-block recipes use `passthrough`;
    interpolations and single components use `linear` with weights by tensor name. bf16 and fp16 results are equal
    number by number (`linear` writes -0.0 as 0.0); float32 interpolations can differ in the last bit, because
    mergekit fuses multiplication and addition.

    Args:
        recipe: The recipe.
        base: Base checkpoint, as mergekit will find it; read here only where tensor names are needed.
        tuned: Tuned checkpoint, likewise.
        infer_architecture: Let mergekit take the list of tensors from the files instead of its own table for the
            architecture, which leaves out, for example, Llama's optional biases.
        download: Let hub ids be fetched when tensor names are needed.
        base_revision: Branch, tag or commit of base, where that is a hub id; or name it as `org/name@revision`.
        tuned_revision: The same for tuned.

    Returns:
        YAML text.

    Raises:
        RecipeError: A component that the model does not have.
        CheckpointError: Tensor names are needed and a checkpoint cannot be opened.

    Examples:
        >>> print(Recipe.restore("1:3", depth=4).to_mergekit("base", "tuned"))  # doctest: +ELLIPSIS
        merge_method: passthrough
        base_model: tuned
        slices:
        - sources:
          - model: tuned
            layer_range: [0, 0]
        ...
    """
    import yaml

    if recipe.end_bias:
        raise RecipeError(f"mergekit merges weights; '{recipe}' has an end bias, which restore writes: leave it out")
    names = [at_revision(base, base_revision), at_revision(tuned, tuned_revision)]
    models = [_model(names[0], infer=infer_architecture), _tuned_model(names, infer=infer_architecture)]
    whole = all(block.is_tuned or block.is_base for block in recipe.blocks)
    ends = {recipe.embedding, recipe.final_norm, recipe.head}
    method = "passthrough" if whole and len(ends) == 1 and ends <= {0.0, 1.0} else "linear"
    side = None
    if len(ends) > 1 or any(block.overrides for block in recipe.blocks):
        side = open_sides(*names, download=download)[1]
        check_names(recipe, side)
    end = _end_rules(recipe, side)
    slices = [_slice(end, 0, 0, models, method)]
    for weight, run in groupby(range(recipe.depth), key=lambda i: recipe.blocks[i]):
        blocks = list(run)
        rules = _block_rules(weight, side)
        slices.append(_slice(rules, blocks[0], blocks[-1] + 1, models, method))
    slices.append(_slice(end, 0, 0, models, method))
    config: dict[str, Any] = {"merge_method": method, "base_model": _tuned_model(names), "slices": slices}
    if method == "linear":
        config["parameters"] = {"normalize": False}
    return str(yaml.dump(config, Dumper=_dumper(), sort_keys=False, default_flow_style=False))


def _end_rules(recipe: Recipe, side: Side | None) -> Rules:
    if side is None:
        return ((None, grid(recipe.head)),)
    shares = {
        name: recipe.share(address.block, address.group, address.component)
        for name, address in side.addresses.items()
        if address.role in ("embedding", "final_norm", "head")
    }
    return _checked({_module(name): grid(share) for name, share in shares.items()}, shares)


def _block_rules(weight: BlockWeight, side: Side | None) -> Rules:
    if side is None:
        return ((None, grid(weight.default)),)
    shares = {
        f".{address.suffix}": weight.share(address.group, address.component)
        for address in side.addresses.values()
        if address.role == "block"
    }
    rules: dict[str, float] = {}
    for first, members in groupby(sorted(shares), key=lambda suffix: suffix.split(".")[1]):
        suffixes = list(members)
        kinds = {grid(shares[suffix]) for suffix in suffixes}
        if len(kinds) == 1:
            rules[f".{first}."] = kinds.pop()
        else:
            rules.update({_module(suffix): grid(shares[suffix]) for suffix in suffixes})
    return _checked(rules, shares)


def _checked(rules: Mapping[str, float], shares: Mapping[str, float]) -> Rules:
    """Rules in the order in which mergekit tries them, after trying them as it will.

    Raises:
        RecipeError: Names of this model cannot be told apart by parts of them.
    """
    if len(set(rules.values())) == 1:
        return ((None, next(iter(rules.values()))),)
    ordered = sorted(rules.items(), key=lambda rule: -len(rule[0]))
    for name, share in shares.items():
        first = next((value for part, value in ordered if part in name), None)
        if first != grid(share):
            raise RecipeError(f"mergekit cannot tell '{name}' from other tensors of this model by a part of its name")
    return (*ordered, (None, 1.0))


def _module(name: str) -> str:
    return name.rpartition(".")[0] + "."


def _slice(rules: Rules, start: int, stop: int, models: Sequence[Any], method: str) -> dict[str, Any]:
    shares = {share for _, share in rules}
    sources = []
    for model, of_tuned in zip(models, (False, True), strict=True):
        if shares == {0.0 if of_tuned else 1.0}:
            continue  # nothing is taken from this model here, so it is not read
        source: dict[str, Any] = {"model": model, "layer_range": _Inline([start, stop])}
        if method == "linear":
            weights = [(part, share if of_tuned else 1.0 - share) for part, share in rules]
            source["parameters"] = {"weight": weights[0][1] if len(weights) == 1 else [_entry(*w) for w in weights]}
        sources.append(source)
    return {"sources": sources}


def _entry(part: str | None, value: float) -> dict[str, Any]:
    return {"value": value} if part is None else {"filter": part, "value": value}


def _tuned_model(names: Sequence[str], *, infer: bool = False) -> Any:
    """The tuned side: an adapter is named together with the base that it is merged into."""
    base, tuned = names
    try:
        adapter = is_adapter(resolve(tuned))
    except CheckpointError:  # it is where mergekit will run
        adapter = False
    return _model(base, tuned, infer=infer) if adapter else _model(tuned, infer=infer)


def _model(name: str, lora: str | None = None, *, infer: bool = False) -> Any:
    """A model as mergekit reads it; in plain text `+` means an adapter and `@` a revision."""
    written = name if lora is None else f"{name}+{lora}"
    plain = written.count("+") == (lora is not None) and "@" not in written
    if plain and not infer:
        return written
    model = {"model": _path(name)} | ({} if lora is None else {"lora": _path(lora)})
    return model | ({"override_architecture": "Inferred"} if infer else {})


def _path(name: str) -> dict[str, str]:
    name, revision = split_revision(name)
    return {"path": name} | ({} if revision is None else {"revision": revision})


class _Inline(list[int]):
    """A list that is written on one line."""


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        _Inline, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
    )
    return Dumper
