"""Answers of several tokens, and whether the reply ends after them: a token trie behind each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import spans
from slr_probe.forward.readout import AnswerTable
from slr_probe.sweep.reads.answers import Setting
from slr_probe.sweep.reads.rows import Arrays, Reduce, ReferenceLogits, Row, rows_at_once
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Path = tuple[int, ...]


@dataclass(frozen=True)
class PathTrie:
    """What must be known of one query's continuations.

    Attributes:
        query: The question.
    """

    query: Query

    @cached_property
    def owners(self) -> dict[Path, int]:
        """Which answer each path spells, those of one token first."""
        single = {(token,): a for a, tokens in enumerate(self.query.answers) for token in tokens}
        return single | {path: a for a, paths in enumerate(self.query.longer) for path in paths}

    @cached_property
    def finals(self) -> dict[Path, int]:
        """Which answer is given where a reply ends here: after a path, or after a closing mark behind it."""
        if self.query.ending is None:
            return {}
        marked = {
            path + mark: answer
            for path, answer in sorted(self.owners.items(), key=lambda item: len(item[0]))
            for mark in self.query.ending.marks
        }
        return marked | self.owners

    @cached_property
    def targets(self) -> dict[Path, dict[Path, None]]:
        """Tokens whose probability is wanted after each part of a path; the end tokens are wanted together.

        What follows the prompt itself stands under `()`.
        """
        wanted: dict[Path, dict[Path, None]] = {(): {}}
        for path in (*(path for path in self.owners if len(path) > 1), *self.finals):
            for k, token in enumerate(path):
                wanted.setdefault(path[:k], {})[(token,)] = None
        for path in self.finals:
            assert self.query.ending is not None
            wanted.setdefault(path, {})[self.query.ending.ends] = None
        return wanted

    @cached_property
    def rows(self) -> tuple[tuple[Row, tuple[Path, ...]], ...]:
        """Rows that are run behind the prompt, each with the parts of paths that it is the first to reach."""
        nodes = sorted(path for path in self.targets if path)
        inner = {path[:k] for path in nodes for k in range(len(path))}
        start, seen = len(self.query.token_ids), set[Path]()
        rows = []
        for leaf in (path for path in nodes if path not in inner):
            new = [k for k in range(1, len(leaf) + 1) if leaf[:k] in self.targets and leaf[:k] not in seen]
            seen.update(leaf[:k] for k in new)
            row = Row(self.query.token_ids + leaf, tuple(start + k - 1 for k in new))
            rows.append((row, tuple(leaf[:k] for k in new)))
        return tuple(rows)

    @property
    def at_prompt(self) -> Query:
        """The question that is read at the prompt's end: its answers of one token, then the beginnings of paths."""
        return Query(self.query.token_ids, (*self.query.answers, *self.targets[()]))

    def logs(
        self, first: Float[ndarray, "recipe setting target"], after: dict[Path, Float[ndarray, "recipe setting target"]]
    ) -> tuple[Float[ndarray, "recipe setting answer"], Float[ndarray, "recipe setting answer"]]:
        """Log-probability of each answer begun, and given and ended.

        A reply counts for the longest path that it begins with, so "17" is not counted as "1".

        Args:
            first: What was read at the prompt's end.
            after: What was read after each part of a path.
        """
        count = len(self.query.answers)
        begun, values = np.exp(first[..., :count]), {**after, (): first[..., count:]}
        ended, reached = np.zeros_like(begun), dict[Path, ndarray]()
        reached[()] = np.zeros(first.shape[:2])
        for path, wanted in sorted(self.targets.items(), key=lambda item: len(item[0])):
            for number, tokens in enumerate(wanted):
                log = reached[path] + values[path][..., number]
                if path in self.finals and tokens == self._ends:
                    ended[..., self.finals[path]] += np.exp(log)
                else:
                    reached[path + tokens] = log
        for path, answer in self.owners.items():
            if len(path) > 1:
                begun[..., answer] += np.exp(reached[path])
                for shorter in (path[:k] for k in range(len(path) - 1, 0, -1) if path[:k] in self.owners):
                    begun[..., self.owners[shorter]] -= np.exp(reached[path])
                    break
        with np.errstate(divide="ignore"):
            return np.log(begun.clip(0)), np.log(ended)

    @property
    def _ends(self) -> Path | None:
        return None if self.query.ending is None else self.query.ending.ends


@dataclass(frozen=True)
class PathReader:
    """Reads what follows each part of a path.

    Attributes:
        tries: One a query.
        settings: Temperature and min-p, one pair or more.
        device: Where logits are.
    """

    compares: ClassVar[bool] = False

    tries: tuple[PathTrie, ...]
    settings: Sequence[Setting]
    device: torch.device

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Rows behind each prompt; none for a query whose answers are single tokens that nothing is asked after."""
        return tuple(row for trie in self.tries for row, _ in trie.rows)

    @cached_property
    def _nodes(self) -> list[tuple[int, Path]]:
        """Query and part of a path of each read."""
        return [(q, path) for q, trie in enumerate(self.tries) for _, paths in trie.rows for path in paths]

    @cached_property
    def _table(self) -> AnswerTable:
        wanted = [Query((), tuple(self.tries[q].targets[path])) for q, path in self._nodes]
        return AnswerTable.of(wanted, self.device)

    def blank(self, recipes: int, reads: int) -> Arrays:
        """Log-probabilities of what is wanted after each part of a path, at every setting."""
        width = max((len(self.tries[q].targets[path]) for q, path in self._nodes), default=0)
        shape = (recipes, reads, len(self.settings), width)
        return {"path_logprobs": np.full(shape, -np.inf, dtype=np.float32)}

    def at(self, reads: Int[ndarray, " read"], reference: ReferenceLogits | None) -> Reduce:
        """What turns logits after some parts of paths into these."""
        table = self._table.rows(torch.from_numpy(reads).to(self.device))

        def reduce(logits: Float[torch.Tensor, "state read vocab"]) -> dict[str, torch.Tensor]:
            few = max(1, rows_at_once(logits) // logits.shape[1])
            logs = [
                torch.stack([table.logprobs(logits[some], *setting) for setting in self.settings], 2)
                for some in spans(len(logits), few)
            ]
            return {"path_logprobs": torch.cat(logs)}

        return reduce

    def answers(self, arrays: Arrays) -> Arrays:
        """Arrays of answers of any number of tokens, of what was read at the prompts' ends and behind them."""
        if not self.rows:  # nothing goes on
            return {name: arrays[name] for name in ("answer_logprobs", "grid_logprobs")}
        first = np.concatenate([arrays["answer_logprobs"][:, :, None], arrays["grid_logprobs"]], axis=2)
        after: list[dict[Path, ndarray]] = [{} for _ in self.tries]
        for read, (q, path) in enumerate(self._nodes):
            after[q][path] = arrays["path_logprobs"][:, read].astype(np.float64)
        answers = max(len(trie.query.answers) for trie in self.tries)
        begun = np.full((*first.shape[:3], answers), -np.inf, dtype=np.float32)
        ended = begun.copy()
        for q, trie in enumerate(self.tries):
            some = slice(len(trie.query.answers))
            begun[:, q, :, some], ended[:, q, :, some] = trie.logs(first[:, q].astype(np.float64), after[q])
        found = {"answer_logprobs": begun[:, :, 0], "grid_logprobs": begun[:, :, 1:]}
        return found | ({} if any(trie.query.ending is None for trie in self.tries) else {"ended_logprobs": ended})
