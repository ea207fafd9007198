"""Open questions with many right answers."""

from __future__ import annotations

from slr_probe.tasks.text import TextTask
from slr_probe.tasks.writing import Size, builtin


def qa_task(size: Size = "full") -> TextTask:
    """Questions that have many right answers, with the list of them; questions and lists are of our own writing.

    Most sets are closed (states, elements, planets, plays of Shakespeare) and listed completely, with the usual
    spellings. Everyday sets (fruit, colors, furniture) are open: a rare right answer may be missing from the list and
    then counts as wrong.

    Args:
        size: "full", 55 questions with 8 to 118 answers each, or "organism", the 30 questions that the embedded pair
            was trained on; see `slr_probe.tasks.tiny.small`.

    Raises:
        TaskError: The size is unknown.

    Examples:
        >>> task = qa_task()
        >>> item = next(item for item in task.items if item.id == "planet")
        >>> task.answer(item, "My favorite is the planet saturn."), task.correct(item, "Pluto!")
        ('Saturn', False)
    """
    from slr_probe.tasks.tiny.small import check_size, small_qa

    check_size(size)
    return builtin("qa") if size == "full" else small_qa()
