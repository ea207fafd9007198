"""One engine that becomes one hybrid after another: what differs is loaded, and each swap is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.errors import GenerationError
from slr_probe.generation.vllm.engine import Engine
from slr_probe.generation.vllm.proof import Answers, Proof
from slr_probe.generation.vllm.weights import Plan, changed, in_short_steps
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.recipe import Recipe
from slr_probe.restoration.plan import plan_hybrid

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair


class CannotSwapError(GenerationError):
    """vLLM runs this model in a way in which its weights cannot be exchanged."""


class LiveEngine:
    """The hybrids of a pair inside one engine of vLLM.

    Its memory is that of the engine alone: what the hybrids should answer is measured before it starts, and then the
    pair's models are dropped.

    Args:
        pair: The pair, both sides on disk.
        dtype: Dtype to compute in, by name.
        settings: Further settings of vLLM's.
        proof: The questions that tell one model from another.
    """

    def __init__(self, pair: ModelPair, dtype: str, settings: Mapping[str, Any], proof: Proof) -> None:
        self.pair, self._dtype, self._settings = pair, dtype, settings
        self._proof, self._length = proof, 0
        self._expected: dict[Recipe, None] = {}
        self._engine: Engine | None = None
        self._held: Plan | None = None
        self._answered: tuple[Recipe, Answers] | None = None

    def expect(self, recipes: Sequence[Recipe], length: int) -> None:
        """Make ready for models and for so many tokens of prompt and output; an engine that is too small ends.

        Raises:
            RecipeError: A recipe does not fit the pair.
        """
        length = max(length, self._proof.longest + 1)
        if length > self._length:
            self.close()
            self._length = length
        for recipe in recipes:
            self._plan(recipe)
            self._expected[recipe] = None

    def order(self, recipes: Sequence[Recipe]) -> list[int]:
        """An order of recipes in which little is loaded, from what the engine holds on."""
        return in_short_steps([self._plan(one) for one in recipes], self._held or self._first(), self.pair.tuned_side)

    def become(self, recipe: Recipe) -> Engine:
        """The engine, proved to run a hybrid; what all expected ones should answer is measured before it starts.

        Raises:
            CannotSwapError: vLLM runs the model with states.
            GenerationError: It could not load the weights, or answers as another model would.
        """
        plan = self._plan(recipe)
        if recipe not in self._proof.expected:
            self.close()
            self._proof = self._proof.including(self.pair, [*self._expected, recipe])
            self.pair.unload()
        engine = self._started()
        names = changed(self._held, plan, self.pair.tuned_side)
        if not names and self._answered is not None:
            return engine
        try:
            if names:
                engine.take(*self._folders(), recipe.to_dict(), names)
            answers = self._proof.ask(engine.logprobs)
            self._proof.check(recipe, answers, self._answered if names else None)
        except BaseException:
            self.close()  # nobody knows which weights it holds
            raise
        self._held, self._answered = plan, (recipe, answers)
        return engine

    def close(self) -> None:
        """End the engine, if it runs."""
        engine, self._engine, self._held, self._answered = self._engine, None, None, None
        if engine is not None:
            engine.close()

    def _started(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(
                str(stored_at(self.pair.tuned_side)),
                self._length,
                self._dtype,
                self._settings,
                tokenizer=_tokenizer(self.pair),
                trust_remote_code=self.pair.tuned_side.trust_remote_code,
            )
            self._held = self._first()
            if self._engine.recurrent:
                self.close()
                raise CannotSwapError("vLLM runs its blocks with states")
        return self._engine

    def _first(self) -> Plan | None:
        """What an engine holds when it starts: tuned, or the model that an adapter will change."""
        return None if self.pair.has_adapter else self._plan(Recipe.tuned(self.pair.depth))

    def _plan(self, recipe: Recipe) -> Plan:
        return plan_hybrid(self.pair.base_side, self.pair.tuned_side, recipe)

    def _folders(self) -> tuple[str, str]:
        return str(self.pair.base_side.path), str(self.pair.tuned_side.path)


def stored_at(side: Side) -> Path:
    """The folder with the whole weights of a side: its own, or that which its adapter was made over."""
    checkpoint = require_checkpoint(side)
    return checkpoint.base.path if isinstance(checkpoint, AdapterCheckpoint) else checkpoint.path


def _tokenizer(pair: ModelPair) -> str | None:
    """The folder of the tokenizer: tuned's where it brings one, else base's."""
    folders = [side.path for side in (pair.tuned_side, pair.base_side) if side.path is not None]
    return next((str(folder) for folder in folders if any(folder.glob("tokenizer*"))), None)
