r"""slr_probe: where in depth did post-training destroy output diversity, and how to repair it without training.

The flow, from left to right; nothing on the left imports anything on its right:

    checkpoints -> ModelPair -> weight_delta, record, logit_lens, patch_activations, learn_layer_mask --\
                       |                                                                             >-> rank_layers
                       '-----> sweep (recipes x CRC prompts, exact distributions) ------------------/         |
                                                                                                         LayerRange
                                     restore, restored <------------------------------------------------------'
                                        '-> hybrid -> verify_hybrid -> generate, validate -> report

    checkpoints of several stages -> trace_lineage: when diversity was lost, and where
    outputs saved by whomever -> compare: paired by prompt, every metric with its interval

`run_study` does all of it in one go; the sweep alone is `slr_probe.sweep.sweep`. Names load on first use, so
`import slr_probe` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from slr_probe.moved import watch_imports

if TYPE_CHECKING:
    from slr_probe.comparison import compare
    from slr_probe.errors import SlrProbeError
    from slr_probe.generation import generate
    from slr_probe.layers import LayerRange
    from slr_probe.lineage import lineage_from_scores, trace_lineage
    from slr_probe.pair import ModelPair
    from slr_probe.probes.activations.record import record
    from slr_probe.probes.lens.lens import logit_lens
    from slr_probe.probes.mask.learn import learn_layer_mask
    from slr_probe.probes.patching.patch import patch_activations
    from slr_probe.probes.weights.measure import weight_delta
    from slr_probe.rank import rank_layers
    from slr_probe.recipe import Recipe
    from slr_probe.restoration import restore, restored, verify_hybrid
    from slr_probe.study import run_study
    from slr_probe.tasks.crc import CRCTask
    from slr_probe.validation import validate
    from slr_probe.version import __version__ as __version__

_HOMES = {
    "ModelPair": "slr_probe.pair",
    "LayerRange": "slr_probe.layers",
    "Recipe": "slr_probe.recipe",
    "restored": "slr_probe.restoration",
    "restore": "slr_probe.restoration",
    "verify_hybrid": "slr_probe.restoration",
    "weight_delta": "slr_probe.probes.weights.measure",
    "record": "slr_probe.probes.activations.record",
    "logit_lens": "slr_probe.probes.lens.lens",
    "patch_activations": "slr_probe.probes.patching.patch",
    "learn_layer_mask": "slr_probe.probes.mask.learn",
    "CRCTask": "slr_probe.tasks.crc",
    "generate": "slr_probe.generation",
    "compare": "slr_probe.comparison",
    "validate": "slr_probe.validation",
    "trace_lineage": "slr_probe.lineage",
    "lineage_from_scores": "slr_probe.lineage",
    "rank_layers": "slr_probe.rank",
    "run_study": "slr_probe.study",
    "SlrProbeError": "slr_probe.errors",
    "__version__": "slr_probe.version",
}

__all__ = [
    "CRCTask",
    "LayerRange",
    "ModelPair",
    "Recipe",
    "SlrProbeError",
    "compare",
    "generate",
    "learn_layer_mask",
    "lineage_from_scores",
    "logit_lens",
    "patch_activations",
    "rank_layers",
    "record",
    "restore",
    "restored",
    "run_study",
    "trace_lineage",
    "validate",
    "verify_hybrid",
    "weight_delta",
]

watch_imports()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slr_probe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
