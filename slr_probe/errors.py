"""The one family of errors that slr_probe raises on bad input, and how errors of other people's code become such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 600  # characters of another library's message that are passed on


def printable(text: str) -> str:
    r"""Text with what a terminal obeys, or cannot print, spelled out; new lines and tabs stay.

    Names, prompts and messages come from files of others, and an escape sequence in one could rewrite the screen.

    Examples:
        >>> printable("red\x1b[2J"), printable("\ud800")
        ('red\\x1b[2J', '\\ud800')
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: object, longest: int = _LONGEST) -> str:
    """A text in one line that can be printed, cut where it is too long."""
    flat = " ".join(printable(str(text)).split())
    return flat if len(flat) <= longest else f"{flat[:longest]}..."


class SlrProbeError(Exception):
    """Base class: the message says what was given, what was expected and what to do."""

    def __str__(self) -> str:
        return printable(super().__str__())


class LayerRangeError(SlrProbeError, ValueError):
    """A layer range that is malformed, reversed, empty where that is not allowed, or out of bounds."""


class RecipeError(SlrProbeError, ValueError):
    """A recipe that is malformed, or that does not fit the model it is applied to."""


class CheckpointError(SlrProbeError):
    """A checkpoint folder that is missing, incomplete, corrupt, unsafe (pickle) or not finite."""


class IncompatiblePairError(SlrProbeError):
    """Base and tuned are not two checkpoints of one architecture."""


class LayoutError(SlrProbeError):
    """Decoder blocks, embedding, final norm or head could not be found in a model or checkpoint."""


class PromptError(SlrProbeError, ValueError):
    """A prompt that cannot be rendered to token ids with exactly the expected BOS."""


class OutputError(SlrProbeError):
    """An output folder that cannot be written: not empty, no space left, or in use."""


class TaskError(SlrProbeError, ValueError):
    """A task without usable prompts: none given, too few answers, duplicates, or too few fit the tokenizer."""


class ResultError(SlrProbeError):
    """A file that does not hold the saved result that was asked for."""


class SweepError(SlrProbeError, ValueError):
    """A sweep that cannot be run as asked: nothing to measure, too little memory, or results of another sweep."""


class ExecutorError(SlrProbeError, ValueError):
    """An executor that is unknown, cannot be reached, has no room, or loses the same part again and again."""


class LostPartError(ExecutorError):
    """A part of a piece of work that no worker lives to finish.

    Attributes:
        number: Which part it is.
    """

    def __init__(self, message: str, number: int = -1) -> None:
        super().__init__(message)
        self.number = number


class RankingError(SlrProbeError, ValueError):
    """A ranking that cannot be made: an unknown method or scorer, or a validity floor outside (0, 1]."""


class StudyError(SlrProbeError):
    """A study that cannot run as asked: unknown stage or setting, a folder of another pair, or a stage that failed."""


class ValidationError(SlrProbeError, ValueError):
    """A validation that cannot be made: nothing to compare, too few samples, or a folder that holds another one."""


class LineageError(SlrProbeError, ValueError):
    """A lineage that cannot be traced: too few stages, stages with different prompts, or a base without diversity."""


class GenerationError(SlrProbeError, ValueError):
    """Outputs that cannot be generated as asked: a setting out of range, no prompts, or a folder of other settings."""


class JudgeError(SlrProbeError):
    """A model that scores text is absent, cannot be reached, or is not of the kind that is needed."""


class MaskError(SlrProbeError, ValueError):
    """A layer mask that cannot be learned or used: no usable conversation, no change to weigh, a loss that diverged."""


@contextmanager
def foreign(error: type[SlrProbeError], what: str) -> Iterator[None]:
    """Run other people's code: whatever it raises becomes one clear error of ours.

    Parsers and loaders fail in every way there is, down to a panic of a library in Rust, which is no `Exception`.

    Args:
        error: What is raised instead.
        what: What could not be done, and with what.

    Examples:
        >>> with foreign(ResultError, "that is no number"):
        ...     int("one")
        Traceback (most recent call last):
        slr_probe.errors.ResultError: that is no number (ValueError: invalid literal for int() with base 10: 'one')
    """
    try:
        yield
    except (SlrProbeError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as fault:
        raise error(f"{what} ({type(fault).__name__}: {one_line(fault)})") from fault
