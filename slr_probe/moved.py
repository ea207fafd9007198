"""Old module paths, which stay for one release: importing one warns and finds its names where they are now.

Nothing is imported until a name is asked for, and what is imported is the very same object.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

_MOVED = """
checkpoint.identity: checkpoint.open
checkpoint.resolve: checkpoint.open
compat: pair.compat
generation.ends: generation.decode
generation.jsonl: generation.outputs
generation.keyed: generation.draw
judges.models: judges.judge forward.budget
layout: checkpoint.names
loading: pair.load
organism.arithmetic: tasks.tiny.arithmetic
organism.lexicon: tasks.tiny.lexicon
organism.prose: tasks.tiny.prose
organism.task: tasks.tiny.task
plots: show.charts.maps show.charts.tradeoff plot_ranking=show.ranking.figure plot_sweep=show.sweep.figure
plots.activations: show.activations plot_comparison=show.activations.figure plot_recording=show.recording.figure
plots.jupyter: show.charts.style
plots.lens: show.lens plot_lens=show.lens.figure
plots.lineage: show.lineage plot_lineage=show.lineage.figure
plots.mask: show.mask plot_mask=show.mask.figure
plots.patching: show.patching plot_patching=show.patching.figure
plots.ranges: show.charts.maps plot_ranking=show.ranking.figure plot_sweep=show.sweep.figure
plots.style: show.charts.style show.words.format
plots.tradeoff: show.charts.tradeoff
plots.validation: show.validation plot_validation=show.validation.figure
plots.weights: show.weights plot_weight_delta=show.weights.figure
probes.activations_maths: probes.activations.likeness
probes.activations_result: probes.activations.result
probes.activations_store: probes.activations.store
probes.hooks: forward.hooks
probes.lens_inputs: forward.questions
probes.lens_maths: forward.distributions
probes.lens_measure: probes.lens.measure
probes.lens_readout: forward.readout
probes.lens_trace: probes.lens.result
probes.mask_data: probes.mask.examples
probes.mask_loss: probes.mask.model
probes.mask_model: probes.mask.model
probes.mask_overlap: probes.mask.overlap probes.mask.result
probes.mask_result: probes.mask.result
probes.mask_sample: probes.mask.examples
probes.mask_weights: probes.mask.weights Weights=probes.mask.weights.MaskWeights
probes.patching_cells: probes.patching.cells
probes.patching_metrics: probes.patching.metrics
probes.patching_result: probes.patching.result
probes.patching_walk: probes.patching.walk
probes.patching_walker: forward.kv_cache Walker=probes.patching.blockwise.BlockwiseModel
probes.points: forward.points
probes.spectral: probes.weights.spectral
probes.weights_result: probes.weights.result
probes.weights_stream: probes.weights.stream
prompts: pair.prompts.render pair.prompts.template pair.prompts.tokens
rank.agreement: rank.order
rank.attribution: rank.blocks.attribution
rank.collapse: rank.blocks.collapse
rank.mask_rates: probes.mask.rates
rank.meter: rank.measure Meter=rank.measure.Scorer
rank.scorers: rank.blocks.scorers find_scorer=rank.blocks.scorers.find_block_scorer
rank.weights: rank.blocks.weights
recipe_name: block_weight
report: study.report.page
report.choice: rank.compare
report.findings: study.folder
report.generated: study.report.generated study.report.figures
report.page: study.report.page
report.samples: study.report.samples
report.tables: study.report.tables study.report.ranges Row=study.report.tables.TableRow
report.verdict: rank.compare show.words.sentences
report.words: show.words.format
restoration.files: restoration.stream
restoration.output: output_folder
results: result files.write files.read show.words.format
side: pair.side pair.open
sweep.capture: forward.capture NotPure=forward.capture.NotReproducible
sweep.check: sweep.walk.check find_walk=sweep.walk.check.choose_runner
sweep.chunk: sweep.walk.chunk sweep.walk.plainly
sweep.execute: sweep.walk.execute Walk=sweep.walk.execute.BlockRunner
sweep.groups: sweep.prefixes.groups
sweep.keys: forward.kv_cache Keys=forward.kv_cache.KVCache Stopped=forward.surgery.StopForward
sweep.pool: sweep.walk.execute Pool=sweep.walk.execute.StatePool
sweep.reduce: forward.readout
sweep.surgery: forward.surgery
sweep.trie: sweep.prefixes.trie Path=sweep.prefixes.trie.BlockPath
tasks.distribution: forward.distributions
tasks.qa: tasks.builtin
tasks.query: tasks.answers
tasks.reasoning: tasks.builtin
tasks.small: tasks.tiny.small
tasks.writing: tasks.builtin
validation.comparison: comparison.paired stats.interval
validation.decompose: scoring.decompose
validation.folder: scoring.folder
validation.metrics: scoring.metrics
validation.on_disk: generation.backend
validation.report: validation.result
validation.scoring: scoring.scoring scoring.inputs scoring.measures Questions=scoring.inputs.ScoringInputs
validation.verdict: show.words.validation
"""
"""Old path, then the modules that hold its names now (the first that has one counts), and names that are new."""

_ROOT = "slr_probe."
MOVED = {_ROOT + old: homes.split() for old, homes in (line.split(":") for line in _MOVED.strip().splitlines())}


def find_name(homes: Sequence[str], name: str) -> Any:
    """The object that `name` was, from the first of the homes that has it.

    Args:
        homes: Modules, or `old=module.new` for one name.
        name: The name that is asked for.

    Raises:
        AttributeError: None has it.
    """
    for home in sorted(homes, key=lambda home: "=" not in home):
        old, renamed, path = home.partition("=")
        if renamed and old == name:
            module, _, new = path.rpartition(".")
            return getattr(import_module(_ROOT + module), new)
        if not renamed and hasattr(found := import_module(_ROOT + home), name):
            return getattr(found, name)
    raise AttributeError(name)


def watch_imports() -> None:
    """Let old paths be imported; the front page calls it once."""
    if not any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(_OldPaths())


class _OldPaths(MetaPathFinder, Loader):
    """Comes after Python's own finders: a module that exists is never replaced."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in MOVED:
            return None
        return spec_from_loader(name, self, is_package=any(old.startswith(name + ".") for old in MOVED))

    def exec_module(self, module: ModuleType) -> None:
        old, homes = module.__name__, MOVED[module.__name__]
        places = [home.rpartition("=")[2] for home in homes]
        now = " and ".join(_ROOT + place for place in places)
        warnings.warn(f"{old} is now {now}; the old path goes with the next release", DeprecationWarning, stacklevel=2)

        def get(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            try:
                return find_name(homes, name)
            except AttributeError:
                raise AttributeError(f"module {old!r} has no attribute {name!r}; what it held is in {now}") from None

        module.__dict__["__getattr__"] = get
