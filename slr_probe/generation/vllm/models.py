"""The models of a pair in vLLM: hybrids inside one live engine, and one engine a folder for what cannot be swapped."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.names import foreign_part
from slr_probe.errors import RecipeError
from slr_probe.generation.decode import Request, Sample
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Source
from slr_probe.generation.state import recurrent
from slr_probe.generation.vllm.engine import Engine, load_vllm
from slr_probe.generation.vllm.folders import check_on_disk, folder_of
from slr_probe.generation.vllm.live import CannotSwapError, LiveEngine, stored_at
from slr_probe.generation.vllm.proof import make_proof
from slr_probe.generation.vllm.settings import decisive, read_settings
from slr_probe.recipe import Recipe
from slr_probe.restoration.end_bias import read_end_bias
from slr_probe.restoration.plan import plan_hybrid

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair


class VllmModels:
    """Writes with any model of a pair; engines start when they are needed and end with `close`.

    Args:
        pair: The pair, both sides on disk.
        settings: Settings of vLLM's engine, as a mapping or as texts `KEY=VALUE`.
        folders: Where hybrids are restored that cannot be swapped; None for a folder that is deleted in the end.
        live: Whether hybrids are swapped inside one engine, where that can be done.
        progress: Whether restoring shows a progress bar.

    Attributes:
        reason: Why hybrids are not swapped; empty where they are, or where folders were asked for.

    Raises:
        GenerationError: vLLM is not installed, a setting is wrong, or a side is a model in memory.
    """

    def __init__(
        self,
        pair: ModelPair,
        settings: Iterable[str] | Mapping[str, Any] | None = None,
        *,
        folders: Path | None = None,
        live: bool = True,
        progress: bool | None = None,
    ) -> None:
        self.settings = read_settings(settings)
        check_on_disk(pair)
        load_vllm(self.settings)
        self.pair, self._folders, self._progress = pair, folders, progress
        self._dtype = _name(pair.dtype or pair.tuned_side.dtype)
        self._engine: Engine | None = None
        self._length = 0
        self._kept = ExitStack()
        self.reason = cannot_swap(pair, self.settings) if live else ""
        proof = make_proof(pair, self._dtype) if live and not self.reason else None
        if live and proof is None and not self.reason:
            self.reason = "no built-in question has answers of one token of its tokenizer, so no swap could be proved"
        self._live = None if proof is None else LiveEngine(pair, self._dtype, self.settings, proof)

    @property
    def decisive(self) -> Mapping[str, Any]:
        """Settings of the engine that may change what is written."""
        return decisive(self.settings)

    def expect(self, sources: Sequence[Source], length: int) -> None:
        """Make ready for models, and for so many tokens of prompt and output at most.

        Raises:
            RecipeError: A recipe does not fit the pair.
        """
        self._length = max(self._length, length)
        hybrids = [source for source in sources if isinstance(source.what, Recipe)]
        if self._live is not None:
            self._live.expect([recipe for source in sources if (recipe := self._swapped(source))], self._length)
        elif hybrids and self.reason:
            self._warn()

    def order(self, sources: Sequence[Source]) -> list[Source]:
        """An order of models in which little is loaded: those of the live engine first."""
        swapped = [(source, recipe) for source in sources if (recipe := self._swapped(source))]
        order = self._live.order([recipe for _, recipe in swapped]) if self._live and swapped else []
        first = [swapped[number][0] for number in order]
        return [*first, *(source for source in sources if source not in first)]

    def write(
        self, source: Source, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> Iterator[list[Sample]]:
        """Write with one of the models that were expected; see `Engine.write`.

        Raises:
            GenerationError: vLLM cannot start or write, or a swap is not proved.
            OutputError: A hybrid that cannot be swapped cannot be restored.
        """
        recipe = self._swapped(source)
        if self._live is not None and recipe is not None:
            self._end_folder()
            try:
                engine = self._live.become(recipe)
            except CannotSwapError as error:
                self._live.close()
                self._live, self.reason = None, str(error)
                self._warn()
            else:
                yield from engine.write(requests, sampling, ends, self._bias(source))
                return
        if self._live is not None:
            self._live.close()
        yield from self._at(source).write(requests, sampling, ends, self._bias(source))

    def close(self) -> None:
        """End all engines and delete what was restored for them alone."""
        if self._live is not None:
            self._live.close()
        self._end_folder()
        self._kept.close()

    def __enter__(self) -> VllmModels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _swapped(self, source: Source) -> Recipe | None:
        """The recipe that a model is in the live engine; None where it has to be a folder."""
        if self._live is None or isinstance(source.what, Path):
            return None
        if isinstance(source.what, Recipe):
            return source.what
        if source.what == "tuned":
            return Recipe.tuned(self.pair.depth)
        return Recipe.base(self.pair.depth, blocks_only=False) if self._base_whole else None

    @cached_property
    def _base_whole(self) -> bool:
        return is_base_whole(self.pair)

    def _at(self, source: Source) -> Engine:
        """An engine with the folder of a model."""
        if self._folders is None:
            self._folders = Path(self._kept.enter_context(TemporaryDirectory(prefix="slr-probe-")))
        folder = str(folder_of(self.pair, source, self._folders, self._progress))
        if self._engine is not None and (self._engine.folder, self._engine.length) == (folder, self._length):
            return self._engine
        self._end_folder()
        trust = self.pair.base_side.trust_remote_code or self.pair.tuned_side.trust_remote_code
        stored = _name(self.pair.dtype or self.pair.base_side.dtype) if source.what == "base" else self._dtype
        self._engine = Engine(folder, self._length, stored, self.settings, trust_remote_code=trust)
        return self._engine

    def _end_folder(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _bias(self, source: Source) -> dict[int, float]:
        """What is added to logits: by the generation settings of a model, and by the recipe of a hybrid."""
        if isinstance(source.what, Path):
            return read_end_bias(source.what)
        stored = read_end_bias(stored_at(self.pair.base_side if source.what == "base" else self.pair.tuned_side))
        return {
            token: stored.get(token, 0.0) + source.end_bias.get(token, 0.0) for token in {**stored, **source.end_bias}
        }

    def _warn(self) -> None:
        warnings.warn(
            f"vLLM starts an engine for each hybrid, and each is written as a checkpoint first: {self.reason}",
            stacklevel=3,
        )


def cannot_swap(pair: ModelPair, settings: Mapping[str, Any]) -> str:
    """Why weights of a pair cannot be exchanged inside a running engine; empty where they can."""
    if pair.base_side.quantised or pair.tuned_side.quantised or settings.get("quantization"):
        return "its weights are quantised, and vLLM repacks them when it loads them"
    if recurrent(pair.config):
        return "its blocks keep states (state-space, linear attention or convolution)"
    return ""


def is_base_whole(pair: ModelPair) -> bool:
    """Whether base's weights in the place of tuned's are base: the same config, dtype and tensors, none left over."""
    base, tuned = pair.base_side, pair.tuned_side
    left_over = (name for side in (base, tuned) for name, address in side.addresses.items() if address.role == "other")
    if pair.base_fields or any(foreign_part(name) is None for name in left_over):
        return False
    try:
        plan_hybrid(base, tuned, Recipe.base(pair.depth, blocks_only=False))
    except RecipeError:
        return False
    return pair.dtype is not None or base.dtype == tuned.dtype


def _name(dtype: torch.dtype | None) -> str:
    """A dtype as vLLM calls it; of quantised weights it is vLLM's to choose."""
    return "auto" if dtype is None else str(dtype).removeprefix("torch.")
