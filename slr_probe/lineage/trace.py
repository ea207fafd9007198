"""`trace_lineage`: where along post-training was diversity lost, and in which layers?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slr_probe.lineage.depth import Depth
from slr_probe.lineage.result import Lineage
from slr_probe.lineage.scores import assemble, read_stages, same_prompts
from slr_probe.pair import ModelPair
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.scoring import Scorers, Tags
from slr_probe.scoring.tasks import read_size, read_tasks, resize
from slr_probe.tasks.thinking import THINK
from slr_probe.validation.methods import PLAIN

if TYPE_CHECKING:
    from slr_probe.generation import Outputs, Sampling
    from slr_probe.tasks.text import TextTask

Checkpoint = str | os.PathLike[str]
SAMPLES = 16
"""Outputs a prompt, as in arXiv 2604.16027."""


def trace_lineage(
    stages: Iterable[tuple[str, Checkpoint]],
    tasks: Any = None,
    *,
    branches: Mapping[str, Iterable[tuple[str, Checkpoint]]] | None = None,
    preset: str = "full",
    prompts: int | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    sampling: Sampling | None = None,
    metric: str | None = None,
    plain_base: bool = True,
    depth: bool = True,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    tags: Tags = (THINK,),
    out: str | os.PathLike[str] | None = None,
    dtype: Any = None,
    device: Any = None,
    download: bool = False,
    trust_remote_code: bool = False,
    batch_tokens: int | None = None,
    backend: str = "hf",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool | None = None,
) -> Lineage:
    """Generate with every stage of post-training and measure when diversity was lost, and where in depth.

    The protocol is that of arXiv 2604.16027 unless said otherwise: 16 outputs a prompt, temperature 0.6, top-p 0.95,
    reasoning taken out, metrics per prompt and then averaged. The tasks are ours.

    Args:
        stages: Name and checkpoint of each stage in order, base first.
        tasks: `TextTask`s, names of built-in ones, or files of prompts; default: writing, qa and reasoning.
        branches: Further stages after base: name of a branch, and its stages. They are called `branch/stage`.
        preset: `"full"`, or `"quick"`: 8 prompts, 8 samples, 48 tokens.
        prompts: Prompts a task.
        samples: Outputs a prompt.
        max_tokens: Tokens an output may have.
        sampling: How outputs are drawn.
        metric: The metric of `stage_loss`; default: embedding distance with an embedder, else EAD.
        plain_base: Ask base with the plain prompt, as a chat template is off-distribution for it (ours).
        depth: Also measure weight changes and entropy over depth; needs both models in memory at once.
        embedder: Adds embedding distance and Vendi score.
        entailment: Adds NLI diversity.
        fluency: Adds negative log-likelihood.
        judge: Adds a judge's mean score.
        tags: Tags of reasoning that is taken out of every output first; `()` for none.
        out: Folder for outputs, scores, result and figure; a killed run goes on there.
        dtype: Dtype of the models.
        device: Device of the models.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let a checkpoint's own Python code run.
        batch_tokens: Tokens in one batch of generation.
        backend: `"hf"` or `"vllm"`.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of prompts, sampling and bootstrap.
        progress: Whether to show progress bars.

    Raises:
        LineageError: Fewer than two stages, or a name twice.
        CheckpointError: A stage is missing or corrupt.
        IncompatiblePairError: A stage is not of base's architecture.
        OutputError: `out` holds another run.

    Examples:
        >>> stages = [("base", "organism:base"), ("sft", "organism:sft"), ("dpo", "organism:dpo")]
        >>> lineage = trace_lineage(stages, preset="quick", out="lineage")  # doctest: +SKIP
        >>> lineage.stage_loss  # doctest: +SKIP
    """
    from slr_probe.generation import Sampling

    names, parents, given = read_stages(stages, branches)
    wanted = SAMPLES if samples is None and preset != "quick" else samples
    size = read_size(preset, prompts, wanted, max_tokens)
    opened = {"dtype": dtype, "device": device, "download": download, "trust_remote_code": trust_remote_code}
    pairs = [ModelPair.load(given[0], one, **opened) for one in given[1:]]  # reads headers only: bad stages fail first
    asked = [resize(task, size, seed) for task in read_tasks(pairs[0], tasks)]
    sampled = sampling or Sampling(temperature=0.6, top_p=0.95, seed=seed)
    scorers = Scorers(len(pairs[0].tokenizer), embedder, entailment, fluency, judge, tags)
    settings = _settings(names, parents, pairs, asked, sampled, plain_base, scorers)
    folder = Folder(out)
    follows = {key: value for key, value in settings.items() if key not in ("scorers", "library")}
    options = {"batch_tokens": batch_tokens, "backend": backend, "progress": progress}
    outputs: dict[str, list[Outputs]] = {task.name: [] for task in asked}
    where = Depth()
    with folder.at_work(follows):
        for at in range(1, len(names)):
            pair = pairs[at - 1]
            first = {0: PLAIN if plain_base else "base"} if at == 1 else {}
            for task in asked:
                for place, model in {**first, at: "tuned"}.items():
                    outputs[task.name].append(_generate(pair, task, names[place], model, sampled, folder, options))
            if depth:
                before = None if parents[at] == 0 else pairs[parents[at] - 1].tuned_side.path
                lens = [item.prompt for task in asked for item in task.items][:40]
                kept = None if folder.path is None else folder.path / "depth"
                where.add(names[at], pair, before, lens, kept, {"progress": progress})
            pairs[at - 1] = _closed(pair)
        scored = {}
        for task in asked:
            same, _ = same_prompts(outputs[task.name], names, task.name)
            scores = [folder.scores(task, one, scorers, f"{task.name}-{one.model}") for one in same]
            scored[task.name] = (same[0].ids, scores)
        lineage = assemble(
            names,
            parents,
            scored,
            {task.name: task for task in asked},
            metric,
            level=level,
            resamples=resamples,
            seed=seed,
            settings=settings,
            notes=tuple(where.notes),
            **where.fields(),
        )
        keep(lineage, folder)
    return lineage


def keep(lineage: Lineage, folder: Folder) -> None:
    """Write the lineage, its tables and its figure; nothing where there is no folder."""
    folder.keep(lineage, "lineage", "lineage")
    if lineage.has_depth:
        folder.keep_text("depth.csv", lineage.depth_table().to_csv(index=False))


def _generate(
    pair: ModelPair,
    task: TextTask,
    name: str,
    model: str,
    sampling: Sampling,
    folder: Folder,
    options: dict[str, Any],
) -> Outputs:
    from slr_probe.generation import generate

    found = generate(
        pair,
        [(item.id, item.prompt) for item in task.items],
        {name: model},
        samples=task.samples,
        sampling=replace(sampling, max_tokens=task.max_tokens),
        out=folder.outputs(task.name, name),
        **options,
    )
    return found[name]


def _closed(pair: ModelPair) -> ModelPair:
    """The pair without its loaded models, so that only one pair is in memory at a time."""
    for side in ("base", "tuned"):
        vars(pair).pop(side, None)
    return pair


def _settings(
    names: list[str],
    parents: list[int],
    pairs: list[ModelPair],
    tasks: list[TextTask],
    sampling: Sampling,
    plain_base: bool,
    scorers: Scorers,
) -> dict[str, Any]:
    from slr_probe.pair.side import fingerprint
    from slr_probe.validation.assemble import record_scorers, record_tasks, versions

    sides = [pairs[0].base_side, *(pair.tuned_side for pair in pairs)]
    return {
        "stages": [
            {"name": name, "after": parent, "checkpoint": str(side), "fingerprint": fingerprint(side)}
            for name, parent, side in zip(names, parents, sides, strict=True)
        ],
        "dtype": str(pairs[0].dtype or "as stored"),
        "tasks": record_tasks(tasks),
        "sampling": {key: value for key, value in sampling.to_dict().items() if key != "max_tokens"},
        "plain_base": plain_base,
        "library": versions(),
        "scorers": record_scorers(scorers),
    }
