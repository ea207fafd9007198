"""Both kinds of tasks are read from a list, from lines and from what `save` writes; errors show a line that works."""

import json

import pytest

from slr_probe.errors import TaskError
from slr_probe.scoring.tasks import read_tasks
from slr_probe.tasks import CRCTask, read_task
from slr_probe.tasks.rows import CRC_LINE, TEXT_LINE

CRC = [json.loads(CRC_LINE), {"prompt": "One of a, b.", "answers": ["a", "b"], "split": "held_out"}]
TEXT = [json.loads(TEXT_LINE), {"prompt": "Write a line.", "id": "w", "constraints": {"max_words": 8}}]


def written(tmp_path, rows):
    """The rows as lines, one line alone, a list and an object, under names that say nothing."""
    texts = ["\n\n".join(map(json.dumps, rows)), json.dumps(rows, indent=1), json.dumps({"items": rows})]
    files = [tmp_path / f"prompts.{number}" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


def test_crc_tasks_are_the_same_from_every_form(tmp_path):
    expected = CRCTask.of(CRC).items
    files = [*written(tmp_path, CRC), CRCTask.of(CRC).save(tmp_path / "saved.json")]
    assert [CRCTask.load(file).items for file in files] == [expected] * 4
    (tmp_path / "one").write_text(CRC_LINE)
    assert CRCTask.load(tmp_path / "one").items == expected[:1]


def test_text_tasks_are_the_same_from_every_form(tmp_path):
    lines, *others = map(read_task, written(tmp_path, TEXT))
    saved = read_task(lines.save(tmp_path / "saved.json"))
    assert [[item.prompt for item in task.items] for task in (lines, *others, saved)] == [
        [row["prompt"] for row in TEXT]
    ] * 4
    assert [task.items[1] for task in (*others, saved)] == [lines.items[1]] * 3
    assert (lines.items[0].id, others[0].items[0].id) == ("line-1", "item-1")
    assert read_tasks(None, tmp_path / "saved.json") == [saved]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "item 1: a CRC item is a mapping"),
        ('[{"prompt": "a", "answers": ["b"]}]', "item 1: 'a' needs at least two"),
        ('{"prompt": "a", "answers": ["b", "c"]}\n{"prompt": 1}', "line 2: .*missing"),
        ('[{"prompt": "a"', "not JSON"),
        ('{"prompt": "a"', "line 1: not JSON"),
        ("3", "got int"),
        ("", "holds no prompts"),
        ('{"format": "slr_probe.text/1", "items": []}', "has format 'slr_probe.text/1'"),
    ],
)
def test_errors_name_the_place_and_show_a_line(tmp_path, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        CRCTask.load(tmp_path / "file")
    assert str(caught.value).endswith(CRC_LINE)


@pytest.mark.parametrize("text", ["[1]", '[{"kind": "a"}]', "{", '[{"prompt": "a", "checks": 1}]'])
def test_errors_of_text_tasks_show_a_line_of_theirs(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(TaskError, match="file") as caught:
        read_task(tmp_path / "file")
    assert str(caught.value).endswith(TEXT_LINE)
