"""`compare_models`: checkpoints that answer the same tasks, each by itself, and then compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slr_probe.comparison.outputs import OutputComparison, compare_logs, first
from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.executor import Executor, executes
from slr_probe.generation.backend import check_backend
from slr_probe.generation.logs import Log
from slr_probe.pair import ModelPair
from slr_probe.pair.side import state_of
from slr_probe.progress import course, told
from slr_probe.recipe import Recipe
from slr_probe.restoration.named import named_recipe
from slr_probe.scoring.answering import answer_all, asked_of
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.inputs import Tags
from slr_probe.scoring.record import generated_from, record_sampling, record_scorers, record_tasks, versions
from slr_probe.scoring.scoring import Scorers
from slr_probe.scoring.tasks import check_seed, read_sampling, read_size, read_tasks, resize
from slr_probe.tasks.thinking import REASONING

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.tasks.text import TextTask

Checkpoint = str | os.PathLike[str]


@dataclass(frozen=True)
class InPair:
    """A model that is built in memory from a pair.

    Attributes:
        base: Base checkpoint of the pair.
        tuned: Tuned checkpoint.
        model: `"base"`, `"tuned"`, a `Recipe`, or a hybrid by name: `"2:4"`, `"soup:0.5"`, a recipe file, the folder of
            a hybrid of this pair.
    """

    base: Checkpoint
    tuned: Checkpoint
    model: str | Recipe

    def source(self, pair: ModelPair) -> str | Recipe:
        """What it is in the opened pair: a side or a recipe.

        Raises:
            LayerRangeError: It is no name of a hybrid, or a range that is empty or out of bounds.
            RecipeError: A file that holds no recipe or one for another depth, or a folder of another pair.
        """
        if isinstance(self.model, Recipe):
            return self.model.check_depth(pair.depth)
        if self.model in ("base", "tuned"):
            return self.model
        return named_recipe(self.model, pair.base_side, pair.tuned_side)


@executes
@told("compare")
def compare_models(
    models: Mapping[str, Checkpoint | InPair],
    tasks: Any = None,
    *,
    reference: str | None = None,
    preset: str = "full",
    prompts: int | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    sampling: Sampling | None = None,
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
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: bool | None = None,
) -> OutputComparison:
    """Let several checkpoints answer the same tasks and compare what they wrote; one is in memory at a time.

    Each is asked with its own tokenizer and chat template, so that they need not be of one architecture. EAD takes the
    size of the reference's vocabulary.

    Args:
        models: By name, checkpoints: folders, such as hybrids, hub ids, `"organism:dpo"`. Or hybrids that are built in
            memory: `InPair(base, tuned, "2:4")`.
        tasks: `TextTask`s, names of built-in ones, or files of prompts; default: writing, qa and reasoning.
        reference: The model that the others are compared with; default: the first.
        preset: `"full"`, or `"quick"`: 8 prompts, 8 samples, 48 tokens.
        prompts: Prompts a task; default: all.
        samples: Outputs a prompt; default: by task.
        max_tokens: Tokens an output may have; default: by task.
        sampling: How outputs are drawn; default: temperature 1 and min-p 0.1 (arXiv 2602.06665).
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
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of prompts, sampling, bootstrap and tests.
        progress: Whether to show progress bars.

    Raises:
        ValidationError: Fewer than two models, too few samples, or an unknown name.
        CheckpointError: A model is missing or corrupt.
        OutputError: `out` holds another run.
    """
    check_seed(seed)
    opened = {"dtype": dtype, "device": device, "download": download, "trust_remote_code": trust_remote_code}
    # Headers alone are read here, so that a bad checkpoint fails first.
    asked = _open(first(models, reference), opened)
    start = next(iter(asked.values()))[0]
    size = read_size(preset, prompts, samples, max_tokens)
    sized = [resize(task, size, seed) for task in read_tasks(start, tasks)]
    drawn = read_sampling(sampling, seed)
    scorers = Scorers(len(start.tokenizer), embedder, entailment, fluency, judge, tags)
    folder, settings = Folder(out), _record(asked, sized, drawn, scorers)
    check_backend(start, backend, engine)
    how: dict[str, Any] = {"backend": backend, "engine": engine, "batch_tokens": batch_tokens, "progress": progress}
    how["executor"] = executor
    files = {name: _files(pair, model) for name, (pair, model) in asked.items()}
    with folder.at_work({**generated_from(settings), "files": files}):
        logs = {}
        with course("compare", dict.fromkeys(asked, 1.0), show=progress) as steps:
            for at, (name, (pair, model)) in enumerate(asked.items(), 1):
                with steps.step(name):
                    logs[name] = _write(name, pair, model, sized, drawn, folder, how)
                if not any(later is pair for later, _ in [*asked.values()][at:]):
                    pair.unload()
        fields = {"level": level, "resamples": resamples, "seed": seed, "settings": settings}
        return compare_logs(logs, {task.name: task for task in sized}, scorers, folder, **fields)


def _open(models: Mapping[str, Checkpoint | InPair], opened: dict[str, Any]) -> dict[str, tuple[ModelPair, Any]]:
    """For each model the pair that it is asked in, opened once, and what it is there: a side or a recipe."""
    pairs: dict[tuple[str, str], ModelPair] = {}
    found: dict[str, tuple[ModelPair, Any]] = {}
    for name, model in models.items():
        whole = model if isinstance(model, InPair) else InPair(model, model, "tuned")
        place = (str(whole.base), str(whole.tuned))
        if place not in pairs:
            pairs[place] = ModelPair.load(whole.base, whole.tuned, **opened)
        found[name] = pairs[place], whole.source(pairs[place])
    return found


def _files(pair: ModelPair, model: Any) -> Any:
    """State of the files that a model is made of."""
    tuned = state_of(pair.tuned_side)
    return tuned if model == "tuned" else [state_of(pair.base_side), tuned]


def _write(
    name: str,
    pair: ModelPair,
    model: Any,
    tasks: Sequence[TextTask],
    sampling: Sampling,
    folder: Folder,
    how: dict[str, Any],
) -> list[Log]:
    """Outputs of one model on every task."""
    asked = [asked_of(task, {name: model}, sampling, folder.outputs(task.name, name)) for task in tasks]
    written = answer_all(pair, asked, **how)
    return [Log(outputs[name], task.name) for task, outputs in zip(tasks, written, strict=True)]


def _record(
    asked: Mapping[str, tuple[ModelPair, Any]], tasks: Sequence[TextTask], sampling: Sampling, scorers: Scorers
) -> dict[str, Any]:
    """What is asked for, by which a later run knows whether it is the same."""
    return {
        "models": {name: _made_of(pair, model) for name, (pair, model) in asked.items()},
        "tasks": record_tasks(tasks),
        "sampling": record_sampling(sampling),
        "scorers": record_scorers(scorers),
        "library": versions(),
    }


def _made_of(pair: ModelPair, model: Any) -> Any:
    """What a model is, as plain data."""
    from slr_probe.pair.side import fingerprint

    tuned = fingerprint(pair.tuned_side)
    if isinstance(model, Recipe):
        return {"base": fingerprint(pair.base_side), "tuned": tuned, "recipe": model.to_dict()}
    return tuned if model == "tuned" else fingerprint(pair.base_side)
