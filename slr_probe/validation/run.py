"""`validate`: prove a hybrid on real generation, against fair baselines, with intervals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slr_probe.defaults import FLOOR, LEVEL, MEMORY, RESAMPLES, WARMER
from slr_probe.executor import Executor, executes
from slr_probe.generation.backend import check_backend
from slr_probe.log import Log, check_log, tell
from slr_probe.pair.given import check_pair
from slr_probe.pair.side import state_of
from slr_probe.progress import step, told
from slr_probe.scoring.folder import HYBRIDS, SWEEPS, Folder
from slr_probe.scoring.inputs import Tags
from slr_probe.scoring.own import TextMetric, read_metrics
from slr_probe.scoring.scoring import Scorers, distinct_curve
from slr_probe.scoring.tasks import (
    check_apart,
    check_seed,
    check_unit,
    few_stories,
    read_format,
    read_sampling,
    read_size,
    read_tasks,
    resize,
)
from slr_probe.tasks.thinking import REASONING
from slr_probe.validation.assemble import Inputs, Scored, assemble, settings_of
from slr_probe.validation.crc import CRC
from slr_probe.validation.methods import BASELINES, QUICK, check_baselines, read_recipes
from slr_probe.validation.plan import plan_methods
from slr_probe.validation.points import points
from slr_probe.validation.result import ValidationReport
from slr_probe.validation.rivals import check_rivals
from slr_probe.validation.write import write_all

if TYPE_CHECKING:
    from slr_probe.generation import Outputs, Sampling
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format
    from slr_probe.tasks.crc import CRCTask
    from slr_probe.tasks.text import TextTask

_SHARES = {"soup": 0.1, "text": 0.7, "scores": 0.05, "CRC": 0.15}  # of the time, roughly (ours)


@executes
@told("validate", _SHARES)
def validate(
    pair: ModelPair,
    recipes: Any,
    tasks: Any = None,
    *,
    preset: str = "full",
    prompts: int | None = None,
    stories: int | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    sampling: Sampling | None = None,
    format: Format | None = None,
    baselines: str | Iterable[str] | None = None,
    temperatures: Sequence[float] = WARMER,
    min_ps: Sequence[float] = (0.0, 0.05, 0.2),
    random_ranges: int = 3,
    floor: float = FLOOR,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    metrics: Iterable[TextMetric] | TextMetric = (),
    crc: CRCTask | bool | None = None,
    crc_temperature: float = 1.0,
    crc_min_p: float = 0.0,
    tags: Tags = REASONING,
    out: str | os.PathLike[str] | None = None,
    batch_tokens: int | None = None,
    backend: str = "hf",
    engine: Iterable[str] | Mapping[str, Any] | None = None,
    executor: Executor | str | None = None,
    log: Log | None = None,
    memory: str | int = MEMORY,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: bool | None = None,
) -> ValidationReport:
    """Generate with tuned, the hybrids and fair baselines; compare diversity and quality on every task.

    Args:
        pair: Base and tuned.
        recipes: The chosen hybrid or hybrids: recipes, ranges such as `"14:18"`, or a mapping from names to them.
        tasks: `TextTask`s, names of built-in ones, or files of prompts; default: writing, qa and reasoning.
        preset: `"full"`: all prompts, the samples that each task names, all baselines. `"quick"`: 8 prompts, 8
            samples, 48 tokens where a task asks for more than 96, and as baselines only the early range of equal
            width, tuned at the two temperatures, and base on the plain prompt.
        prompts: Prompts a task, drawn in the shares of the kinds; default: all.
        stories: Prompts of the writing task; default: two thirds of `prompts`, and 24 where all others are asked.
        samples: Outputs a prompt; default: by task.
        max_tokens: Tokens an output may have; default: by task.
        sampling: How outputs are drawn; default: temperature 1 and min-p 0.1 (arXiv 2602.06665). Its `max_tokens` is
            replaced by each task's.
        format: Prompt format of all models but `"base (plain)"`, of tasks and CRC; default: chat where there is a chat
            template.
        baselines: `"all"`, `"none"`, or some of `"early"`, `"late"`, `"random"`, `"soup"`, `"temperature"`, `"min_p"`,
            `"prompt"`, `"hybrid_temperature"`, `"base"`, `"base_plain"`; default: all, and with `"quick"` early,
            temperature and base_plain. Methods of others are measured only where they are named, beside `"usual"` (the
            default) or any: `"verbalized"` (arXiv 2510.01171), `"string_seed"` (2510.21150), `"routing"` between base
            and tuned (2511.05650), or `"rivals"` for the three.
        temperatures: Temperatures of tuned and of the hybrids beside that of `sampling`: a hybrid has to be seen
            beside a warmer tuned model, and may be warmer itself.
        min_ps: Values of min-p of the curve of tuned.
        random_ranges: How many random ranges of equal width.
        floor: Share of tuned's CRC validity that the soup must keep, as in the search.
        embedder: Adds embedding distance and Vendi score.
        entailment: Adds NLI diversity.
        fluency: Adds the negative log-likelihood of the outputs.
        judge: Adds a judge's mean score. Scores of a model of yours are kept in `out` for a later call where it has
            `describe()` (a mapping that tells it apart) or a `name`.
        metrics: Metrics of yours beside those of the package: `TextMetric(name, function, better="lower")`, with a
            function of the texts of one prompt. They are never what verdicts are about, and are adjusted for like
            the others that are not.
        crc: The task that the soup is chosen on and whose gain is looked for on the tasks; None for the built-in
            one, False for none.
        crc_temperature: Temperature of the distributions that CRC scores; that of the ranking, for a soup chosen alike.
        crc_min_p: Min-p of those distributions, likewise.
        tags: Tags of reasoning that is taken out of every output first; `()` for none.
        out: Folder for outputs, scores, report and figures. A killed run goes on there; nothing is generated or
            scored twice.
        batch_tokens: Tokens in one batch of generation.
        backend: `"hf"`, or with an extra `"vllm"` (hybrids swapped in one engine) or `"vllm-folders"`; see `generate`.
        engine: Settings of vLLM's engine, such as `tensor_parallel_size=2`.
        executor: Who writes and sweeps: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`; default: this
            process, uncut. Texts are cut into one model on a few prompts; they are scored here. See
            `slr_probe.executor`.
        log: Called once with numbers by name and a step, to log them elsewhere; see `slr_probe.log`.
        memory: What the CRC sweep may use.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of prompts, sampling, random ranges, bootstrap and tests.
        progress: Whether to show progress bars; None shows them on a terminal and in Jupyter.

    Raises:
        ValidationError: Nothing to validate, too few prompts or samples, unknown names, a negative seed, prompts that
            ranges are chosen by, or a metric that raises or returns no number.
        LayerRangeError: A range is malformed or out of bounds.
        TaskError: A task cannot be read.
        OutputError: `out` holds another run.
        ExecutorError: No such executor, or it cannot do the work.

    Examples:
        >>> pair = ModelPair.load("organism:base", "organism:dpo")  # doctest: +SKIP
        >>> report = validate(pair, "3:9", preset="quick", out="validation")  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    check_pair(pair)
    check_log(log)
    own = read_metrics(metrics)
    check_seed(seed)
    size = few_stories(read_size(preset, prompts, samples, max_tokens, stories))
    asked_in = read_format(pair, format)
    chosen = read_recipes(pair, recipes)
    sizes = [resize(task, size, seed) for task in read_tasks(pair, tasks)]
    check_apart(pair, sizes)
    sampled = read_sampling(sampling, seed)
    wanted = check_baselines(baselines, QUICK if preset == "quick" else BASELINES)
    folder = Folder(out)
    folder.refuse_foreign()
    check_backend(pair, backend, engine)
    check_rivals(pair, sizes, wanted, asked_in, backend)
    sweeps = None if folder.path is None else folder.path / SWEEPS
    sampled_as: dict[str, Any] = {"temperature": crc_temperature, "min_p": crc_min_p}
    swept = {"memory": memory, "executor": executor, "progress": progress, **sampled_as}
    choice = CRC(pair, crc, format=format, out=sweeps, **swept)
    methods, notes = plan_methods(
        chosen,
        wanted,
        sampled,
        lambda: choice.best_soup(floor),
        temperatures=check_unit("temperatures", temperatures, 0, 100),
        min_ps=check_unit("min_ps", min_ps, 0, 1),
        random_ranges=random_ranges,
        seed=seed,
    )
    scorers = Scorers(len(pair.tokenizer), embedder, entailment, fluency, judge, tags, own)
    settings = {**settings_of(pair, sizes, methods, scorers, preset), "format": asked_in, "crc": choice.sampling}
    inputs = Inputs(sizes, methods, settings, level, resamples, seed)
    unusual = ["format"] if asked_in != pair.prompts.default_format else []
    follows = {key: settings[key] for key in ("base", "tuned", "dtype", "tasks", "methods", *unusual)}
    follows |= {"metrics": settings["scorers"]["metrics"]} if own else {}
    follows["files"] = [state_of(side) for side in (pair.base_side, pair.tuned_side)]
    home = None if folder.path is None else folder.path / HYBRIDS
    with folder.at_work(follows):
        options: dict[str, Any] = {"backend": backend, "engine": engine, "batch_tokens": batch_tokens, "hybrids": home}
        options |= {"executor": executor, "progress": progress}
        written, unread = write_all(pair, sizes, methods, folder, asked_in, options, tags)
        scored = _score_all(sizes, written, folder, scorers)
        report = assemble(inputs, scored, choice.held_out(inputs.weights), (*notes, *unread, *choice.notes))
        folder.keep(report, "report", "validation")
    tell(log, points(report))
    return report


@step("scores")
def _score_all(
    tasks: Sequence[TextTask], written: Sequence[dict[str, Outputs]], folder: Folder, scorers: Scorers
) -> list[Scored]:
    return [_score(task, outputs, folder, scorers) for task, outputs in zip(tasks, written, strict=True)]


def _score(task: TextTask, outputs: dict[str, Outputs], folder: Folder, scorers: Scorers) -> Scored:
    """Scores of every method on one task, and its curve of distinct answers."""
    at = curve_points(task.samples)
    scores = {name: folder.scores(task, one, scorers, f"{task.name}-{name}") for name, one in outputs.items()}
    curves = {name: distinct_curve(task, one, at, scorers.tags) for name, one in outputs.items()}
    return Scored(scores, curves, at)


def curve_points(samples: int) -> tuple[int, ...]:
    """Numbers of samples at which distinct answers are counted: powers of 2, and all of them."""
    return (*(2**i for i in range(samples.bit_length()) if 2**i < samples), samples)
