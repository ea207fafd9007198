"""Validity and diversity of a model while transformers' Trainer, or one of TRL's, trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback

from slr_probe.errors import TaskError
from slr_probe.pair.prompts import Format
from slr_probe.tasks.crc import CRCTask
from slr_probe.training.live import CRCPoint, LiveCRC

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


class CRCCallback(TrainerCallback):  # type: ignore[misc]
    """Measures CRC before the first step, then every so many steps, and logs it where the trainer logs.

    Where several processes train one model, each of them asks the questions, as a sharded model needs; the trainer logs
    those of the first.

    Args:
        trainer: The trainer; its `processing_class` is the tokenizer.
        every: Steps between two measurements.
        task: The task; default: the built-in one.
        prompts: How many questions to ask; see `LiveCRC`.
        format: `"chat"` or `"plain"`; default: chat where there is a chat template.

    Attributes:
        history: What was measured, by step.

    Raises:
        TaskError: `every` is below 1, the trainer has no tokenizer, or no question is left.

    Examples:
        >>> trainer.add_callback(CRCCallback(trainer, every=50))  # doctest: +SKIP
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        every: int = 50,
        task: CRCTask | None = None,
        prompts: int = 16,
        format: Format | None = None,
    ) -> None:
        if every < 1:
            raise TaskError(f"CRC is measured every so many steps, 1 or more; got every={every}")
        tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)  # of a processor, its own
        if tokenizer is None:
            raise TaskError("the trainer has no tokenizer to put questions with; give it processing_class=tokenizer")
        self.every, self.history = every, dict[int, CRCPoint]()
        self._trainer, self._crc = trainer, LiveCRC(tokenizer, task, prompts=prompts, format=format)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure where training begins, or goes on from a checkpoint."""
        self._measure(state.global_step, kwargs["model"], control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure where it is time to."""
        if state.global_step % self.every == 0:
            self._measure(state.global_step, kwargs["model"], control)

    def _measure(self, step: int, model: Any, control: TrainerControl) -> None:
        self.history[step] = self._crc(model)
        due = control.should_log  # to log anything clears it, and the loss would not be logged at this step
        Trainer.log(self._trainer, self.history[step].means())  # TRL's own also logs what gathered, and empties it
        control.should_log = due
