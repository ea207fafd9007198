"""`slr-probe check-task` says what a file holds and how a tokenizer puts it."""

import json

import pytest

from slr_probe import CRCTask, ModelPair
from slr_probe.tasks.fit import fit_of
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

GOOD = [{"prompt": "One of a, b.", "answers": ["a", "b"]}, {"prompt": "One of c, d.", "answers": ["c", "d"]}]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model("llama", 1).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def file_of(tmp_path, rows):
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_a_file_that_is_good_for_both(run, tmp_path, model):
    code, out, _ = run("check-task", file_of(tmp_path, GOOD), "--model", model)
    assert code == 0
    assert "2 questions with answer sets (rank --task): 2 selection words" in out
    assert "2 prompts for text (validate --tasks): 2 prompts with check list" in out
    assert out.count("One of a, b.") == 2
    assert out.count("2 prompts, 0 refused") == 2


def test_a_text_task_names_why_it_is_no_other(run, tmp_path, prompts):
    code, out, _ = run("check-task", prompts)
    assert code == 0
    assert "3 prompts for text" in out
    assert "not questions with answer sets (rank --task): " in out
    assert "line 1" in out


def test_neither_is_one_line_with_examples(run, tmp_path):
    code, _, err = run("check-task", file_of(tmp_path, [{"question": "a"}]))
    assert code == 2
    assert err.count("A line looks like") == 2
    assert len(err.strip().splitlines()) == 1


def test_what_is_refused_and_what_is_left_out(run, tmp_path, model):
    rows = [*GOOD, {"prompt": "One of é, a.", "answers": ["é", "a"]}, {"prompt": "ab or cd.", "answers": ["ab", "cd"]}]
    code, out, _ = run("check-task", file_of(tmp_path, rows), "--model", model)
    assert code == 1
    assert "refused: the tokenizer has no tokens for the answer 'é'" in out
    pair = ModelPair.load(model, model)
    fits = fit_of(CRCTask.of(rows), pair)
    assert [bool(fit.refused) for fit in fits] == [False, False, True, False]
    kept = CRCTask.of([row for row, fit in zip(rows, fits, strict=True) if not fit.refused]).render(pair)
    asked = [item.prompt for item in kept.one_token().items]
    assert asked == [fit.prompt for fit in fits if fit.next_token]
    assert [fit.tokens for fit in fits if not fit.refused] == [len(query.token_ids) for query in kept.rendered]
