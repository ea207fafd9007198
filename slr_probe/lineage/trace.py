"""`trace_lineage`: where along post-training was diversity lost, and in which layers?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slr_probe.defaults import LEVEL, LINEAGE_TEMPERATURE, LINEAGE_TOP_P, RESAMPLES
from slr_probe.executor import Executor, executes
from slr_probe.generation.backend import check_backend
from slr_probe.generation.calls.asked import Asked
from slr_probe.lineage.depth import Depth
from slr_probe.lineage.points import points
from slr_probe.lineage.result import Lineage
from slr_probe.lineage.scores import assemble, check_metric, read_stages, same_prompts
from slr_probe.log import Log, check_log, tell
from slr_probe.pair import ModelPair
from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.pair.side import Side, state_of
from slr_probe.progress import course, told
from slr_probe.scoring.answering import answer_all, asked_of
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.inputs import Tags
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.record import generated_from, record_sampling, record_scorers, record_tasks, versions
from slr_probe.scoring.scoring import Scorers
from slr_probe.scoring.tasks import read_size, read_tasks, resize
from slr_probe.tasks.thinking import REASONING

if TYPE_CHECKING:
    from slr_probe.generation import Outputs, Sampling
    from slr_probe.tasks.text import TextTask

Checkpoint = str | os.PathLike[str]
SAMPLES = 16
"""Outputs a prompt, as in arXiv 2604.16027."""
LENS_PROMPTS = 40
"""Prompts of the tasks, at most, that the lens reads where CRC does not fit the tokenizer."""

_PARTS = {"text": 0.8, "layers": 0.2}  # of a stage's time, roughly (ours)


@executes
@told("lineage")
def trace_lineage(
    stages: Mapping[str, Checkpoint] | Iterable[tuple[str, Checkpoint]],
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
    tags: Tags = REASONING,
    out: str | os.PathLike[str] | None = None,
    dtype: Any = None,
    device: Any = None,
    download: bool = False,
    trust_remote_code: bool = False,
    batch_tokens: int | None = None,
    backend: str = "hf",
    engine: Iterable[str] | Mapping[str, Any] | None = None,
    executor: Executor | str | None = None,
    log: Log | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
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
        prompts: Prompts a task; default: all.
        samples: Outputs a prompt; default: 16.
        max_tokens: Tokens an output may have; default: by task.
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
        backend: `"hf"`, or `"vllm"` (an extra).
        engine: Settings of vLLM's engine, such as `tensor_parallel_size=2`.
        executor: Who writes: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`; default: this process, uncut.
            Layers are measured and texts are scored here. See `slr_probe.executor`.
        log: Called for each stage with numbers by name and its place, to log them elsewhere; see `slr_probe.log`.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of prompts, sampling and bootstrap.
        progress: Whether to show progress bars.

    Raises:
        LineageError: Fewer than two stages, or a name twice.
        CheckpointError: A stage is missing or corrupt.
        IncompatiblePairError: A stage is not of base's architecture.
        OutputError: `out` holds another run.
        ExecutorError: No such executor, or it cannot do the work.

    Examples:
        >>> stages = [("base", "organism:base"), ("sft", "organism:sft"), ("dpo", "organism:dpo")]
        >>> lineage = trace_lineage(stages, preset="quick", out="lineage")  # doctest: +SKIP
        >>> lineage.stage_loss  # doctest: +SKIP
    """
    from slr_probe.generation import Sampling

    check_log(log)
    names, parents, checkpoints = read_stages(stages, branches)
    check_metric(metric)
    opened = {"dtype": dtype, "device": device, "download": download, "trust_remote_code": trust_remote_code}
    # Headers alone are read here, so that a bad stage fails first.
    pairs = [ModelPair.load(checkpoints[0], checkpoint, **opened) for checkpoint in checkpoints[1:]]
    written = {"backend": backend, "engine": engine}
    size = read_size(preset, prompts, SAMPLES if samples is None and preset != "quick" else samples, max_tokens)
    request = _Request(
        stages=names,
        parents=parents,
        pairs=pairs,
        tasks=[resize(task, size, seed) for task in read_tasks(pairs[0], tasks)],
        sampling=sampling or Sampling(temperature=LINEAGE_TEMPERATURE, top_p=LINEAGE_TOP_P, seed=seed),
        scorers=Scorers(len(pairs[0].tokenizer), embedder, entailment, fluency, judge, tags),
        base=PLAIN_BASE if plain_base else "base",
        writer={**written, "batch_tokens": batch_tokens, "executor": executor, "progress": progress},
    )
    check_backend(pairs[0], backend, engine)
    settings = request.record()
    folder, layers = Folder(out), Depth()
    files = [state_of(side) for side in request.sides]
    with folder.at_work({**generated_from(settings), "files": files}):
        outputs = _measure(request, folder, layers if depth else None)
        lineage = assemble(
            names,
            parents,
            _score(request, folder, outputs),
            {task.name: task for task in request.tasks},
            metric,
            level=level,
            resamples=resamples,
            seed=seed,
            settings=settings,
            notes=tuple(layers.notes),
            **layers.fields(),
        )
        keep(lineage, folder)
    tell(log, points(lineage))
    return lineage


