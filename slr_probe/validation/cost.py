"""What a validation costs: text at the pace at which models are seen to write, sweeps of CRC, and scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slr_probe.defaults import MEMORY, WARMER
from slr_probe.progress import Cost
from slr_probe.recipe import Recipe
from slr_probe.scoring.scoring import Scorers
from slr_probe.scoring.tasks import few_stories, read_sampling, read_size, read_tasks, resize
from slr_probe.signature import parameters
from slr_probe.validation.crc import CRC
from slr_probe.validation.methods import BASELINES, QUICK, Method, check_baselines, read_recipes
from slr_probe.validation.plan import plan_methods
from slr_probe.validation.rivals import RIVALS
from slr_probe.validation.write import asked

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.generation.cost import Pace
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format
    from slr_probe.tasks.text import TextTask

_FOLLOWED = {"full": 3.0, "quick": 1.0}
"""Seconds that outputs of a model are followed to see how long they get (ours)."""
_SHOWN = 2.5
"""Seconds for intervals, the figure and the files (ours)."""
_SCORED = 2  # prompts that scoring is timed on
_TAKEN = parameters("validation.cost:validation_cost").keys()
_MODELS = ("embedder", "entailment", "fluency", "judge")


def validation_cost(
    pair: ModelPair,
    recipes: Any,
    tasks: Any = None,
    *,
    preset: str = "full",
    prompts: int | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    stories: int | None = None,
    sampling: Sampling | None = None,
    format: Format | None = None,
    baselines: Any = None,
    temperatures: Sequence[float] = WARMER,
    min_ps: Sequence[float] = (0.0, 0.05, 0.2),
    random_ranges: int = 3,
    crc: Any = None,
    memory: str | int = MEMORY,
    seed: int = 0,
    **others: Any,
) -> Cost:
    """Seconds that `validate` takes with these options, each part measured on a piece of it.

    Other options of `validate` are taken as well; of the models that score texts only the names are told.
    """
    chosen = read_recipes(pair, recipes)
    size = few_stories(read_size(preset, prompts, samples, max_tokens, stories))
    wanted = check_baselines(baselines, QUICK if preset == "quick" else BASELINES)
    drawn = read_sampling(sampling, seed)
    curves: dict[str, Any] = {"temperatures": temperatures, "min_ps": min_ps, "random_ranges": random_ranges}
    middle = Recipe.soup(0.5, pair.depth)
    methods, _ = plan_methods(chosen, wanted, drawn, lambda: middle, **curves, seed=seed)
    parts = {}
    for task in (resize(one, size, seed) for one in read_tasks(pair, tasks)):
        parts[task.name] = _task_seconds(pair, task, methods, format, _FOLLOWED[preset])
    choice = CRC(pair, crc, memory=memory, format=format, progress=False)
    swept = choice.expected_seconds([one.recipe for one in methods if one.recipe is not None], soup="soup" in wanted)
    unknown = [name for name in _MODELS if others.get(name) is not None] + ["CRC"] * (swept is None)
    return Cost({**parts, "CRC": swept or 0.0, "report and figure": _SHOWN}, tuple(unknown))


def estimated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `validate` that its cost follows from; models that score are told by name, as they may not travel."""
    judged = {name: name for name in _MODELS if options.get(name) is not None}
    return {name: value for name, value in options.items() if name in _TAKEN} | judged


def _task_seconds(
    pair: ModelPair, task: TextTask, methods: Sequence[Method], format: Format | None, followed: float
) -> float:
    """Seconds of writing and scoring one task with every method that has outputs of its own."""
    from slr_probe.generation.decode import Request, end_tokens

    writers = {(method.group, str(method.model)): method for method in methods}.values()
    paces: dict[str, Pace] = {}
    ids: dict[str, dict[str, tuple[int, ...]]] = {}
    total = 0.0
    for method in writers:
        kind, size = _kind(method), asked(pair, task, method, format)
        if method.wording not in ids:
            ids[method.wording] = _ids(pair, task, method.wording, format)
        requests = [Request(name, one, tuple(range(size.samples))) for name, one in ids[method.wording].items()]
        if kind not in paces:
            like = None if kind == "routing" else next(iter(paces.values()), None)
            paces[kind] = _pace(pair, method, requests, size, end_tokens(pair), followed, like)
        total += paces[kind].seconds(requests, _drawn(method, size))
    length = max(pace.expected_length(task.max_tokens) for pace in paces.values())
    return total + len(methods) * len(task.items) * _scoring_seconds(pair, task, int(length))


def _ids(pair: ModelPair, task: TextTask, wording: str, format: Format | None) -> dict[str, tuple[int, ...]]:
    """Token ids of every prompt in a wording."""
    return {one.id: tuple(pair.render(wording.replace("{prompt}", one.prompt), format)) for one in task.items}


def _kind(method: Method) -> str:
    """Models that end their outputs alike: tuned, base, and all between; rivals each in their own way."""
    if method.kind in RIVALS:
        return method.kind
    if method.recipe is None:
        return "base"
    return "tuned" if method.recipe.is_tuned else "hybrid"


def _drawn(method: Method, task: TextTask) -> Sampling:
    return replace(method.sampling, max_tokens=task.max_tokens)


def _pace(
    pair: ModelPair,
    method: Method,
    requests: Sequence[Any],
    task: TextTask,
    ends: Sequence[int],
    followed: float,
    like: Pace | None,
) -> Pace:
    from slr_probe.generation.cost import measure_pace
    from slr_probe.generation.sources import read_sources

    (source,) = read_sources(pair, {"one": method.model}, None, folders=False)
    with source.model(pair) as model:
        return measure_pace(model, requests, _drawn(method, task), ends=ends, seconds=followed, like=like)


def _scoring_seconds(pair: ModelPair, task: TextTask, length: int) -> float:
    """Seconds of the scores of one prompt, timed on texts of the length that is expected."""
    from slr_probe.generation import Outputs
    from slr_probe.scoring.inputs import ScoringInputs

    items = task.items[:_SCORED]
    words = [word for item in task.items for word in item.prompt.split()]
    texts = tuple(
        tuple(_text(words, at * task.samples + k, length) for k in range(task.samples)) for at in range(len(items))
    )
    ended = tuple((True,) * task.samples for _ in items)
    outputs = Outputs(
        "one", tuple(i.id for i in items), tuple(i.prompt for i in items), texts, ended, read_sampling(None, 0)
    )
    scorers = Scorers(len(pair.tokenizer))
    began = time.perf_counter()
    scorers.groups["text"](ScoringInputs.of(task, outputs, scorers.tags))
    return (time.perf_counter() - began) / len(items)


def _text(words: Sequence[str], at: int, length: int) -> str:
    """A text of as many words, another one for each number."""
    return " ".join(words[(at * 7 + i * (1 + at % 5)) % len(words)] for i in range(max(1, length)))
