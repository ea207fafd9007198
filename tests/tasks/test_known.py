import json
import sys

import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import known_task
from tests.tasks.test_jsonl import write

GSM8K = {"question": "How many clips?", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 1,072"}


def test_gsm8k(tmp_path):
    task = known_task("gsm8k", write(tmp_path / "test.jsonl", GSM8K, GSM8K))
    assert [item.answers for item in task.items] == [(("1072",),)] * 2
    assert [item.id for item in task.items] == ["gsm8k-0000", "gsm8k-0001"]
    assert task.correct(task.items[0], "The answer is $1,072.") is True
    assert known_task("gsm8k", tmp_path) == task


def test_gsm8k_as_parquet(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pd.DataFrame([GSM8K]).to_parquet(tmp_path / "test.parquet")
    assert known_task("gsm8k", tmp_path / "test.parquet").items[0].answers == (("1072",),)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(TaskError, match="cannot read"):
        known_task("gsm8k", tmp_path / "broken.parquet")


def test_parquet_without_a_reader_is_a_clear_error(tmp_path, monkeypatch):
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match="pip install pyarrow"):
        known_task("gsm8k", tmp_path / "test.parquet")


def test_math_keeps_problems_whose_answer_is_a_number(tmp_path):
    rows = [
        {"problem": "a", "level": "Level 1", "type": "Algebra", "solution": "So $x = \\boxed{\\frac{3}{4}}$."},
        {"problem": "b", "level": 1, "subject": "Geometry", "unique_id": "test/b.json", "solution": "", "answer": "-7"},
        {"problem": "c", "type": "Algebra", "solution": "$\\boxed{x^{2} + 1}$"},
        {"problem": "d", "type": "Algebra", "solution": "Not \\boxed{3} but \\boxed{1,000}."},
    ]
    task = known_task("math", write(tmp_path / "math.jsonl", *rows))
    assert [(item.id, item.kind, item.answers[0][0]) for item in task.items] == [
        ("math-0000", "Algebra", "0.75"),
        ("test/b.json", "Geometry", "-7"),
        ("math-0003", "Algebra", "1000"),
    ]
    assert "1 of 4 left out" in task.source
    assert task.correct(task.items[0], "It is \\boxed{\\frac{6}{8}}") is True


def test_prompt_sets(tmp_path):
    rows = [{"id": "curated-0", "category": "Creativity", "prompt": "Tell a story."}]
    item = known_task("novelty-bench", write(tmp_path / "curated.jsonl", *rows)).items[0]
    assert (item.id, item.kind, item.prompt, item.check) == ("curated-0", "Creativity", "Tell a story.", "none")
    rows = [{"dataset": "helpful_base", "instruction": "Plan a party.", "output": "Sure", "generator": "x"}]
    (tmp_path / "alpaca_eval.json").write_text(json.dumps(rows))
    item = known_task("alpaca-eval", tmp_path / "alpaca_eval.json").items[0]
    assert (item.id, item.kind, item.prompt) == ("alpaca-eval-0000", "helpful_base", "Plan a party.")


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gsm9k", GSM8K, "unknown set 'gsm9k'"),
        ("gsm8k", {"prompt": "a"}, "line 1: no text in the field 'question'; the row has prompt"),
        ("gsm8k", {"question": "a"}, "line 1: no answer"),
        ("gsm8k", {"question": "a", "answer": "many"}, "line 1: the answer must end with"),
        ("math", {"problem": "a"}, "line 1: no answer"),
        ("math", {"problem": "a", "solution": "\\boxed{x}"}, "holds no prompts"),
    ],
)
def test_files_that_are_not_the_set(tmp_path, name, row, message):
    with pytest.raises(TaskError, match=message):
        known_task(name, write(tmp_path / "rows.jsonl", row))


def test_a_folder_must_hold_one_file(tmp_path):
    with pytest.raises(TaskError, match="it has none"):
        known_task("gsm8k", tmp_path)
    write(tmp_path / "train.jsonl", GSM8K)
    write(tmp_path / "test.jsonl", GSM8K)
    with pytest.raises(TaskError, match=r"it has test\.jsonl, train\.jsonl"):
        known_task("gsm8k", tmp_path)
