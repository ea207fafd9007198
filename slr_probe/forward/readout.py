"""What stands after the last block: the model's own readout, and the probability mass of answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import LayoutError
from slr_probe.forward.device import as_index
from slr_probe.forward.hooks import recording, watching
from slr_probe.forward.points import Point
from slr_probe.forward.surgery import as_block_output, block_input, replaced, tuple_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.tasks.answers import Query

_TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 5e-3}  # share of the logits' spread; 1e-4 for wider dtypes
_SPAN = 512


class Readout:
    """The model's own readout: final norm, head with its bias, and whatever scales or caps the logits.

    Nothing of it is re-derived. The model's own forward is run with its blocks replaced by one that returns the given
    vectors, so norms, projections, softcaps (Gemma) and logit scales (Granite, Cohere) are those of the model.

    Args:
        model: A transformers causal language model.
        in_tuple: Length of the tuple that the model expects of its blocks, 0 for a tensor; `checked` finds out.

    Attributes:
        own: The model's own last logits, in float32, on the prompt that it was checked with.

    Examples:
        >>> logits = Readout(model)(hidden)  # doctest: +SKIP
    """

    def __init__(self, model: PreTrainedModel, *, in_tuple: int = 0) -> None:
        self.model = model
        self.in_tuple = in_tuple
        self.own: Float[Tensor, " vocab"] = torch.empty(0)
        self._blocks: list[nn.Module] = list(find_decoder(model).blocks)

    @torch.no_grad()
    def __call__(self, hidden: Float[Tensor, "row hidden"]) -> Float[Tensor, "row vocab"]:
        """Logits of vectors that stand where the last block's output stands.

        Raises:
            LayoutError: The model gives no logits `[row, 1, vocab]`.
        """

        def pass_on(*args: Any, **kwargs: Any) -> Any:
            return self._returned(block_input(args, kwargs))

        def last(*args: Any, **kwargs: Any) -> Any:
            return self._returned(hidden[:, None])

        ids = torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        with replaced(self._blocks, [*[pass_on] * (len(self._blocks) - 1), last]):
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits
        if logits.ndim != 3 or logits.shape[:2] != (len(hidden), 1):
            raise LayoutError(f"the head gave logits of shape {list(logits.shape)} for {len(hidden)} rows of one token")
        return logits[:, 0]

    def checked(self, token_ids: Sequence[int], what: str) -> Readout:
        """Return the readout itself after checking on one prompt that it gives the model's own logits.

        Args:
            token_ids: A rendered prompt.
            what: Name of the model, for the message.

        Raises:
            LayoutError: It does not, so that a lens through this readout would be wrong.
        """
        model, depth = self.model, len(self._blocks)
        lengths: list[int] = []
        ids = torch.tensor([list(token_ids)], device=model.device)
        last = Point(depth - 1, "resid_post", self._blocks[-1], "output")
        with (
            torch.inference_mode(),
            watching(self._blocks[-1:], lambda _block, _args, _kwargs, output: lengths.append(tuple_length(output))),
            recording([last], at=torch.tensor([[len(token_ids) - 1]])) as recorded,
        ):
            self.own = own = model(input_ids=ids, use_cache=False).logits[0, -1].float()
        self.in_tuple = lengths[-1]
        replayed = self(recorded[last.key][:, 0].to(ids.device))[0].float()  # blocks may lie on several
        gap, spread = float((replayed - own).abs().max()), float(own.std())
        if bool(own.isfinite().all()) and not gap <= _TOLERANCE.get(model.dtype, 1e-4) * max(spread, 1e-6):
            raise LayoutError(
                f"{what} ({type(model).__name__}): the last block's output, read through the model's final norm and "
                f"head, gives logits that differ from the model's own by up to {gap:.3g} (their spread is "
                f"{spread:.3g}); this model does something else between its last block and its logits, so a logit "
                "lens would be wrong"
            )
        return self

    def _returned(self, hidden: Tensor) -> Any:
        return as_block_output(hidden, self.in_tuple)


@dataclass(frozen=True)
class AnswerTable:
    """The answers of some prompts as one tensor.

    Attributes:
        tokens: Token ids that spell each answer, padded with -1.
    """

    tokens: Int[Tensor, "prompt answer spelling"]

    @classmethod
    def of(cls, queries: Sequence[Query], device: torch.device) -> AnswerTable:
        """The table of these queries, as wide as the largest set of answers."""
        answers = max(len(query.answers) for query in queries)
        spellings = max((len(group) for query in queries for group in query.answers), default=0)
        tokens = torch.full((len(queries), answers, spellings), -1)
        for i, query in enumerate(queries):
            for j, group in enumerate(query.answers):
                tokens[i, j, : len(group)] = torch.tensor(group)
        return cls(tokens.to(device))

    @property
    def sizes(self) -> Int[Tensor, " prompt"]:
        """Number of answers of each prompt."""
        return (self.tokens.amax(dim=-1) >= 0).sum(dim=-1)

    def rows(self, prompts: Int[Tensor, " row"] | list[int] | slice) -> AnswerTable:
        """The answers of one prompt for every row."""
        index = as_index(prompts, self.tokens.device) if isinstance(prompts, list) else prompts
        return AnswerTable(self.tokens[index])

    def spelled(self, scores: Float[Tensor, "*batch prompt vocab"]) -> Float[Tensor, "*batch prompt answer spelling"]:
        """The score of every spelling; -inf for padding."""
        flat = self.tokens.clamp_min(0).flatten(-2).expand(*scores.shape[:-1], -1)
        spelled = scores.gather(-1, flat).reshape(*flat.shape[:-1], *self.tokens.shape[-2:])
        return spelled.masked_fill(self.tokens < 0, -torch.inf)

    def mass(self, scores: Float[Tensor, "*batch prompt vocab"]) -> Float[Tensor, "*batch prompt answer"]:
        """Log of the summed exponentials of each answer's spellings: its log-probability where scores are such."""
        return self.spelled(scores).logsumexp(dim=-1)

    def logprobs(
        self, logits: Float[Tensor, "*batch prompt vocab"], temperature: float = 1.0, min_p: float = 0.0
    ) -> Float[Tensor, "*batch prompt answer"]:
        """Log-probability of each answer, in nats, as sampling would draw it."""
        scores = warped(logits, temperature, min_p)
        return self.mass(scores) - scores.logsumexp(-1, keepdim=True)

    def ranks(self, scores: Float[Tensor, "*batch prompt vocab"]) -> Int[Tensor, "*batch prompt answer"]:
        """Tokens of the vocabulary that score above the best spelling of each answer: 0 is the top, -1 no answer."""
        best = self.spelled(scores).amax(dim=-1)
        above = torch.empty_like(scores)
        # One answer at a time: comparing all at once would need answers x vocabulary numbers a row. Ones are summed as
        # floats, exactly below 2^24 tokens, as that is nine times as fast as summing booleans.
        ranks = [torch.gt(scores, answer[..., None], out=above).sum(dim=-1) for answer in best.unbind(dim=-1)]
        return torch.stack(ranks, dim=-1).long().masked_fill(self.tokens.amax(dim=-1) < 0, -1)


