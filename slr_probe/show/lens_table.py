"""Tables of a `LayerTrace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import SlrProbeError

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.probes.lens.result import LayerTrace
    from slr_probe.stats.interval import Interval


def table(trace: LayerTrace, per: str) -> pd.DataFrame:
    """Rows by block, by prompt or by answer; see `LayerTrace.to_dataframe`.

    Raises:
        SlrProbeError: `per` is none of these, or there are no answers.
    """
    import pandas as pd

    if per == "block":
        return pd.concat([_blocks(trace, model) for model in trace.models], ignore_index=True)
    if per == "prompt":
        return pd.concat([_prompts(trace, model) for model in trace.models], ignore_index=True)
    if per == "answer" and trace.answers:
        return pd.DataFrame([row for model in trace.models for row in _answers(trace, model)])
    if per == "answer":
        raise SlrProbeError("no answers were given to this lens; give answers= or a task")
    raise SlrProbeError(f"unknown table {per!r}; expected 'block', 'prompt' or 'answer'")


def lines(trace: LayerTrace) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: a row a block with the entropy of each model, the collapse, and what answers tell."""
    plain = {"base (plain)": "plain"}
    columns = {f"H {plain.get(name, name)}": _means(trace.interval("entropy", name)) for name in trace.models}
    both = {"base", "tuned"} <= set(trace.models)
    if both:
        columns["base - tuned"] = with_limits(trace.collapse())
    if both and trace.answers:
        for measure, title in (("validity", "validity"), ("conditional_entropy", "diversity")):
            sides = [_means(trace.interval(measure, name)) for name in ("base", "tuned")]  # type: ignore[arg-type]
            columns[title] = ["/".join(pair) for pair in zip(*sides, strict=True)]
    elif both:
        columns["JS"] = _means(trace.interval("js"))
    rows = zip(*columns.values(), strict=True)
    return ["block", *columns], [[str(block), *row] for block, row in enumerate(rows)]


def with_limits(found: Interval) -> list[str]:
    """Estimates with their intervals as text."""
    limits = zip(found.estimate, found.low, found.high, strict=True)
    return [f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" for value, low, high in limits]


def _means(found: Interval) -> list[str]:
    return [f"{value:.2f}" for value in found.estimate]


def _blocks(trace: LayerTrace, model: str) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {"model": model, "block": np.arange(trace.depth)}
    for measure in trace.measures:
        columns |= _limits(measure, trace.interval(measure, model))
    if "base" in trace.models and model != "base":
        columns |= _limits("collapse", trace.collapse("entropy", model))
        if trace.answers:
            columns |= _limits("conditional_collapse", trace.collapse("conditional_entropy", model))
    if model == "tuned" and trace.js is not None:
        for measure in ("kl_base_tuned", "kl_tuned_base", "js"):
            columns |= _limits(measure, trace.interval(measure))
    return pd.DataFrame(columns)


def _limits(name: str, found: Interval) -> dict[str, Any]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def _prompts(trace: LayerTrace, model: str) -> pd.DataFrame:
    import pandas as pd

    blocks, prompts = np.indices((trace.depth, len(trace.prompts)))
    columns: dict[str, Any] = {"model": model, "block": blocks.ravel(), "prompt": prompts.ravel()}
    columns["text"] = np.array(trace.prompts, dtype=object)[prompts.ravel()]
    for measure in trace.measures:
        columns[measure] = trace.values(measure, model).ravel()
    if model == "tuned" and trace.js is not None:
        columns |= {m: trace.values(m).ravel() for m in ("kl_base_tuned", "kl_tuned_base", "js")}
    at = trace.models.index(model)
    text = trace.token_text
    columns["top_token"] = [text[i] for i in trace.top_ids[at, :, :, 0].ravel().tolist()]
    columns["top_probability"] = trace.top_probs[at, :, :, 0].ravel()
    return pd.DataFrame(columns)


def _answers(trace: LayerTrace, model: str) -> list[dict[str, Any]]:
    assert trace.answer_logprobs is not None
    assert trace.answer_ranks is not None
    at = trace.models.index(model)
    probs, ranks = np.exp(trace.answer_logprobs[at]), trace.answer_ranks[at]
    return [
        {
            "model": model,
            "block": block,
            "prompt": prompt,
            "answer": answer,
            "probability": float(probs[block, prompt, i]),
            "rank": int(ranks[block, prompt, i]),
        }
        for block in range(trace.depth)
        for prompt, answers in enumerate(trace.answers)
        for i, answer in enumerate(answers)
    ]
