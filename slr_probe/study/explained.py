"""What each setting of a study means, for the comments of `settings.toml`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields

from slr_probe.signature import Parameter, parameters, plain
from slr_probe.study.settings import Settings

_RANK = "rank.search:rank_layers"


def explained() -> dict[str, dict[str, str]]:
    """What each setting means, by table and key: as its own class says, or the function that takes it."""
    taken: dict[str, Mapping[str, Parameter]] = {
        "common": parameters(_RANK),
        "delta": parameters("probes.weights.measure:weight_delta"),
        "patching": parameters("probes.patching.patch:patch_activations"),
        "rank": parameters(_RANK),
        "mask": parameters("probes.mask.learn:learn_layer_mask"),
        "validate": {**parameters("validation.run:validate"), **parameters("generation.sampling:Sampling")},
        "report": parameters("study.report.page:write_report"),
    }
    found: dict[str, dict[str, str]] = {}
    for table, kind in typing.get_type_hints(Settings).items():
        known = {**taken.get(table, {})}
        known |= {name: one for name, one in parameters(f"study.settings:{kind.__name__}").items() if one.help}
        found[table] = {one.name: plain(known[one.name].help) for one in fields(kind)}
    return found
