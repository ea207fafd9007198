"""`ModelPair`: a base and a tuned checkpoint of one architecture. The only thing that loads models."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.checkpoint.names import Decoder, find_decoder
from slr_probe.errors import CheckpointError, printable
from slr_probe.layers import LayerRange
from slr_probe.pair.compat import changes_base
from slr_probe.pair.fit import homeless_head
from slr_probe.pair.load import check_finite, find_device, find_dtype, from_disk, load_tokenizer
from slr_probe.pair.notes import dtype_notes, template_notes
from slr_probe.pair.open import open_sides
from slr_probe.pair.prompts import Format, Prompt, PromptRenderer
from slr_probe.pair.prompts.tokens import compare_tokenizers
from slr_probe.pair.several import device_count, place, spread
from slr_probe.pair.side import Side, dtypes
from slr_probe.pair.travel import Origin, reopen
from slr_probe.recipe import GROUPS, Recipe, as_recipe

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class ModelPair:
    """Base and tuned, checked to be of one architecture, with tokenizer and prompt format.

    Build it with `ModelPair.load`. Weights are read when `base` or `tuned` is first used, so inspecting a pair or
    restoring it on disk never loads a model.

    Attributes:
        base_side: What is known of the base before its weights are read.
        tuned_side: The same of the tuned side.
        notes: Differences that do no harm; the hybrid follows tuned in all of them.
        dtype: Dtype that both models are loaded in; None for each checkpoint's own.
        device: Device that both models are loaded on.
    """

    def __init__(
        self,
        base_side: Side,
        tuned_side: Side,
        notes: tuple[str, ...],
        *,
        dtype: torch.dtype | None,
        device: torch.device,
        tokenizer: PreTrainedTokenizerBase | None = None,
        trust_remote_code: bool = False,
        several: bool = False,
    ) -> None:
        self.base_side, self.tuned_side, self.notes = base_side, tuned_side, notes
        self.dtype, self.device = dtype, device
        self._several = several
        self._placed: dict[str, str] = {}
        self._trust = trust_remote_code
        self._tokenizer = self._given = tokenizer

    @classmethod
    def load(
        cls,
        base: str | os.PathLike[str] | PreTrainedModel,
        tuned: str | os.PathLike[str] | PreTrainedModel,
        *,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        download: bool = False,
        trust_remote_code: bool = False,
        base_revision: str | None = None,
        tuned_revision: str | None = None,
    ) -> ModelPair:
        """Open two checkpoints and compare configs, tensor names, shapes and tokenizers; no weight is read yet.

        Args:
            base: Pre-trained side: local folder, hub id (`"org/name"`), `"organism:base"`, or a loaded model
                (also in a TransformerLens bridge or a model of nnsight).
            tuned: Post-trained side: the same, or the folder of a LoRA adapter over `base`.
            dtype: Dtype to load both models in and to compute in, such as `"float32"`; default: as stored.
            device: Where the models run; default: CUDA where there is one, else CPU. `"auto"` spreads the blocks of
                both over all GPUs of this machine, for `logit_lens`, `patch_activations`, `record` and masks.
            tokenizer: Needed for prompts when `tuned` is a loaded model; otherwise read from the checkpoint.
            download: Let hub ids be fetched over the network; otherwise only the local cache is read.
            trust_remote_code: Let transformers run Python code that comes with a checkpoint.
            base_revision: Branch, tag or commit of a hub id.
            tuned_revision: The same for the tuned side.

        Raises:
            CheckpointError: A side is missing, incomplete, corrupt, or pickled.
            IncompatiblePairError: The two do not fit; the message names the fields or tensors with both values.
            PromptError: The tokenizers give one token different ids.

        Examples:
            >>> pair = ModelPair.load("organism:base", "organism:dpo")
            >>> pair.depth == pair.recipe("2:4").depth
            True
        """
        opened = open_sides(
            base,
            tuned,
            download=download,
            trust_remote_code=trust_remote_code,
            base_revision=base_revision,
            tuned_revision=tuned_revision,
            thorough=True,
        )
        pair = cls(
            *opened,
            dtype=find_dtype(dtype),
            device=find_device(device, *opened[:2]),
            tokenizer=tokenizer,
            trust_remote_code=trust_remote_code,
            several=device == "auto" and device_count() > 1,
        )
        pair.notes += dtype_notes(opened[:2], pair.dtype) + pair._tokenizer_notes()
        return pair

    @property
    def config(self) -> PretrainedConfig:
        """The tuned config, which every hybrid follows."""
        return self.tuned_side.config

    @property
    def depth(self) -> int:
        """Number of decoder blocks."""
        return self.tuned_side.depth

    @property
    def tied(self) -> bool:
        """Whether the head shares the embedding's weight."""
        return self.tuned_side.tied

    @cached_property
    def base_fields(self) -> tuple[str, ...]:
        """Fields of the config, or a head, for which base's weights in the tuned model would not be the base model."""
        head = homeless_head(self.base_side, self.tuned_side)
        return changes_base(self.base_side.config, self.tuned_side.config) + ((head,) if head else ())

    def base_alone(self) -> ModelPair:
        """Base in the place of both sides, with its own config; weights that are loaded are shared."""
        twin = replace(self.base_side, role="tuned")
        pair = ModelPair(self.base_side, twin, (), dtype=self.dtype, device=self.device, tokenizer=self._tokenizer)
        pair._trust, pair._several = self._trust, self._several
        if "base" in self.__dict__:
            pair.__dict__.update(base=self.base, tuned=self.base)
        return pair

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the checkpoints that it was opened from; see `slr_probe.pair.travel`."""
        return reopen, (Origin.of(self, self._given, self._trust),)

    def recipe(self, layers: Recipe | LayerRange | str) -> Recipe:
        """A recipe for this pair: a range such as `"8:14"` restored, or a recipe checked for depth.

        Raises:
            LayerRangeError: The range is malformed, empty or out of bounds.
            RecipeError: The recipe is for another depth.
        """
        return as_recipe(layers, self.depth)

    @cached_property
    def base(self) -> PreTrainedModel:
        """The base model, in evaluation mode; loaded on first use."""
        return self._load(self.base_side)

    @cached_property
    def tuned(self) -> PreTrainedModel:
        """The tuned model, in evaluation mode; loaded on first use. Hybrids are built in it."""
        return self._load(self.tuned_side)

    @property
    def loaded(self) -> bool:
        """Whether both models are in memory."""
        return {"base", "tuned"} <= vars(self).keys()

    def unload(self) -> None:
        """Drop the models, as where only one pair may be in memory at a time; they are loaded again on use."""
        for side in ("base", "tuned"):
            vars(self).pop(side, None)

    @property
    def decoder(self) -> Decoder:
        """Blocks, embedding, final norm and head of the tuned model."""
        return find_decoder(self.tuned)

    def _load(self, side: Side) -> PreTrainedModel:
        if side.model is not None:
            model = side.model
        else:
            model = from_disk(side, self.dtype, self._trust)
            if self._several:
                self._placed = self._placed or place(model, self.device.type)  # base and tuned lie alike
                spread(model, self._placed)
            else:
                model.to(self.device)  # type: ignore[arg-type]
        model.eval()  # type: ignore[no-untyped-call]
        check_finite(model, side)
        return model

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tuned side's tokenizer, which renders prompts for base, tuned and hybrids alike.

        Raises:
            CheckpointError: There is none.
        """
        if self._tokenizer is not None:
            return self._tokenizer
        tokenizer = load_tokenizer(self.tuned_side, self._trust) or load_tokenizer(self.base_side, self._trust)
        if tokenizer is None:
            raise CheckpointError(
                f"no tokenizer for {self.tuned_side}: give tokenizer=..., or put its files into the checkpoint folder"
            )
        return tokenizer

    @cached_property
    def prompts(self) -> PromptRenderer:
        """Renders prompts to token ids; its default format is chat where there is a chat template."""
        return PromptRenderer.of(self.tokenizer, rows=self._rows)

    def render(self, prompt: Prompt, format: Format | None = None) -> list[int]:
        """Token ids of one prompt, with exactly one BOS where the model uses one; see `PromptRenderer`."""
        return self.prompts(prompt, format)

    def _tokenizer_notes(self) -> tuple[str, ...]:
        base, tuned = (load_tokenizer(side, self._trust) for side in (self.base_side, self.tuned_side))
        notes = compare_tokenizers(base, tuned) if base is not None and tuned is not None else ()
        tokenizer = self._tokenizer or tuned or base
        if tokenizer is None:
            return (*notes, "no tokenizer found; prompts cannot be rendered until one is given")
        if tuned is None and self._tokenizer is None and not self.has_adapter:
            notes += ("tuned brings no tokenizer; base's is used for all prompts",)
        self._tokenizer = tokenizer
        notes += template_notes(tokenizer, base, tuned)
        if len(tokenizer) > self._rows:
            sizes = f"the tokenizer has {len(tokenizer)} tokens but the tuned embedding only {self._rows} rows"
            notes += (f"{sizes}; prompts with a token beyond them are refused",)
        return notes

    @property
    def _rows(self) -> int:
        return int(self.config.get_text_config(decoder=True).vocab_size)

    @property
    def has_adapter(self) -> bool:
        """Whether the tuned side is a LoRA adapter over base."""
        return isinstance(self.tuned_side.checkpoint, AdapterCheckpoint)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a decoder block: its type and its number of parameters, in all and by group."""
        import pandas as pd

        types = getattr(self.config.get_text_config(decoder=True), "layer_types", None) or ["decoder"] * self.depth
        sizes: dict[tuple[int, str], int] = {}
        for name, address in self.tuned_side.addresses.items():
            if address.block is not None:
                key = (address.block, address.group)
                sizes[key] = sizes.get(key, 0) + math.prod(self.tuned_side.shapes[name])
        groups = [group for group in GROUPS if any(group == of_block for _, of_block in sizes)]
        rows = [{group: sizes.get((block, group), 0) for group in groups} for block in range(self.depth)]
        return pd.DataFrame(
            [{"block": i, "type": types[i], "parameters": sum(row.values()), **row} for i, row in enumerate(rows)]
        )

    def _headline(self) -> str:
        sizes = ", ".join(f"{n / (1 << 20):,.1f} MiB {dtype}" for dtype, n in dtypes(self.tuned_side).items())
        kind = self.config.get_text_config(decoder=True).model_type
        return f"{kind}, {self.depth} decoder blocks, {sizes} a side, {'tied' if self.tied else 'untied'} head"

    def __repr__(self) -> str:
        lines = [
            f"ModelPair: {self._headline()}",
            f"  base   {self.base_side}",
            f"  tuned  {self.tuned_side}" + (" (adapter over base)" if self.has_adapter else ""),
        ]
        return printable("\n".join(lines + [f"  note   {note}" for note in self.notes]))

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        table = self.to_dataframe().to_html(index=False)
        return (
            f"<b>ModelPair</b>: {escape(self._headline())}<br>base <code>{escape(str(self.base_side))}</code>, "
            f"tuned <code>{escape(str(self.tuned_side))}</code><ul>{notes}</ul>{table}"
        )
