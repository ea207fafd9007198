"""A model in the middle of writing: a batch of rows, left-padded, and what the model remembers of them.

Two models may write one text together, token by token: `Routed`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slr_probe.errors import one_line
from slr_probe.forward.device import many_shapes
from slr_probe.forward.kv_cache import CACHE_NAMES, cache_name
from slr_probe.pair.vocabulary import require_rows

_STEPS = 2  # with a cache, of which the logits are compared: a wrong one may show in the second step only
_ALLOWED = {torch.float64: 1e-3, torch.float32: 1e-3}  # share of the logits' spread; more for narrower dtypes
_ALLOWED_NARROW = 0.2
_TRUSTED: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def writes_without_cache(model: Any) -> bool:
    """Whether a model was found to forget or mix up the text in its cache, so that it is written with without one."""
    return _TRUSTED.get(model) is False


class State:
    """Rows of token ids that a model continues one token at a time.

    Rows are padded on the left, where the attention mask hides the padding, and positions count from each row's first
    real token. With a cache (any of transformers' that can reorder its rows) a step costs one token; models without one
    are run on the whole rows again, which is slow and right. The first two steps that a model takes with its cache are
    compared with a forward of the whole rows: caches are called otherwise by some families, and what a model does not
    know it may ignore in silence.

    Attributes:
        logits: For the next token of each row.
    """

    logits: Float[Tensor, "row vocab"]

    @torch.inference_mode()
    def __init__(self, model: Any, ids: Int[Tensor, "row token"], mask: Int[Tensor, "row token"]) -> None:
        require_rows(model, ids)
        self._model = model
        parameters = inspect.signature(model.forward).parameters
        self._positions = "position_ids" in parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._ids, self._mask, self._steps = ids, mask, 0
        self._padded = may_be_padded(model)
        self._cache: dict[str, Any] = {}
        out = None
        if not writes_without_cache(model):
            with self._doubted():
                out = self._forward(ids, use_cache=True)
        if out is None:
            self._forward(ids, use_cache=False)
        found = [getattr(out, name, None) for name in CACHE_NAMES]
        self._cache = {cache_name(model): cache for cache in found if hasattr(cache, "reorder_cache")}

    @torch.inference_mode()
    def select(self, rows: Int[Tensor, " kept"]) -> None:
        """Keep some rows, in this order; a row may be kept several times."""
        rows = rows.to(self._ids.device)
        self._ids, self._mask, self.logits = self._ids[rows], self._mask[rows], self.logits[rows]
        with self._doubted():
            for cache in self._cache.values():
                cache.reorder_cache(rows)

    @torch.inference_mode()
    def step(self, tokens: Int[Tensor, " row"]) -> None:
        """Append one token to each row."""
        tokens = tokens[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        self._ids = torch.cat([self._ids, tokens], dim=1)
        if self._cache:
            with self._doubted():
                self._forward(tokens, use_cache=True, **self._cache)
                self._steps += 1
                if self._model in _TRUSTED or self._remembers():
                    return
        self._forward(self._ids, use_cache=False)

    @contextmanager
    def _doubted(self) -> Iterator[None]:
        """Do something with the cache; where a model that was not found to be right cannot, go on without."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            if _TRUSTED.get(self._model):
                raise
            self._distrust(f"cannot use its cache ({one_line(error, 100)})")

    def _distrust(self, why: str) -> None:
        self._cache = {}
        _TRUSTED[self._model] = False
        warnings.warn(f"{type(self._model).__name__} {why}; it is run without", stacklevel=4)

    def _remembers(self) -> bool:
        """Whether the step with the cache gave the logits that a forward of the whole rows gives; kept in mind."""
        rows = torch.tensor(sorted({0, len(self._ids) - 1}), device=self._ids.device)
        written, own = self.logits, self.logits[rows].float()
        self._forward(self._ids[rows], rows, use_cache=False)
        whole, self.logits = self.logits.float(), written
        if not bool(whole.isfinite().all()):
            return True  # the fault is another one, and is told where tokens are drawn
        allowed = _ALLOWED.get(self._model.dtype, _ALLOWED_NARROW)
        spread = (whole - whole.mean(dim=-1, keepdim=True)).norm(dim=-1)
        same = bool(((own - whole).norm(dim=-1) <= allowed * spread.clamp_min(1e-6)).all())
        if not same:
            self._distrust("does not go on from its cache as from the text")
        elif self._steps == _STEPS:
            _TRUSTED[self._model] = True
        return same

    def _forward(self, ids: Int[Tensor, "row token"], rows: Tensor | None = None, **options: Any) -> Any:
        mask = self._mask if rows is None else self._mask[rows]
        if self._positions:
            options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
        if self._padded:  # recurrent blocks multiply what they read by the mask, whatever its length
            options["attention_mask"] = mask
        with many_shapes():  # the cache grows with every step
            out = self._model(input_ids=ids, **options, **self._options)
        self.logits = out.logits[:, -1]
        return out


def may_be_padded(model: Any) -> bool:
    """Whether all blocks attend, so that a mask hides padding exactly; recurrent blocks would have to be trusted."""
    if isinstance(model, Routed):
        return may_be_padded(model.base) and may_be_padded(model.tuned)
    return not getattr(model, "_is_stateful", False) and not recurrent(model.config)


def recurrent(config: Any) -> bool:
    """Whether some blocks of a model with this config carry a state from token to token and do not attend."""
    text = config.get_text_config(decoder=True)
    kinds = getattr(text, "layer_types", None) or getattr(text, "layers_block_type", None) or ()
    return hasattr(text, "state_size") or any("attention" not in kind or "linear" in kind for kind in kinds)


@dataclass(frozen=True)
class Routed:
    """Base and tuned, one of which draws each token; what `generate` writes with where it was given a `Route`.

    Attributes:
        base: Base.
        tuned: Tuned.
        threshold: Base draws where its largest probability of a next token is below this.
    """

    base: Any
    tuned: Any
    threshold: float

    @property
    def config(self) -> Any:
        """Tuned's config; base has the same architecture."""
        return self.tuned.config

    @property
    def device(self) -> torch.device:
        """Where both are."""
        found: torch.device = self.tuned.device
        return found


class RoutedState:
    """Rows that two models read and one of them continues; in all else a `State`.

    Args:
        models: The two, and when which of them draws.
        tuned: Token ids and mask of the prompts as tuned reads them.
        base: The same as base reads them.
    """

    def __init__(self, models: Routed, tuned: tuple[Tensor, Tensor], base: tuple[Tensor, Tensor]) -> None:
        self._threshold = models.threshold
        self._base, self._tuned = State(models.base, *base), State(models.tuned, *tuned)

    @property
    def logits(self) -> Float[Tensor, "row vocab"]:
        """For the next token of each row: base's where base is uncertain, else tuned's."""
        base, tuned = self._base.logits, self._tuned.logits
        width = min(base.shape[-1], tuned.shape[-1])  # a side may have padded its vocabulary
        base, tuned = base[:, :width], tuned[:, :width]
        uncertain = base.float().softmax(dim=-1).amax(dim=-1, keepdim=True) < self._threshold
        return torch.where(uncertain, base, tuned)

    def select(self, rows: Int[Tensor, " kept"]) -> None:
        """Keep some rows, in this order; a row may be kept several times."""
        self._base.select(rows)
        self._tuned.select(rows)

    def step(self, tokens: Int[Tensor, " row"]) -> None:
        """Append one token to each row, for both models."""
        self._base.step(tokens)
        self._tuned.step(tokens)