def warped(
    logits: Float[Tensor, "*row vocab"], temperature: float = 1.0, min_p: float = 0.0
) -> Float[Tensor, "*row vocab"]:
    """Logits in float32 as sampling sees them: divided by temperature, -inf for the tokens that min-p drops."""
    scores = logits.float()
    if temperature != 1.0:
        scores = scores / temperature
    if min_p > 0.0:
        floor = scores.detach().amax(-1, keepdim=True) + math.log(min_p)
        scores = scores.masked_fill(scores < floor, -torch.inf)
    return scores


def reduce_logits(
    logits: Float[Tensor, "row vocab"],
    answers: AnswerTable,
    *,
    temperature: float = 1.0,
    min_p: float = 0.0,
    invalid: int = 5,
) -> tuple[Float[Tensor, "row answer"], Int[Tensor, "row invalid"], Float[Tensor, "row invalid"]]:
    """Log-probabilities (nats) of answers, and the likeliest tokens that are no answer.

    Logits are widened to float32 first. Temperature divides them; min-p then drops every token less likely than
    `min_p` times the likeliest, and what is left is renormalised, as sampling does it. An answer's probability is the
    sum over its spellings.

    Args:
        logits: Next-token logits, any floating dtype.
        answers: The answers, one entry a row.
        temperature: Above 0.
        min_p: From 0 (off) to 1.
        invalid: How many tokens outside the answers to return.
    """
    scores = warped(logits, temperature, min_p)
    if scores.data_ptr() == logits.data_ptr():
        scores = scores.clone()
    top = scores.amax(-1, keepdim=True)
    total = (scores - top).exp_().sum(-1).log() + top[:, 0]
    logprobs = answers.mass(scores) - total[:, None]
    # Padding repeats token 0: only real answers are taken out.
    flat = answers.tokens.flatten(1)
    places = flat.clamp_min(0)
    outside = scores.gather(1, places).masked_fill(flat >= 0, -torch.inf)
    scores.scatter_reduce_(1, places, outside, "amin")
    tops, tokens = _top(scores, min(invalid, scores.shape[1]))
    return logprobs, tokens, tops - total[:, None]


def _top(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest entries of every row. The k largest lie in the k spans with the largest maxima."""
    width = scores.shape[1]
    if width < 4 * _SPAN or count == 0:
        top = scores.topk(count)
        return top.values, top.indices
    whole = width - width % _SPAN
    maxima = scores[:, :whole].view(len(scores), -1, _SPAN).amax(-1)
    best = maxima.topk(min(count, maxima.shape[1])).indices
    offsets = (best[..., None] * _SPAN + torch.arange(_SPAN, device=scores.device)).flatten(1)
    tail = torch.arange(whole, width, device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([offsets, tail], 1)
    top = scores.gather(1, candidates).topk(count)
    return top.values, candidates.gather(1, top.indices)
