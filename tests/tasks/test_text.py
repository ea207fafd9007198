import json
from collections import Counter

import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import Item, TextTask


def task(counts, **options):
    items = [Item(f"{kind}{i}", f"{kind}, number {i}?", kind) for kind, count in counts.items() for i in range(count)]
    return TextTask(
        **({"name": "t", "family": "own", "max_tokens": 8, "samples": 2, "source": "test"} | options), items=items
    )


COLORS = Item("c", "Name a color.", answers=(("red", "crimson"), ("blue",)), check="list")
SUM = Item("s", "What is 999 + 1?", answers=(("1,000",),), check="number", constraints=(("max_words", 5),))
POEM = Item("p", "Write a poem.", constraints=(("lines", 2), ("contains", "moon")))
TASK = TextTask("t", "own", (COLORS, SUM, POEM), 8, 2, "test")


def test_answer_and_correct():
    assert TASK.answer(COLORS, "Crimson, I think") == "red"
    assert TASK.correct(COLORS, "Crimson, I think") is True
    assert TASK.answer(COLORS, "Green!") == "green"
    assert TASK.correct(COLORS, "Green!") is False
    assert TASK.correct(COLORS, "") is False
    assert TASK.answer(COLORS, "") is None
    assert TASK.answer(SUM, "It is 1000.0") == "1000"
    assert TASK.correct(SUM, "It is 1000.0") is True
    assert TASK.correct(SUM, "It is 1001") is False
    assert TASK.correct(SUM, "a thousand") is False
    assert TASK.answer(POEM, "moon\nsun") is None
    assert TASK.correct(POEM, "moon\nsun") is None
    assert not TASK.verifiable


def test_follows_needs_words_and_every_constraint():
    assert TASK.follows(POEM, "The moon\nshines")
    assert not TASK.follows(POEM, "The sun\nshines")
    assert not TASK.follows(POEM, "The moon shines")
    assert TASK.follows(COLORS, "anything")
    assert not TASK.follows(COLORS, " ...\n")
    assert not TASK.follows(SUM, "one two three four five six")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": ""}, "the id"),
        ({"prompt": "  "}, "the prompt"),
        ({"prompt": 3}, "the prompt"),
        ({"kind": None}, "the kind"),
        ({"check": "regex"}, "unknown check 'regex'"),
        ({"check": "list"}, "0 answers"),
        ({"answers": ("a",)}, "give it a check"),
        ({"answers": "abc", "check": "list"}, "must be a list"),
        ({"answers": ((),), "check": "list"}, "text or a list"),
        ({"answers": (3,), "check": "number"}, "text or a list"),
        ({"answers": ("seven",), "check": "number"}, "must be a number"),
        ({"answers": ("?",), "check": "list"}, "letters or digits"),
        ({"answers": ("Red", "red!"), "check": "list"}, "two accepted answers"),
        ({"answers": ("1.0", "1"), "check": "number"}, "two accepted answers"),
        ({"constraints": (("shout", 1),)}, "unknown constraint"),
    ],
)
def test_bad_items_are_refused(fields, message):
    with pytest.raises(TaskError, match=message):
        Item(**({"id": "i", "prompt": "p"} | fields))


def test_bad_tasks_are_refused():
    with pytest.raises(TaskError, match="no items"):
        task({})
    with pytest.raises(TaskError, match="ids are listed twice"):
        TextTask("t", "own", (POEM, POEM), 8, 2, "test")
    for field in ("max_tokens", "samples"):
        with pytest.raises(TaskError, match=field):
            task({"a": 1}, **{field: 0})


def test_subset_keeps_the_shares_and_the_order():
    whole = task({"a": 40, "b": 20, "c": 10})
    part = whole.subset(14, seed=3)
    assert Counter(item.kind for item in part.items) == {"a": 8, "b": 4, "c": 2}
    assert [item for item in whole.items if item in part.items] == list(part.items)
    assert part == whole.subset(14, seed=3)
    assert part != whole.subset(14, seed=4)
    assert whole.subset(1000) == whole
    for n in range(1, 71):
        counts = Counter(item.kind for item in whole.subset(n).items)
        assert sum(counts.values()) == n
        assert all(abs(counts[kind] - n * size / 70) < 1 for kind, size in (("a", 40), ("b", 20), ("c", 10)))
    with pytest.raises(TaskError, match="at least 1"):
        whole.subset(0)


def test_split_parts_share_nothing_and_leave_nothing():
    whole = task({"a": 40, "b": 20})
    first, second = whole.split(0.25, seed=1)
    assert Counter(item.kind for item in first.items) == {"a": 10, "b": 5}
    assert sorted(item.id for part in (first, second) for item in part.items) == sorted(item.id for item in whole.items)
    for share in (0, 1, 0.001, -1):
        with pytest.raises(TaskError, match="cannot split"):
            whole.split(share)


def test_save_and_load(tmp_path):
    assert TextTask.load(TASK.save(tmp_path / "task.json")) == TASK


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "no saved text task"), ('{"format": "slr_probe.text/1"}', "no complete text task")],
)
def test_files_that_are_no_task(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TaskError, match=message):
        TextTask.load(tmp_path / "x.json")


def test_an_item_with_an_unknown_field_is_refused(tmp_path):
    file = TASK.save(tmp_path / "task.json")
    data = json.loads(file.read_text())
    data["items"][0]["weight"] = 1
    file.write_text(json.dumps(data))
    with pytest.raises(TaskError, match="weight"):
        TextTask.load(file)
