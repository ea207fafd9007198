"""Conversations sampled from the tuned model, for users of `learn_layer_mask` who have none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from slr_probe.errors import MaskError
from slr_probe.generation.sampling import Sampling
from slr_probe.probes.mask.examples import Example

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair


def sample_conversations(
    pair: ModelPair,
    prompts: Iterable[str] | None = None,
    *,
    samples: int = 2,
    max_tokens: int = 64,
    temperature: float = 1.0,
    batch_tokens: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> list[list[dict[str, str]]]:
    """Let the tuned model answer prompts: what it says is what its post-training taught it.

    Nothing is cut off from its distribution, and nothing is taken from the checkpoint's own sampling settings.

    Args:
        pair: The pair; its tuned model is loaded.
        prompts: User messages; default: the selection prompts of `CRCTask.default()`.
        samples: Replies a prompt.
        max_tokens: Most tokens of a reply.
        temperature: Sampling temperature, above 0.
        batch_tokens: Bound on rows x (longest prompt + `max_tokens`) of a batch; see `generate`.
        seed: The same seed gives the same replies.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        Conversations of one user and one assistant message; replies that are empty are left out.

    Raises:
        MaskError: No prompts, a setting out of range, or every reply is empty.
        GenerationError: A prompt and its reply do not fit the context.
    """
    from slr_probe.generation import generate

    asked = _default_prompts() if prompts is None else list(prompts)
    sampling = _check(asked, samples, max_tokens, temperature, seed)
    numbered = [(str(i), prompt) for i, prompt in enumerate(asked)]
    written = generate(
        pair, numbered, "tuned", samples=samples, sampling=sampling, batch_tokens=batch_tokens, progress=progress
    )["tuned"]
    found = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": text.strip()}]
        for prompt, texts in zip(asked, written.texts, strict=True)
        for text in texts
        if text.strip()  # templates put their own space
    ]
    if not found:
        raise MaskError("the tuned model answered every prompt with nothing; give conversations as data")
    return found


def sample_examples(
    pair: ModelPair, prompts: Sequence[Sequence[int]], *, samples: int = 4, max_tokens: int = 1, seed: int = 0
) -> list[Example]:
    """The same for prompts that are rendered already, as token ids; replies stay token ids, with the end token."""
    from slr_probe.generation.decode import Request, end_tokens, write

    sampling = _check(prompts, samples, max_tokens, 1.0, seed)
    requests = [Request(str(i), tuple(ids), tuple(range(samples))) for i, ids in enumerate(prompts)]
    replies = {
        (one.id, one.number): (*one.tokens, *one.end)
        for rows in write(pair.tuned, requests, sampling, ends=end_tokens(pair))
        for one in rows
    }
    return [
        Example((*request.ids, *row), (False,) * len(request.ids) + (True,) * len(row))
        for request in requests
        for row in (replies[request.id, sample] for sample in request.samples)
    ]


def _check(prompts: Sequence[object], samples: int, max_tokens: int, temperature: float, seed: int) -> Sampling:
    if not prompts:
        raise MaskError("no prompts to sample from; give at least one")
    if samples < 1 or max_tokens < 1 or seed < 0 or not 0 < temperature < math.inf:
        raise MaskError(
            "samples and max_tokens must be at least 1, seed at least 0 and temperature above 0; got "
            f"{samples}, {max_tokens}, {seed} and {temperature}"
        )
    return Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)


def _default_prompts() -> list[str]:
    from slr_probe.tasks.crc import CRCTask

    return [item.prompt for item in CRCTask.default().selection.items]
