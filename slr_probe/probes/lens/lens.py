"""Logit lens over depth for base, tuned and hybrids: what each block already believes about the next token.

Every block's output at the answer position is read through the model's own final norm, head and softcap
(nostalgebraist 2020), over the whole vocabulary. Where in depth the tuned model's entropy falls below the base
model's is where diversity is lost as the model itself would read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from slr_probe.defaults import LEVEL
from slr_probe.errors import PromptError, SlrProbeError
from slr_probe.forward.budget import parse_bytes
from slr_probe.forward.questions import Questions, read_questions
from slr_probe.forward.readout import AnswerTable
from slr_probe.layers import LayerRange
from slr_probe.pair.given import check_pair
from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.pair.vocabulary import require_one_vocabulary
from slr_probe.probes.lens.measure import Recorded, read, record_blocks
from slr_probe.probes.lens.result import LayerTrace
from slr_probe.progress import progress_bar, told
from slr_probe.recipe import Recipe
from slr_probe.restoration import restored

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format, Prompt
    from slr_probe.tasks.answers import Query
    from slr_probe.tasks.crc import CRCTask, RenderedTask

Side = Literal["base", "tuned"]


@told("logit lens")
def logit_lens(
    pair: ModelPair,
    prompts: CRCTask | RenderedTask | Sequence[Query] | Prompt | Sequence[Prompt],
    *,
    answers: Sequence[str] | Sequence[Sequence[str]] | None = None,
    models: Side | Sequence[Side] = ("base", "tuned"),
    recipes: Recipe | LayerRange | str | Sequence[Recipe | LayerRange | str] = (),
    format: Format | None = None,
    top_k: int = 5,
    batch_size: int = 16,
    memory: str | int = "128MiB",
    confidence: float = LEVEL,
    seed: int = 0,
    progress: bool | None = None,
) -> LayerTrace:
    """Read the output of every block at the answer position as a distribution over the whole vocabulary.

    All models see the same token ids. Where that is a chat prompt, base is read on the plain text as well, as the
    trace `"base (plain)"`, because a chat template is off-distribution for it.

    Args:
        pair: Base and tuned.
        prompts: Texts or conversations, a task such as CRC, or queries that are rendered already.
        answers: Answers of one token each whose rank and probability are followed, the same for all prompts or a list
            for each. The distribution is also renormalised over them. Tasks and queries bring their own.
        models: Which of the two to read; entropy collapse and divergences need both.
        recipes: Hybrids to read as well, built in memory one at a time.
        format: `"chat"`, `"plain"`, or the pair's default.
        top_k: How many of the likeliest tokens to keep.
        batch_size: Prompts in one forward.
        memory: Size of the distributions that may exist at one time. They are made for some blocks of some prompts at
            once, never for all.
        confidence: Level of the bootstrap intervals over prompts.
        seed: Seed of the bootstrap.
        progress: Show a bar; None decides by the terminal.

    Raises:
        PromptError: No prompts, a prompt that is empty or longer than the context, an answer of several tokens.
        IncompatiblePairError: The two models are on different devices.
        LayoutError: A model does more between its last block and its logits than the readout replays.
        SlrProbeError: NaN or infinite values; the message names the model and the block where they first appear.

    Examples:
        >>> from slr_probe import ModelPair
        >>> pair = ModelPair.load("organism:base", "organism:dpo")  # doctest: +SKIP
        >>> trace = logit_lens(pair, ["Pick a letter.", "Name a letter."], answers=["a", "b"])  # doctest: +SKIP
        >>> trace.collapse().estimate  # doctest: +SKIP
        array([0.1, 0.2, 0.9, 1.3])
    """
    check_pair(pair)
    recipes = [recipes] if isinstance(recipes, (Recipe, LayerRange, str)) else recipes
    models = [models] if isinstance(models, str) else models
    _check_options(models, recipes, top_k, batch_size, seed)
    if len(set(models)) > 1 or ("base" in models and recipes):
        require_one_vocabulary(pair.base_side, pair.tuned_side, "the lens")
    questions = read_questions(pair, prompts, answers, format)
    if answers is not None and not questions.has_answers:
        raise PromptError("answers= was given but some prompt has none; give at least one answer for each prompt")
    sides = [name for name in get_args(Side) if name in models]
    runs: list[tuple[Recipe | None, list[str]]] = [(None, sides)] if sides else []
    if "base" in sides and questions.plain is not None:
        runs.append((None, [PLAIN_BASE]))
    runs += [(recipe, [str(recipe)]) for recipe in map(pair.recipe, recipes)]
    traces: list[Recorded] = []
    between: dict[str, Any] = {}
    total = 2 * len(questions.queries) * sum(len(names) for _, names in runs)
    with progress_bar(total, "logit lens", unit="prompt", show=progress) as ticker:
        for recipe, names in runs:
            with nullcontext() if recipe is None else restored(pair, recipe):
                together = [_record(pair, name, questions, batch_size, ticker) for name in names]
                between |= read(together, top_k, parse_bytes(memory), ticker)
                traces += together
    return _result(pair, questions, traces, between, confidence, seed)


def _check_options(models: Sequence[str], recipes: Sequence[Any], top_k: int, batch_size: int, seed: int) -> None:
    if any(name not in get_args(Side) for name in models) or not (models or recipes):
        raise SlrProbeError(f"models must be some of {', '.join(get_args(Side))}; got {list(models)!r}")
    if top_k < 1 or batch_size < 1:
        raise SlrProbeError(f"top_k and batch_size must be at least 1; got {top_k} and {batch_size}")
    if seed < 0:
        raise SlrProbeError(f"seed must be at least 0; got {seed}")


def _record(pair: ModelPair, name: str, questions: Questions, batch_size: int, ticker: Any) -> Recorded:
    """Block outputs of the model of one trace; a hybrid stands in the place of tuned while it is read."""
    model = pair.base if name in ("base", PLAIN_BASE) else pair.tuned
    queries = questions.plain if name == PLAIN_BASE and questions.plain else questions.queries
    answers = AnswerTable.of(questions.queries, model.device) if questions.has_answers else None
    return record_blocks(name, model, queries, answers, batch_size, ticker)


def _result(
    pair: ModelPair,
    questions: Questions,
    traces: list[Recorded],
    between: dict[str, Any],
    confidence: float,
    seed: int,
) -> LayerTrace:
    arrays = {name: np.stack([trace.arrays[name] for trace in traces]) for name in traces[0].arrays}
    shown = np.unique(arrays["top_ids"]).tolist()
    answers = tuple(
        tuple(str(pair.tokenizer.decode([ids[0]])).strip() for ids in query.answers) for query in questions.queries
    )
    return LayerTrace(
        models=tuple(trace.name for trace in traces),
        prompts=questions.labels,
        categories=questions.categories,
        tokens=tuple((i, str(pair.tokenizer.decode([i]))) for i in shown),
        answers=answers if questions.has_answers else (),
        confidence=confidence,
        seed=seed,
        **arrays,
        **between,
    )
