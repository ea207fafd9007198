"""The built-in tasks for Inspect: `inspect eval slr_probe/crc --model hf/local -M model_path=HYBRID`.

Inspect finds them by the entry point of the package; `slr-probe compare` reads the logs that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate

from slr_probe.tasks.answers import MARKS, spellings
from slr_probe.tasks.builtin import qa_task
from slr_probe.tasks.crc import CRCTask
from slr_probe.tasks.item import CRCItem
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.thinking import strip_reasoning

Grade = Callable[[str], bool]
_CRC_TOKENS = 16


@task  # type: ignore[untyped-decorator]
def crc(samples: int = 16, prompts: int | None = None) -> Task:
    """Constrained random choices, the held-out ones; correct is a reply that is nothing but a valid answer.

    Args:
        samples: Replies to each prompt (epochs); diversity is read from them.
        prompts: How many of the 40 prompts; default: all.
    """
    held_out = CRCTask.default().held_out
    assert held_out is not None
    items = held_out.items[:prompts]
    questions = [Sample(item.prompt, target=list(item.answers), id=str(i)) for i, item in enumerate(items)]
    grades: dict[str, Grade] = {str(i): _Chosen(item) for i, item in enumerate(items)}
    return _task("crc", questions, grades, samples, _CRC_TOKENS)


@task  # type: ignore[untyped-decorator]
def open_questions(samples: int = 16, prompts: int | None = None) -> Task:
    """Questions with many right answers; correct is a reply that names one of them.

    Args:
        samples: Replies to each question (epochs).
        prompts: How many of the questions; default: all.
    """
    asked = qa_task() if prompts is None else qa_task().subset(prompts)
    questions = [Sample(item.prompt, target=[group[0] for group in item.answers], id=item.id) for item in asked.items]
    grades: dict[str, Grade] = {item.id: partial(_names_one, asked, item) for item in asked.items}
    return _task(asked.name, questions, grades, samples, asked.max_tokens)


def _names_one(asked: TextTask, item: Item, text: str) -> bool:
    return bool(asked.correct(item, text))


class _Chosen:
    """Whether a reply is nothing but an answer, or an answer and a closing mark."""

    def __init__(self, item: CRCItem) -> None:
        self._item = item
        self._accepted = {self._form(text) for answer in item.answers for text in spellings(answer, item.ignore_case)}

    def __call__(self, text: str) -> bool:
        reply = text.strip()
        return any(self._form(one) in self._accepted for one in (reply, reply.rstrip("".join(MARKS)).rstrip()))

    def _form(self, text: str) -> str:
        return text.casefold() if self._item.ignore_case else text


def _task(name: str, questions: Sequence[Sample], grades: dict[str, Grade], samples: int, max_tokens: int) -> Task:
    return Task(
        name=name,
        dataset=MemoryDataset(list(questions), name=name),
        solver=generate(),
        scorer=accepted(grades),
        epochs=samples,
        config=GenerateConfig(temperature=1.0, max_tokens=max_tokens),
    )


@scorer(metrics=[accuracy(), stderr()])  # type: ignore[untyped-decorator]
def accepted(grades: dict[str, Grade]) -> Scorer:
    """Correct where the reply, without its reasoning, is an accepted answer as the task reads it."""

    async def score(state: TaskState, target: Target) -> Score:
        reply = strip_reasoning(state.output.completion)
        return Score(value=CORRECT if grades[str(state.sample_id)](reply) else INCORRECT, answer=reply)

    return score
