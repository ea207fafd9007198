"""`compare_models`: checkpoints that answer the same tasks, each by itself, and then compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slr_probe.comparison.outputs import OutputComparison, compare_logs, first
from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.executor import Executor, executes
from slr_probe.generation.backend import check_backend
from slr_probe.generation.logs import Log
from slr_probe.pair import ModelPair
from slr_probe.pair.side import state_of
from slr_probe.progress import course, told
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


@executes
@told("compare")
def compare_models(
    models: Mapping[str, str | os.PathLike[str]],
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
        models: Checkpoints by name: folders, such as hybrids, hub ids, `"organism:dpo"`.
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
    pairs = {name: ModelPair.load(one, one, **opened) for name, one in first(models, reference).items()}
    start = next(iter(pairs.values()))
    size = read_size(preset, prompts, samples, max_tokens)
    sized = [resize(task, size, seed) for task in read_tasks(start, tasks)]
    drawn = read_sampling(sampling, seed)
    scorers = Scorers(len(start.tokenizer), embedder, entailment, fluency, judge, tags)
    folder, settings = Folder(out), _record(pairs, sized, drawn, scorers)
    check_backend(start, backend, engine)
    how: dict[str, Any] = {"backend": backend, "engine": engine, "batch_tokens": batch_tokens, "progress": progress}
    how["executor"] = executor
    files = {name: state_of(pair.tuned_side) for name, pair in pairs.items()}
    with folder.at_work({**generated_from(settings), "files": files}):
        logs = {}
        with course("compare", dict.fromkeys(pairs, 1.0), show=progress) as steps:
            for name, pair in pairs.items():
                with steps.step(name):
                    logs[name] = _write(name, pair, sized, drawn, folder, how)
        fields = {"level": level, "resamples": resamples, "seed": seed, "settings": settings}
        return compare_logs(logs, {task.name: task for task in sized}, scorers, folder, **fields)


def _write(
    name: str, pair: ModelPair, tasks: Sequence[TextTask], sampling: Sampling, folder: Folder, how: dict[str, Any]
) -> list[Log]:
    """Outputs of one model on every task; it is dropped from memory afterwards."""
    asked = [asked_of(task, {name: "tuned"}, sampling, folder.outputs(task.name, name)) for task in tasks]
    written = answer_all(pair, asked, **how)
    logs = [Log(outputs[name], task.name) for task, outputs in zip(tasks, written, strict=True)]
    pair.unload()
    return logs


def _record(
    pairs: Mapping[str, ModelPair], tasks: Sequence[TextTask], sampling: Sampling, scorers: Scorers
) -> dict[str, Any]:
    """What is asked for, by which a later run knows whether it is the same."""
    from slr_probe.pair.side import fingerprint

    return {
        "models": {name: fingerprint(pair.tuned_side) for name, pair in pairs.items()},
        "tasks": record_tasks(tasks),
        "sampling": record_sampling(sampling),
        "scorers": record_scorers(scorers),
        "library": versions(),
    }
