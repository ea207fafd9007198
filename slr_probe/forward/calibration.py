"""Order of a distribution: are valid answers ranked above everything else? Shape is its diversity, read elsewhere.

After arXiv 2605.11128, which splits a loss of diversity into miscalibrated order (valid tokens are not ranked above
invalid ones) and shape (mass sits on few of the valid ones). Both formulas here are ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from slr_probe.forward.readout import AnswerTable


def order_scores(logits: Float[Tensor, "row vocab"], answers: AnswerTable) -> Float[Tensor, "row 2"]:
    """How well each distribution ranks its answers above the tokens that are none.

    Args:
        logits: Next-token logits, any floating dtype.
        answers: The answers, one entry a row; each stands for its likeliest spelling of one token.

    Returns:
        The area under the ROC curve, which is the share of pairs of an answer and an invalid token in which the answer
        is likelier (ties count half), and the valid share of the mass that an oracle cut-off leaves: of the |V|
        likeliest tokens, |V| being the number of answers. NaN for a row without such answers.
    """
    scores = logits.float()
    spelled = answers.spelled(scores)  # [row, answer, spelling]
    best, known = spelled.amax(-1), answers.tokens.amax(-1) >= 0
    flat = answers.tokens.flatten(1)
    marks = torch.zeros_like(scores).scatter_reduce_(1, flat.clamp_min(0), (flat >= 0).float(), "amax")
    valid = marks > 0  # padding repeats token 0, and marks nothing
    invalid = scores.masked_fill(valid, torch.nan)
    below = torch.stack([(invalid < one[:, None]).sum(-1) + 0.5 * (invalid == one[:, None]).sum(-1) for one in best.T])
    pairs = below.T / (~valid).sum(-1, keepdim=True)
    count = known.sum(-1)
    area = (pairs * known).sum(-1) / count
    return torch.stack([area, _kept(scores, valid, count)], -1)


def _kept(
    scores: Float[Tensor, "row vocab"], valid: Float[Tensor, "row vocab"], count: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Valid share of the mass of the `count` likeliest tokens of each row."""
    most = int(count.max())
    top = scores.topk(max(most, 1), dim=-1)
    inside = torch.arange(max(most, 1), device=scores.device) < count[:, None]
    mass = top.values.softmax(-1) * inside
    return (mass * valid.gather(1, top.indices)).sum(-1) / mass.sum(-1)
