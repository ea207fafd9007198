"""Whether replies are read, and where they come from: sampled once, then kept beside the sweeps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import GenerationError, PromptError, RankingError
from slr_probe.executor import Executor
from slr_probe.files import digest, read_json, write_json
from slr_probe.pair.prompts import Format
from slr_probe.pair.side import state_of
from slr_probe.progress import step
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.guards.judge import FEWEST_REPLIES
from slr_probe.rank.guards.replies import ReadReplies, Written, sample_replies
from slr_probe.tasks.builtin import choice_task, size_for

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_STREAMED = "no replies are read: the pair is streamed and cannot write any; the choice is by validity alone"
_UNWRITTEN = "no replies are read, as tuned cannot write any: {error}; the choice is by validity alone"
_TOO_FEW = (
    "tuned ended only {count} replies of {asked} within {tokens} tokens, too few to hold ranges to: the choice is by "
    "validity alone"
)


@dataclass(frozen=True)
class AskedReplies:
    """The replies of a ranking.

    Attributes:
        selection: Replies that choices are made on; None for none.
        held_out: Replies that no choice is made on; None for none.
        notes: What a reader should know.
    """

    selection: ReadReplies | None = None
    held_out: ReadReplies | None = None
    notes: tuple[str, ...] = ()

    def fields(self, pair: ModelPair) -> dict[str, Any]:
        """Fields of the ranking that no score changes."""
        if self.selection is None or self.held_out is None:
            return {}
        selection, held_out = self.selection, self.held_out
        texts = (*selection.texts(pair.tokenizer, "selection"), *held_out.texts(pair.tokenizer, "held_out"))
        return {
            "reply_prompt": selection.prompt,
            "reply_place": selection.place,
            "held_reply_prompt": held_out.prompt,
            "held_reply_place": held_out.place,
            "reply_texts": texts,
        }


@step("replies")
def read_replies(
    pair: ModelPair,
    guards: Guards | None,
    objective: str,
    format: Format | None,
    engine: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
) -> AskedReplies:
    """Sample replies, or take those that an earlier call kept; none where nothing asks for them.

    Where tuned cannot write any, guards are left out, and a note says so.

    Args:
        pair: The pair.
        guards: How many replies; None where nothing is asked of them.
        objective: What is maximised.
        format: Prompt format.
        engine: Options of `sweep`, of which its executor samples them.
        out: Folder of the sweeps; None keeps replies in memory only.

    Raises:
        RankingError: The objective needs replies, and the pair is streamed.
        GenerationError: It does, and a prompt and its reply do not fit the context of tuned.
        PromptError: It does, and a prompt cannot be rendered.
    """
    from slr_probe.sweep.prepare import streams

    if guards is None and objective == "crc":
        return AskedReplies()
    if streams(pair, engine["stream"], engine["memory"]):
        if objective == "crc":
            return AskedReplies(notes=(_STREAMED,))
        raise RankingError(
            f"objective={objective!r} reads replies, which a streamed pair cannot write; give memory= for both models, "
            "or objective='crc'"
        )
    bounds = guards or Guards()
    try:
        replies = _kept(pair, bounds, format, None if out is None else Path(out), engine.get("executor"))
    except (GenerationError, PromptError) as error:
        if objective == "crc":
            return AskedReplies(notes=(_UNWRITTEN.format(error=error),))
        raise
    ended = sum(one.ended and not one.open for one in replies["selection"].written)
    few = _TOO_FEW.format(count=ended, asked=bounds.replies, tokens=bounds.max_tokens)
    return AskedReplies(replies["selection"], replies["held_out"], (few,) if ended < FEWEST_REPLIES else ())


def _kept(pair: ModelPair, guards: Guards, format: Format | None, out: Path | None, executor: Executor | None) -> Any:
    """The replies; from the folder where an earlier call sampled the same ones."""
    from slr_probe.generation.decode import end_tokens

    sampled = {name: value for name, value in guards.to_dict().items() if name not in ("ending", "surprise", "drift")}
    prompts = [item.prompt for item in choice_task(size_for(pair)).items]
    asked = {"guards": sampled, "format": format, "prompts": prompts, "base": state_of(pair.base_side)}
    asked |= {"tuned": state_of(pair.tuned_side), "dtype": str(pair.dtype)}
    file = None if out is None else out / f"replies-{digest(asked)[:12]}.json"
    if file is None or not file.exists():
        found = sample_replies(pair, guards, format, executor)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {half: [asdict(one) for one in one_half.written] for half, one_half in found.items()})
        return found
    ends = end_tokens(pair)
    kept = {half: [_written(one) for one in written] for half, written in read_json(file).items()}
    return {half: ReadReplies.of(written, ends, guards) for half, written in kept.items()}


def _written(data: Mapping[str, Any]) -> Written:
    return Written(**{**data, "ids": tuple(data["ids"]), "tokens": tuple(data["tokens"])})
