"""Measuring one model through its lens: record block outputs, then read them a bounded block of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import SlrProbeError
from slr_probe.forward import distributions as maths
from slr_probe.forward.budget import spans
from slr_probe.forward.device import as_index
from slr_probe.forward.hooks import recording
from slr_probe.forward.points import Point
from slr_probe.forward.questions import batches
from slr_probe.forward.readout import AnswerTable, Readout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.tasks.answers import Query

_BUFFERS = 5  # float32 arrays [row, vocabulary] that exist at once for each model


@dataclass
class Recorded:
    """One model on one set of prompts: its block outputs at the answer position, and what is read from them.

    Attributes:
        name: Name of the trace.
        readout: The model's own readout.
        hidden: Block outputs.
        answers: The answers; None where there are none.
        arrays: What `read` measured, `[block, prompt, ...]`, by name.
    """

    name: str
    readout: Readout
    hidden: Float[Tensor, "block prompt model"]
    answers: AnswerTable | None
    arrays: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, blocks: slice, prompts: slice, values: Float[Tensor, "block prompt *rest"]) -> None:
        """Store what was measured on one block of rows."""
        if name not in self.arrays:
            self.arrays[name] = torch.empty((*self.hidden.shape[:2], *values.shape[2:]), dtype=values.dtype).numpy()
        self.arrays[name][blocks, prompts] = values.cpu().numpy()


def record_blocks(
    name: str,
    model: PreTrainedModel,
    queries: Sequence[Query],
    answers: AnswerTable | None,
    batch_size: int,
    ticker: Any,
) -> Recorded:
    """Run the model on all prompts and keep the output of every block at the answer position.

    Raises:
        LayoutError: The model's readout cannot be replayed; see `Readout.checked`.
        SlrProbeError: A block's output is NaN or infinite.
    """
    blocks = find_decoder(model).blocks
    points = [Point(i, "resid_post", block, "output") for i, block in enumerate(blocks)]
    hidden: Tensor | None = None
    for batch in batches(queries, batch_size):
        with torch.inference_mode(), recording(points, at=batch.last[:, None]) as recorded:
            model.base_model(input_ids=batch.ids.to(model.device), use_cache=False)
            rows = torch.stack([recorded[point.key][:, 0].to(model.device) for point in points])
            if hidden is None:
                hidden = rows.new_empty(len(blocks), len(queries), rows.shape[-1])
            hidden[:, as_index(batch.rows, hidden.device)] = rows
        ticker.update(len(batch.rows))
    assert hidden is not None
    bad = (~hidden.isfinite().all(dim=2)).cpu().numpy()
    _require_finite(name, "the block's output is", ~bad)
    readout = Readout(model).checked(queries[0].token_ids[:4], name)  # what it does depends on no position
    return Recorded(name, readout, hidden, answers)


@torch.inference_mode()
def read(traces: Sequence[Recorded], top_k: int, memory: int, ticker: Any) -> dict[str, Any]:
    """Fill one trace, or two with the divergences between them.

    Distributions over the vocabulary are made for some blocks of some prompts at a time, so that no more than `memory`
    bytes of them exist at once (though always at least one row).

    Args:
        traces: One, or base and tuned on the same prompts.
        top_k: How many of the likeliest tokens to keep.
        memory: Bytes.
        ticker: A progress bar that counts prompts.

    Returns:
        For two traces: KL in both directions and Jensen-Shannon divergence, `[block, prompt]`, by name.

    Raises:
        SlrProbeError: Logits are NaN or infinite; the first block is named.
    """
    depth, prompts = traces[0].hidden.shape[:2]
    vocab = int(traces[0].readout.model.config.get_text_config(decoder=True).vocab_size)
    rows = max(1, memory // (_BUFFERS * len(traces) * 4 * vocab))
    between: dict[str, Any] = {}
    for part in spans(prompts, rows):
        width = part.stop - part.start
        final: list[Tensor] = []
        for span in (slice(depth - 1, depth), *spans(depth - 1, max(1, rows // width))):
            pairs: list[tuple[Tensor, Tensor]] = []
            for i, trace in enumerate(traces):
                logits = trace.readout(trace.hidden[span, part].flatten(0, 1))
                p, log_p = maths.distribution(logits.reshape(span.stop - span.start, width, -1))
                del logits
                if len(final) <= i:
                    final.append(log_p[0])
                pairs.append((p, log_p))
                _measure(trace, span, part, *pairs[-1], final[i], top_k)
            if len(pairs) == 2:
                _compare(between, (span, part), *pairs[0], *pairs[1], (depth, prompts))
        ticker.update(width * len(traces))
    for trace in traces:
        _require_finite(trace.name, "the logits read from it are", np.isfinite(trace.arrays["entropy"]))
    return between


def _measure(
    trace: Recorded,
    span: slice,
    part: slice,
    p: Float[Tensor, "block prompt vocab"],
    log_p: Float[Tensor, "block prompt vocab"],
    final: Float[Tensor, "prompt vocab"],
    top_k: int,
) -> None:
    trace.keep("entropy", span, part, maths.entropy(p, log_p))
    trace.keep("kl_to_final", span, part, maths.kl(p, log_p, final))
    top = log_p.topk(min(top_k, log_p.shape[-1]), dim=-1)
    trace.keep("top_probs", span, part, top.values.exp())
    trace.keep("top_ids", span, part, top.indices)
    if trace.answers is not None:
        answers = trace.answers.rows(part)
        trace.keep("answer_logprobs", span, part, answers.mass(log_p))
        trace.keep("answer_ranks", span, part, answers.ranks(log_p))


def _compare(
    between: dict[str, Any],
    where: tuple[slice, slice],
    p: Float[Tensor, "block prompt vocab"],
    log_p: Float[Tensor, "block prompt vocab"],
    q: Float[Tensor, "block prompt vocab"],
    log_q: Float[Tensor, "block prompt vocab"],
    shape: tuple[int, int],
) -> None:
    for name, values in (
        ("kl_base_tuned", maths.kl(p, log_p, log_q)),
        ("kl_tuned_base", maths.kl(q, log_q, log_p)),
        ("js", maths.jensen_shannon(p, log_p, q, log_q)),
    ):
        between.setdefault(name, np.empty(shape, dtype=np.float32))[where] = values.cpu().numpy()


def _require_finite(name: str, what: str, finite: Any) -> None:
    bad = np.flatnonzero(~finite.all(axis=1))
    if len(bad):
        count = int((~finite[bad[0]]).sum())
        raise SlrProbeError(
            f"{name}, block {bad[0]}: {what} NaN or infinite, first here, for {count} of {finite.shape[1]} prompt(s); "
            "check the weights, or load the pair in float32 (float16 overflows where a model was trained in bfloat16)"
        )
