import pytest

from slr_probe.errors import ValidationError
from slr_probe.scoring.tasks import STORIES, few_stories, read_size, resize
from slr_probe.tasks.builtin import qa_task, reasoning_task, writing_task


@pytest.mark.parametrize(("prompts", "stories"), [(None, STORIES), (24, 16), (8, 5), (2, 2)])
def test_fewer_stories_than_questions(prompts, stories):
    size = few_stories(read_size("full", prompts, None, None))
    found = [len(resize(task, size, 0).items) for task in (writing_task(), qa_task(), reasoning_task())]
    assert found == [stories, prompts or 55, prompts or 120]


def test_stories_can_be_asked_for():
    size = few_stories(read_size("quick", None, None, None, 30))
    assert [len(resize(task, size, 0).items) for task in (writing_task(), qa_task())] == [30, 8]
    with pytest.raises(ValidationError, match="stories of at least 2"):
        read_size("quick", None, None, None, 1)


def test_other_tasks_and_lineages_do_not_lose_stories():
    assert len(resize(writing_task(), read_size("full", 40, None, None), 0).items) == 40
