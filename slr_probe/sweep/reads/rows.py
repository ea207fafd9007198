"""Rows of tokens, positions at which they are read, and how several kinds of questions share one walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import spans

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from slr_probe.forward.readout import Readout

Arrays = dict[str, ndarray[Any, Any]]
Reduce = Callable[["Float[torch.Tensor, 'state read vocab']"], dict[str, torch.Tensor]]
"""Turns logits into tensors `[state, read, ...]`, by name."""
ReferenceLogits = Callable[["Int[ndarray, ' read']"], "Float[torch.Tensor, 'read vocab']"]
"""Logits of the reference recipe at some reads of the reader that compares with it."""
REDUCE = 1 << 20
"""Float32 scores to reduce at once: small enough for a processor's cache."""
_STATES_AT_ONCE = 4
"""Logits are computed for at least so many states of one position, where there are, so that what a position needs
by itself is made for several."""


@dataclass(frozen=True)
class Row:
    """Tokens that are run, and where something is read.

    Attributes:
        token_ids: The tokens.
        reads: Positions whose next-token distribution is wanted, in increasing order; the last is the last token.
    """

    token_ids: tuple[int, ...]
    reads: tuple[int, ...]

    @classmethod
    def last(cls, token_ids: Sequence[int]) -> Row:
        """A row that is read after its last token."""
        return cls(tuple(token_ids), (len(token_ids) - 1,))


class Reader(Protocol):
    """One kind of question: which rows it needs run, and what it keeps of the logits at their reads.

    Reads are numbered row by row.
    """

    compares: ClassVar[bool]
    """Whether it compares logits with those of a reference recipe."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows to run."""

    def blank(self, recipes: int, reads: int) -> Arrays:
        """Arrays `[recipe, read, ...]` that hold nothing yet."""

    def at(self, reads: Int[ndarray, " read"], reference: ReferenceLogits | None) -> Reduce:
        """What turns logits at some reads into what is kept of them.

        Args:
            reads: Their numbers.
            reference: Logits of the reference recipe, for readers that compare.
        """


def rows_at_once(logits: torch.Tensor) -> int:
    """Rows of logits to reduce at once."""
    return max(1, (REDUCE if logits.device.type == "cpu" else 32 * REDUCE) // logits.shape[-1])


@dataclass(frozen=True)
class Part:
    """What one reader is concerned with among some rows.

    Attributes:
        reader: The reader.
        columns: Where its reads stand among all reads of the rows.
        reads: Their numbers.
    """

    reader: Reader
    columns: Int[ndarray, " read"]
    reads: Int[ndarray, " read"]

    def read(
        self,
        readout: Readout,
        hidden: Float[torch.Tensor, "state read hidden"],
        most: int,
        reference: ReferenceLogits | None,
    ) -> Arrays:
        """Arrays `[state, read, ...]` of the hidden states at these reads, with at most `most` rows of logits."""
        columns = []
        for some in spans(hidden.shape[1], max(1, most // _STATES_AT_ONCE)):
            reduce = self.reader.at(self.reads[some], reference)
            pieces = []
            for few in spans(len(hidden), max(1, most // len(self.reads[some]))):
                block = hidden[few, some]
                pieces.append(reduce(readout(block.flatten(0, 1)).reshape(*block.shape[:2], -1)))
            columns.append({name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]})
        return {name: torch.cat([c[name] for c in columns], 1).cpu().numpy() for name in columns[0]}


@dataclass(frozen=True)
class Asked:
    """All that a sweep is asked, as rows to run.

    Attributes:
        readers: The kinds of questions; rows are numbered through, reader by reader.
    """

    readers: tuple[Reader, ...]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row."""
        return tuple(row for reader in self.readers for row in reader.rows)

    def kinds(self, rows: Sequence[int]) -> list[list[int]]:
        """Some rows, apart by reader; readers that are not concerned are left out."""
        kinds = [[row for row in rows if self._owner[row] == number] for number in range(len(self.readers))]
        return [kind for kind in kinds if kind]

    def reader(self, row: int) -> Reader:
        """Whose row it is."""
        return self.readers[int(self._owner[row])]

    def compared(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits are compared with those of a reference recipe."""
        return [row for row in rows if self.reader(row).compares]

    def parts(self, rows: Sequence[int]) -> Iterator[Part]:
        """What each reader is concerned with, where rows are run in this order."""
        counts = np.array([len(self.rows[row].reads) for row in rows], dtype=np.int64)
        ends = np.cumsum(counts)
        owners = self._owner[np.asarray(rows, dtype=np.int64)]
        for number, reader in enumerate(self.readers):
            mine = np.flatnonzero(owners == number).tolist()
            if mine:
                columns = np.concatenate([np.arange(ends[i] - counts[i], ends[i]) for i in mine])
                reads = np.concatenate([self._first[rows[i]] + np.arange(counts[i]) for i in mine])
                yield Part(reader, columns, reads)

    @cached_property
    def _owner(self) -> Int[ndarray, " row"]:
        return np.repeat(np.arange(len(self.readers)), [len(reader.rows) for reader in self.readers])

    @cached_property
    def _first(self) -> Int[ndarray, " row"]:
        """Number of the first read of each row, within its reader."""
        firsts = [np.cumsum([0, *(len(row.reads) for row in reader.rows)])[:-1] for reader in self.readers]
        return np.concatenate(firsts).astype(np.int64)
