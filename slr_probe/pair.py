"""`ModelPair`: a base and a tuned checkpoint of one architecture. The only thing that loads models."""

from __future__ import annotations

import math
import os
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.errors import CheckpointError, IncompatiblePairError
from slr_probe.layers import LayerRange
from slr_probe.layout import Decoder, address_tensors, find_decoder
from slr_probe.prompts import Format, Prompt, PromptRenderer, compare_tokenizers
from slr_probe.recipe import GROUPS, Recipe, as_recipe
from slr_probe.side import Side, dtypes, open_sides, require_checkpoint

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
    ) -> None:
        self.base_side, self.tuned_side, self.notes = base_side, tuned_side, notes
        self.dtype, self.device = dtype, device
        self._trust = trust_remote_code
        self._tokenizer = tokenizer

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
            base: Pre-trained side: local folder, hub id (`"org/name"`), `"organism:base"`, or a loaded model.
            tuned: Post-trained side: the same, or the folder of a LoRA adapter over `base`.
            dtype: Load both models in this dtype (`torch.float32` or `"float32"`); default: as stored.
            device: Where to; default: CUDA where there is one, else CPU.
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
        import torch

        one, other, notes = open_sides(
            base,
            tuned,
            download=download,
            trust_remote_code=trust_remote_code,
            base_revision=base_revision,
            tuned_revision=tuned_revision,
        )
        pair = cls(
            one,
            other,
            notes,
            dtype=_dtype(dtype),
            device=_device(device, one, other),
            tokenizer=tokenizer,
            trust_remote_code=trust_remote_code,
        )
        pair.notes += pair._tokenizer_notes()
        if pair.device.type == "cuda" and not torch.cuda.is_available():
            raise IncompatiblePairError("device='cuda' was asked for, but torch sees no CUDA device")
        return pair

    # -- what it is ----------------------------------------------------------------------------------------------

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
        return bool(self.config.tie_word_embeddings)

    def recipe(self, layers: Recipe | LayerRange | str) -> Recipe:
        """A recipe for this pair: a range such as `"8:14"` restored, or a recipe checked for depth.

        Raises:
            LayerRangeError: The range is malformed, empty or out of bounds.
            RecipeError: The recipe is for another depth.
        """
        return as_recipe(layers, self.depth)

    # -- models --------------------------------------------------------------------------------------------------

    @cached_property
    def base(self) -> PreTrainedModel:
        """The base model, in evaluation mode; loaded on first use."""
        return self._load(self.base_side)

    @cached_property
    def tuned(self) -> PreTrainedModel:
        """The tuned model, in evaluation mode; loaded on first use. Hybrids are built in it."""
        return self._load(self.tuned_side)

    @property
    def decoder(self) -> Decoder:
        """Blocks, embedding, final norm and head of the tuned model."""
        return find_decoder(self.tuned)

    def _load(self, side: Side) -> PreTrainedModel:
        if side.model is not None:
            model = side.model
        else:
            model = _from_disk(side, self.dtype, self._trust)
            model.to(self.device)  # type: ignore[arg-type]
        model.eval()  # type: ignore[no-untyped-call]
        check_finite(model, side)
        return model

    # -- prompts -------------------------------------------------------------------------------------------------

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tuned side's tokenizer, which renders prompts for base, tuned and hybrids alike.

        Raises:
            CheckpointError: There is none.
        """
        if self._tokenizer is not None:
            return self._tokenizer
        found = _load_tokenizer(self.tuned_side, self._trust) or _load_tokenizer(self.base_side, self._trust)
        if found is None:
            raise CheckpointError(
                f"no tokenizer for {self.tuned_side}: give tokenizer=..., or put its files into the checkpoint folder"
            )
        return found

    @cached_property
    def prompts(self) -> PromptRenderer:
        """Renders prompts to token ids; its default format is chat where there is a chat template."""
        return PromptRenderer.of(self.tokenizer)

    def render(self, prompt: Prompt, format: Format | None = None) -> list[int]:
        """Token ids of one prompt, with exactly one BOS where the model uses one; see `PromptRenderer`."""
        return self.prompts(prompt, format)

    def _tokenizer_notes(self) -> tuple[str, ...]:
        sides = (self.base_side, self.tuned_side)
        one, other = (_load_tokenizer(side, self._trust) for side in sides)
        notes = compare_tokenizers(one, other) if one is not None and other is not None else ()
        tokenizer = self._tokenizer or other or one
        if tokenizer is None:
            return (*notes, "no tokenizer found; prompts cannot be rendered until one is given")
        self._tokenizer = tokenizer
        if not tokenizer.chat_template:
            notes += ("no chat template; prompts are rendered plain",)
        rows = int(self.config.get_text_config(decoder=True).vocab_size)
        if len(tokenizer) > rows:
            raise IncompatiblePairError(
                f"the tokenizer has {len(tokenizer)} tokens but the tuned embedding only {rows} rows"
            )
        return notes

    @property
    def has_adapter(self) -> bool:
        """Whether the tuned side is a LoRA adapter over base."""
        return isinstance(self.tuned_side.checkpoint, AdapterCheckpoint)

    # -- printing ------------------------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row a decoder block: its type and its number of parameters, in all and by group."""
        import pandas as pd

        types = getattr(self.config.get_text_config(decoder=True), "layer_types", None) or ["decoder"] * self.depth
        sizes: dict[tuple[int, str], int] = {}
        for name, address in self.tuned_side.addresses.items():
            if address.block is not None:
                key = (address.block, address.group)
                sizes[key] = sizes.get(key, 0) + math.prod(self.tuned_side.shapes[name])
        groups = [group for group in GROUPS if any(found == group for _, found in sizes)]
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
        return "\n".join(lines + [f"  note   {note}" for note in self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f"<b>ModelPair</b>: {escape(self._headline())}<br>base <code>{escape(str(self.base_side))}</code>, "
            f"tuned <code>{escape(str(self.tuned_side))}</code><ul>{notes}</ul>"
            + str(self.to_dataframe().to_html(index=False))
        )


def check_finite(model: PreTrainedModel, side: Side) -> None:
    """Check every weight of a loaded model.

    Raises:
        CheckpointError: A weight is NaN or infinite; the tensor is named.
    """
    for name, tensor in model.state_dict().items():
        # A sum is NaN or infinite if any element is; only then is the slower exact test made.
        if tensor.is_floating_point() and not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise CheckpointError(f"{side.role} ({side.label}): tensor '{name}' has NaN or infinite weights")


def _from_disk(side: Side, dtype: torch.dtype | None, trust_remote_code: bool) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    adapter = side.checkpoint if isinstance(side.checkpoint, AdapterCheckpoint) else None
    path = require_checkpoint(side).config_path.parent
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=dtype or "auto",
        trust_remote_code=trust_remote_code,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    model: PreTrainedModel = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise CheckpointError(f"{path} lacks {len(missing)} tensor(s) that the model needs, first '{missing[0]}'")
    if adapter is not None:
        _merge(adapter, side, model)
    return model


def _merge(adapter: AdapterCheckpoint, side: Side, model: PreTrainedModel) -> None:
    import torch

    state = model.state_dict(keep_vars=True)
    places = {address.key: state[name] for name, address in address_tensors(state, side.depth).items()}
    with torch.no_grad():
        for name in [*adapter.low_rank, *adapter.replaced]:
            place = places.get(side.addresses[name].key)
            if place is None:
                raise CheckpointError(f"adapter {adapter.path} changes '{name}', which has no place of its own in the "
                                      f"loaded {type(model).__name__}; merge it first with PEFT")  # fmt: skip
            place.copy_(adapter.read(name))


def _load_tokenizer(side: Side, trust_remote_code: bool) -> PreTrainedTokenizerBase | None:
    from transformers import AutoTokenizer

    folders = [side.path] if side.path else []
    if isinstance(side.checkpoint, AdapterCheckpoint):
        folders.append(side.checkpoint.base.path)
    for folder in folders:
        if any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json", "vocab.json")):
            try:
                return AutoTokenizer.from_pretrained(  # type: ignore[no-any-return, no-untyped-call]
                    folder, local_files_only=True, trust_remote_code=trust_remote_code
                )
            except (OSError, ValueError, KeyError) as error:
                raise CheckpointError(f"the tokenizer in {folder} cannot be loaded: {error}") from error
    return None


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    import torch

    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise IncompatiblePairError(f"unknown dtype {dtype!r}; expected float32, bfloat16 or float16")
    return found


def _device(device: torch.device | str | None, base: Side, tuned: Side) -> torch.device:
    import torch

    given = {side.role: next(side.model.parameters()).device for side in (base, tuned) if side.model is not None}
    if len(set(given.values())) > 1:
        raise IncompatiblePairError(f"the loaded models are on different devices: {given}; move both to one")
    if given:
        return next(iter(given.values()))
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
