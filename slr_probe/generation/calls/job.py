"""`Job`: one call of `generate` while it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slr_probe.generation.calls.asked import Asked
from slr_probe.generation.calls.call import Call, Left
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sources import Route, Source, read_sources
from slr_probe.pair.prompts import Format

if TYPE_CHECKING:
    from slr_probe.generation.decode import Sample
    from slr_probe.pair import ModelPair


class Job:
    """What is asked for, which of it is there, and what comes in.

    Args:
        pair: The pair.
        asked: What is asked for.
        backend: What writes, by name.

    Attributes:
        sources: The models.
        rendered: Token ids of every prompt, by format.

    Raises:
        PromptError: A prompt cannot be rendered.
        RecipeError: Something that is no model.
    """

    def __init__(self, pair: ModelPair, asked: Asked, backend: str) -> None:
        self._pair, self.asked, self._backend = pair, asked, backend
        self.sources = read_sources(pair, asked.models, asked.format, folders=backend != "hf")
        self.rendered = {format: self._render(format) for format in _formats(self.sources)}
        self._left: dict[str, Left] = {}

    def begin(self, settings: Mapping[str, Any]) -> Job:
        """Read what is there; `settings` are those of what writes that may change what is written.

        Raises:
            GenerationError: The folder was made with other settings.
            ResultError: A malformed line in it.
            OutputError: It cannot be written.
        """
        from slr_probe.generation.decode import end_tokens

        asked, ends = self.asked, end_tokens(self._pair)
        self.call = Call(
            self._pair, dict(asked.prompts), asked.samples, asked.sampling, ends, self._backend, dict(settings)
        )
        self._left = {
            one.name: self.call.left(one, self.rendered[one.format], asked.out, self.beside(one))
            for one in self.sources
        }
        return self

    def beside(self, source: Source) -> dict[str, tuple[int, ...]]:
        """Token ids of every prompt as base reads it, where base and tuned write together; else none."""
        return self.rendered["plain"] if isinstance(source.what, Route) else {}

    @property
    def todo(self) -> list[Source]:
        """The models that have something to write."""
        return [source for source in self.sources if self._left[source.name].left]

    @property
    def total(self) -> int:
        """Samples in all."""
        return len(self.asked.prompts) * self.asked.samples * len(self.sources)

    @property
    def kept(self) -> int:
        """Samples that were there when it began."""
        return self.total - sum(left.left for left in self._left.values())

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt that is left, and of its output; 0 where nothing is."""
        prompts = [left.longest for left in self._left.values() if left.left]
        return max(prompts) + self.asked.sampling.max_tokens if prompts else 0

    def left(self, source: Source) -> Left:
        """What a model had yet to write when it began."""
        return self._left[source.name]

    def keep(self, source: Source, samples: Iterable[Sample]) -> int:
        """Take samples in, first on disk; how many lines they made."""
        left = self.left(source)
        lines = self.call.lines(source, left, samples)
        left.keep(lines)
        return len(lines)

    def collect(self) -> dict[str, Outputs]:
        """The outputs by name of the model, prompts in the order asked."""
        return {source.name: self._collect(source.name) for source in self.sources}

    def _collect(self, model: str) -> Outputs:
        asked, done = self.asked, self._left[model].done
        cells = [[done[name, k] for k in range(asked.samples)] for name, _ in asked.prompts]
        return Outputs(
            model,
            tuple(name for name, _ in asked.prompts),
            tuple(text for _, text in asked.prompts),
            tuple(tuple(text for text, _ in row) for row in cells),
            tuple(tuple(ended for _, ended in row) for row in cells),
            asked.sampling,
        )

    def _render(self, format: Format) -> dict[str, tuple[int, ...]]:
        return {name: tuple(self._pair.render(text, format)) for name, text in self.asked.prompts}


def _formats(sources: Sequence[Source]) -> dict[Format, None]:
    """Formats that prompts are needed in, each once; base reads the plain one where it writes with tuned."""
    found: dict[Format, None] = dict.fromkeys(source.format for source in sources)
    return found | (dict.fromkeys(("plain",)) if any(isinstance(one.what, Route) for one in sources) else {})
