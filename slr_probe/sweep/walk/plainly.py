"""Hybrids run one by one as whole models, where blocks cannot be replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import by_length
from slr_probe.restoration.memory import restored
from slr_probe.sweep.reads.rows import Arrays, Asked, ReferenceLogits, Row

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe


def run_plainly(
    pair: ModelPair,
    recipe: Recipe,
    rows: Sequence[int],
    asked: Asked,
    most: int,
    done: Callable[[int], Any],
    reference: ReferenceLogits | None = None,
) -> Arrays:
    """One recipe as a whole model.

    Args:
        pair: The pair; both models are loaded.
        recipe: The hybrid.
        rows: The rows to run, as indices of `asked.rows`.
        asked: All questions.
        most: Rows of logits to compute at once, about.
        done: Called with the number of block evaluations made.
        reference: What replies are compared with.

    Returns:
        Arrays `[1, read, ...]`, reader by reader in the order of `rows`.
    """
    arrays: Arrays = {}
    for part in asked.parts(rows):
        order = {read: i for i, read in enumerate(part.reads.tolist())}
        mine = [row for row in rows if asked.reader(row) is part.reader]
        for some, logits in _swap_and_forward(pair, recipe, [asked.rows[i] for i in mine], most):
            (small,) = asked.parts([mine[i] for i in some])
            kept = part.reader.at(small.reads, reference)(logits[None])
            places = [order[read] for read in small.reads.tolist()]
            for name, tensor in kept.items():
                array = tensor.cpu().numpy()
                whole = arrays.setdefault(name, np.empty((1, len(order), *array.shape[2:]), array.dtype))
                whole[:, places] = array
            done(len(some) * pair.depth)
    return arrays


def reference_logits(pair: ModelPair, recipe: Recipe, rows: Sequence[int], asked: Asked, most: int) -> ReferenceLogits:
    """What the reference recipe says at every read of some rows, all of it kept in the model's dtype."""
    kept: dict[int, torch.Tensor] = {}
    for some, logits in _swap_and_forward(pair, recipe, [asked.rows[i] for i in rows], most):
        (part,) = asked.parts([rows[i] for i in some])
        kept.update(zip(part.reads.tolist(), logits, strict=True))

    def of(reads: Int[ndarray, " read"]) -> Float[torch.Tensor, "read vocab"]:
        return torch.stack([kept[read] for read in reads.tolist()])

    return of


def _swap_and_forward(
    pair: ModelPair, recipe: Recipe, rows: Sequence[Row], most: int
) -> Iterator[tuple[list[int], Float[torch.Tensor, "read vocab"]]]:
    """Row numbers and logits at their reads, of one hybrid; rows of one length share a batch, none is padded."""
    widest = max(len(row.token_ids) - row.reads[0] for row in rows)
    with restored(pair, recipe) as hybrid:
        keeps = "logits_to_keep" in signature(hybrid.forward).parameters
        lengths = [len(row.token_ids) for row in rows]
        for some in by_length(lengths, rows=max(1, most // widest), equal=True):
            ids = torch.tensor([rows[i].token_ids for i in some], device=hybrid.device)
            places = torch.tensor([(k, read) for k, i in enumerate(some) for read in rows[i].reads], device=ids.device)
            first = int(places[:, 1].min())
            options = {"logits_to_keep": ids.shape[1] - first} if keeps else {}
            logits = hybrid(input_ids=ids, use_cache=False, **options).logits
            yield some, logits[places[:, 0], places[:, 1] - (first if keeps else 0)]
