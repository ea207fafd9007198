"""One call of `generate`: what its models share, what each has yet to write, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.files import digest
from slr_probe.generation.journal import Journal, hash_ids, library_versions
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Source
from slr_probe.generation.text import Writing
from slr_probe.pair.prompts import Format
from slr_probe.pair.prompts.template import Template

if TYPE_CHECKING:
    from slr_probe.generation.decode import Request, Sample
    from slr_probe.pair import ModelPair

Done = dict[tuple[str, int], tuple[str, bool]]
"""Text and end of each finished sample, by prompt id and number of the sample."""


@dataclass(frozen=True)
class Left:
    """What one model has written, and what it has yet to write.

    Attributes:
        journal: Its file; None where nothing is kept.
        done: Text and end of each finished sample.
        requests: What is missing.
    """

    journal: Journal | None
    done: Done
    requests: list[Request]

    @cached_property
    def asked(self) -> dict[str, Request]:
        """What is missing, by prompt id."""
        return {request.id: request for request in self.requests}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Hash of the token ids of each prompt that is missing something."""
        return {request.id: hash_ids(request.ids) for request in self.requests}

    def missing(self, prompt: str) -> tuple[int, ...]:
        """Numbers of the samples of a prompt that were missing."""
        return self.asked[prompt].samples if prompt in self.asked else ()

    @property
    def left(self) -> int:
        """Samples that were missing."""
        return sum(len(request.samples) for request in self.requests)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt among them."""
        return max((len(request.ids) for request in self.requests), default=0)

    def keep(self, lines: list[dict[str, Any]]) -> None:
        """Take finished samples in, first on disk."""
        if self.journal is not None:
            self.journal.append(lines)
        self.done.update({(line["id"], line["sample"]): (line["text"], line["finished"]) for line in lines})


@dataclass(frozen=True)
class Call:
    """What all models of one call share.

    Attributes:
        pair: The pair.
        prompts: Id and user message of each.
        samples: Outputs a prompt.
        sampling: How tokens are drawn.
        ends: Tokens that end an output.
        backend: What writes, by name.
        settings: Settings of what writes that may change what is written.
    """

    pair: ModelPair
    prompts: Mapping[str, str]
    samples: int
    sampling: Sampling
    ends: tuple[int, ...]
    backend: str
    settings: Mapping[str, Any]

    @cached_property
    def writing(self) -> Writing:
        """How tokens become texts."""
        return Writing(self.pair.tokenizer, self.sampling.stop)

    def opened(self, format: Format) -> str:
        """The mark of reasoning that prompts of this format end with; empty for none."""
        reasoning = self.pair.prompts.opening.reasoning if format == "chat" else None
        return reasoning[0] if reasoning else ""

    def left(
        self,
        source: Source,
        rendered: Mapping[str, tuple[int, ...]],
        out: Any,
        beside: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Left:
        """What one model has yet to write.

        Args:
            source: The model.
            rendered: Token ids of every prompt in its format.
            out: Folder of what it wrote before; None for none.
            beside: Token ids of every prompt as base reads it, where base and tuned write together.

        Raises:
            GenerationError: The folder was made with other settings.
        """
        if out is None:
            return Left(None, {}, self._missing({}, rendered, beside or {}))
        journal = self._journal(source, Path(out))
        journal.check_prompts(self.prompts.items(), rendered)
        return Left(journal, journal.done, self._missing(journal.done, rendered, beside or {}))

    def requests(
        self, ids: Mapping[str, tuple[int, ...]], samples: tuple[int, ...], beside: Mapping[str, tuple[int, ...]]
    ) -> tuple[Request, ...]:
        """Requests for these samples of prompts; of greedy decoding one sample is written, and then repeated."""
        from slr_probe.generation.decode import Request

        numbers = self.sampling.drawn(samples)
        return tuple(Request(name, tokens, numbers, beside.get(name, ())) for name, tokens in ids.items())

    def lines(self, source: Source, left: Left, samples: Iterable[Sample]) -> list[dict[str, Any]]:
        """Lines of JSONL of finished samples, without those that were there before."""
        opened, lines = self.opened(source.format), []
        for sample in samples:
            wanted = left.missing(sample.id)
            if not wanted:
                continue
            line = {
                "model": source.name,
                "id": sample.id,
                "prompt": self.prompts[sample.id],
                "sample": sample.number,
                "text": self.writing.text(sample.tokens, opened),
                "finished": sample.finished,
                "tokens": len(sample.tokens),
                "rendered": left.hashes[sample.id],
            }
            numbers = wanted if self.sampling.greedy else {sample.number}.intersection(wanted)
            lines += [{**line, "sample": number} for number in numbers]
        return lines

    def _missing(
        self, done: Done, rendered: Mapping[str, tuple[int, ...]], beside: Mapping[str, tuple[int, ...]]
    ) -> list[Request]:
        """Requests for the samples that are not there yet."""
        from slr_probe.generation.decode import Request

        requests: list[Request] = []
        for name, ids in rendered.items():
            numbers = tuple(number for number in range(self.samples) if (name, number) not in done)
            if numbers:
                requests.append(Request(name, ids, numbers, beside.get(name, ())))
        return requests

    def _journal(self, source: Source, out: Path) -> Journal:
        """The file of one model's outputs, with all that decides what they are."""
        from slr_probe.checkpoint import identity, open_checkpoint
        from slr_probe.pair.side import state_of

        pair = self.pair
        template = Template.of(pair.tokenizer) if source.format == "chat" else None
        opened = self.opened(source.format)
        folder = source.what if isinstance(source.what, Path) else None
        made = {
            "model": "folder" if folder else source.describe(),
            "base": state_of(pair.base_side) if folder is None else None,
            "tuned": state_of(pair.tuned_side) if folder is None else identity(open_checkpoint(folder)),
            "format": source.format,
            "chat_template": digest(template.text.encode("utf-8", "surrogatepass"))[:16] if template else None,
            **({"reasoning": opened} if opened else {}),
            "sampling": self.sampling.to_dict(),
            "ends": list(self.ends),
            "dtype": "as stored" if pair.dtype is None else str(pair.dtype).removeprefix("torch."),
            "backend": self.backend.removesuffix("-folders"),  # which writes the same
            **({"engine": dict(self.settings)} if self.settings else {}),
        }
        return Journal(out, source.name, made, library_versions(self.backend))