def keep(lineage: Lineage, folder: Folder) -> None:
    """Write the lineage, its tables and its figure; nothing where there is no folder."""
    folder.keep(lineage, "lineage", "lineage")
    if lineage.has_depth:
        folder.keep_text("depth.csv", lineage.depth_table().to_csv(index=False))


@dataclass(frozen=True)
class _Request:
    """What is asked of every stage.

    Attributes:
        stages: Names, base first.
        parents: Place of the stage before each; -1 for base.
        pairs: Base and each stage after it.
        tasks: In their final size.
        sampling: How outputs are drawn; each task has its own number of tokens.
        scorers: What scores them.
        base: How base is asked: as `"base"`, or with plain prompts.
        writer: Options of `answer_all`.
    """

    stages: list[str]
    parents: list[int]
    pairs: list[ModelPair]
    tasks: list[TextTask]
    sampling: Sampling
    scorers: Scorers
    base: str
    writer: dict[str, Any]

    @property
    def sides(self) -> list[Side]:
        """What each stage was opened as, base first."""
        return [self.pairs[0].base_side, *(pair.tuned_side for pair in self.pairs)]

    def asked(self, task: TextTask, stage: int, model: str, folder: Folder) -> Asked:
        """What is asked of one stage on one task; `model` is its side of the pair."""
        name = self.stages[stage]
        return asked_of(task, {name: model}, self.sampling, folder.outputs(task.name, name))

    def record(self) -> dict[str, Any]:
        """The request as plain data, by which a later run knows whether it is the same."""
        from slr_probe.pair.side import recorded

        return {
            "stages": [
                {"name": name, "after": parent, "checkpoint": str(side), **recorded(side)}
                for name, parent, side in zip(self.stages, self.parents, self.sides, strict=True)
            ],
            "dtype": str(self.pairs[0].dtype or "as stored"),
            "tasks": record_tasks(self.tasks),
            "sampling": record_sampling(self.sampling),
            "plain_base": self.base == PLAIN_BASE,
            "library": versions(),
            "scorers": record_scorers(self.scorers),
        }


def _measure(request: _Request, folder: Folder, layers: Depth | None) -> dict[str, list[Outputs]]:
    """Outputs of every stage on each task, and what changed in its layers; one stage's models at a time."""
    outputs: dict[str, list[Outputs]] = {task.name: [] for task in request.tasks}
    texts = {name: 1.0 for name in request.stages[1:]} | {request.stages[1]: 2.0}  # base is asked with the first
    with course("lineage", texts, show=request.writer["progress"]) as steps:
        for at, pair in enumerate(request.pairs, 1):
            models = {0: request.base, at: "tuned"} if at == 1 else {at: "tuned"}
            calls = [(task, stage) for task in request.tasks for stage in models]
            asked = [request.asked(task, stage, models[stage], folder) for task, stage in calls]
            with steps.step(request.stages[at]), course("", _PARTS if layers is not None else {"text": 1.0}) as parts:
                with parts.step("text"):
                    written = answer_all(pair, asked, **request.writer)
                with parts.step("layers"):
                    _measure_layers(request, folder, layers, at)
            for (task, stage), found in zip(calls, written, strict=True):
                outputs[task.name].append(found[request.stages[stage]])
            pair.unload()
    return outputs


def _measure_layers(request: _Request, folder: Folder, layers: Depth | None, at: int) -> None:
    """Weights and entropies of one stage, against base and the stage before; nothing where they are not asked for."""
    if layers is None:
        return
    parent = request.parents[at]
    previous = request.pairs[parent - 1].tuned_side.path if parent else None
    prompts = [item.prompt for task in request.tasks for item in task.items][:LENS_PROMPTS]
    kept = None if folder.path is None else folder.path / "depth"
    options = {"progress": request.writer["progress"]}
    layers.add(request.stages[at], request.pairs[at - 1], previous, prompts, kept, options)


def _score(
    request: _Request, folder: Folder, outputs: dict[str, list[Outputs]]
) -> dict[str, tuple[Sequence[str], Sequence[Scores]]]:
    """For each task, ids of its prompts and the scores of each stage."""
    scored: dict[str, tuple[Sequence[str], Sequence[Scores]]] = {}
    for task in request.tasks:
        same, _ = same_prompts(outputs[task.name], request.stages, task.name)
        scores = [folder.scores(task, one, request.scorers, f"{task.name}-{one.model}") for one in same]
        scored[task.name] = (same[0].ids, scores)
    return scored
