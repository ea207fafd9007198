"""What a model's name stands for: a side of the pair or a hybrid, and the format of its prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import GenerationError
from slr_probe.layers import LayerRange
from slr_probe.pair.prompts import Format
from slr_probe.recipe import Recipe

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_PLAIN = " (plain)"


@dataclass(frozen=True)
class Route:
    """Base and tuned write one text together, of which one draws each token (after BACo, arXiv 2511.05650).

    The paper's abstract says that a router picks the model of each token by the uncertainty of the next token, with a
    threshold. Of its routers this is the simplest, in our own form: base draws where its largest probability is below
    the threshold, tuned everywhere else. Ours are: base's uncertainty rather than tuned's, that base reads the prompt
    in the plain format, and that the model may change within a word.

    Attributes:
        threshold: From 0 (tuned writes all) to above 1 (base writes all).

    Raises:
        GenerationError: The threshold is no number from 0.
    """

    threshold: float

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if not number or not self.threshold >= 0:
            raise GenerationError(f"the threshold of a route must be a number from 0; got {self.threshold!r}")

    def __str__(self) -> str:
        return f"routed {self.threshold:g}"


Model = Recipe | LayerRange | Route | str | Path


@dataclass(frozen=True)
class Source:
    """One model to generate from.

    Attributes:
        name: Its name in results.
        what: `"base"`, `"tuned"`, a recipe, a route, or the folder of a checkpoint (for vLLM).
        format: Format of its prompts.
    """

    name: str
    what: Recipe | Route | Path | str
    format: Format

    def describe(self) -> Any:
        """Plain data that tells two sources apart."""
        if isinstance(self.what, Recipe):
            return {**self.what.to_dict(), "name": ""}
        if isinstance(self.what, Route):
            return {"route": self.what.threshold}
        return str(self.what)

    @property
    def end_bias(self) -> dict[int, float]:
        """What is added to the logits of tokens, as the recipe says."""
        return dict(self.what.end_bias) if isinstance(self.what, Recipe) else {}

    @contextmanager
    def model(self, pair: ModelPair) -> Iterator[Any]:
        """The model in memory; a hybrid exists inside the `with` block only."""
        from slr_probe.generation.state import Routed
        from slr_probe.restoration import restored

        if isinstance(self.what, Route):
            yield Routed(pair.base, pair.tuned, self.what.threshold)
        elif self.what == "base":
            yield pair.base
        elif self.what == "tuned":
            yield pair.tuned
        else:
            assert isinstance(self.what, Recipe)
            with restored(pair, self.what) as hybrid:
                yield hybrid


def read_sources(
    pair: ModelPair, models: Mapping[str, Model] | Iterable[Model] | Model, format: Format | None, *, folders: bool
) -> list[Source]:
    """The models that were asked for, in order.

    Args:
        pair: The pair.
        models: By name; or models that name themselves.
        format: Format of all prompts but those of `"... (plain)"`.
        folders: Whether the folder of a checkpoint is a model.

    Raises:
        GenerationError: None given, two of one name, or a route where `folders` are read.
        RecipeError: Something that is no model.
        LayerRangeError: A range out of bounds.
    """
    if isinstance(models, (str, Path, Recipe, LayerRange, Route)):
        models = [models]
    named = list(models.items()) if isinstance(models, Mapping) else [(str(model), model) for model in models]
    if not named:
        raise GenerationError("no models to generate from; give for example ['base', 'tuned', '8:14']")
    names = [name for name, _ in named]
    if len(set(names)) != len(names):
        raise GenerationError(f"two models are named {next(n for n in names if names.count(n) > 1)!r}")
    return [_source(pair, name, model, format, folders) for name, model in named]


def _source(pair: ModelPair, name: str, model: Model, format: Format | None, folders: bool) -> Source:
    usual = format or pair.prompts.default_format
    if isinstance(model, str):
        side = model.removesuffix(_PLAIN)
        if side in ("base", "tuned"):
            return Source(name, side, "plain" if side != model else usual)
    if isinstance(model, Path) or (folders and isinstance(model, str) and Path(model).is_dir()):
        if not folders:
            raise GenerationError(f"'{name}' is a folder ({model}); the hf backend takes recipes: give backend='vllm'")
        return Source(name, Path(model), usual)
    if isinstance(model, Route):
        if folders:
            raise GenerationError(f"'{name}' needs two models at every token, which vLLM cannot do: give backend='hf'")
        return Source(name, model, usual)
    return Source(name, pair.recipe(model), usual)
