import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tokenizers import normalizers

from slr_probe import ModelPair
from slr_probe.errors import TaskError
from slr_probe.pair.prompts import PromptRenderer
from slr_probe.tasks import CRCItem, CRCTask
from slr_probe.tasks.answers import answer_tokens
from tests.tasks.subwords import subword_tokenizer
from tests.tiny_tokenizer import TEMPLATE


def pair_with(tokenizer):
    return SimpleNamespace(tokenizer=tokenizer, prompts=PromptRenderer.of(tokenizer))


def texts(tokenizer, ids):
    return {tokenizer.convert_ids_to_tokens(i).replace("▁", " ") for i in ids}


def test_the_built_in_task():
    task = CRCTask.default()
    for part in (task.selection, task.held_out):
        counts = {c: sum(item.category == c for item in part.items) for c in ("characters", "words")}
        assert counts == {"characters": 20, "words": 20}
    chosen, held = ({item.prompt for item in part.items} for part in (task.selection, task.held_out))
    assert not chosen & held
    # Wordings differ between the splits even where the answers agree.
    openings = [{prompt.split(".")[0] for prompt in part} for part in (chosen, held)]
    assert not openings[0] & openings[1]


def test_held_out_prompts_that_share_their_answers_with_selection_are_as_many_as_it_says():
    task = CRCTask.default()
    chosen, held = ([frozenset(item.answers) for item in part.items] for part in (task.selection, task.held_out))
    assert sum(answers in chosen for answers in held) == 12
    assert "12 of the 40" in CRCTask.__doc__


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_the_embedded_pair_is_asked_all_of_the_built_in_task(format):
    rendered = CRCTask.default().render(ModelPair.load("organism:base", "organism:dpo"), format)
    assert len(rendered.items) == 80
    assert rendered.notes == ()


def test_every_listed_answer_stands_in_its_prompt():
    for item in CRCTask.default().items:
        if ": " in item.prompt and "," in item.prompt:
            for answer in item.answers:
                assert answer.split("|")[0] in item.prompt, item


def test_queries():
    tokenizer = subword_tokenizer("gpt2")
    task = CRCTask.of([("Pick red or blue.", ["red", "blue"]), ("Pick 1 or 2.", ["1", "2"])])
    one, two = task.queries(pair_with(tokenizer))
    assert texts(tokenizer, one.answers[0]) == {"red", "Red", " red", " Red"}
    assert texts(tokenizer, two.answers[1]) == {"2", " 2"}
    ids = [i for group in one.answers for i in group]
    assert len(ids) == len(set(ids))


def spelled(tokenizer, paths):
    return {tuple(tokenizer.convert_ids_to_tokens(list(path))) for path in paths}


def test_an_answer_of_several_tokens_counts_in_every_spelling():
    tokenizer = subword_tokenizer("gpt2")
    (query,) = CRCTask.of([("Pick green or red.", ["green", "red"])]).queries(pair_with(tokenizer))
    assert query.answers[0] == ()
    forms = {tuple(lead + form) for form in ("green", "GREEN", "Green") for lead in ("", " ")}
    assert spelled(tokenizer, query.longer[0]) == forms
    assert query.longer[1] == ()
    assert query.ending is None


@pytest.mark.parametrize(
    ("word", "chat", "plain"),
    [("red", True, False), ("Red", True, False), (" red", False, True), ("RED", False, False), (" RED", False, False)],
)
def test_longer_spellings_count_where_no_token_continues_the_prompt(word, chat, plain):
    tokenizer = subword_tokenizer("gpt2", TEMPLATE, [word, "blue", " blue", "Answer", "Question"])
    tokens = answer_tokens(tokenizer, "red", True)
    assert tokens
    task = CRCTask.of([("Pick red or blue.", ["red", "blue"]), *((f"{i}?", ["1", "2"]) for i in range(5))])
    for format, fits in (("chat", chat), ("plain", plain)):
        rendered = task.render(pair_with(tokenizer), format)
        assert len(rendered.items) == 6
        assert rendered.notes == ()
        assert rendered.rendered[0].answers[0] == tokens
        assert bool(rendered.rendered[0].longer) is not fits


def test_every_spelling_is_read_on_request():
    tokenizer = subword_tokenizer("gpt2", TEMPLATE, ["red", "blue"])
    task = CRCTask.of([("Pick red or blue.", ["red", "blue"])])
    assert task.queries(pair_with(tokenizer))[0].longer == ()
    (query,) = task.render(pair_with(tokenizer), every_spelling=True).rendered
    assert spelled(tokenizer, query.longer[0]) == {tuple(text) for text in (" red", "RED", " RED", "Red", " Red")}


def test_the_ending_is_asked_with_end_tokens():
    tokenizer = subword_tokenizer("gpt2", TEMPLATE, ["red", "blue"])
    ends = (tokenizer.convert_tokens_to_ids("Z"), tokenizer.convert_tokens_to_ids("!"))
    rendered = CRCTask.of([("Pick red or blue.", ["red", "blue"])]).render(pair_with(tokenizer), ends=ends)
    ending = rendered.rendered[0].ending
    assert ending.ends == ends
    assert spelled(tokenizer, ending.marks) == {(".",), ("\n",)}, "an end token is no mark before the end"
    assert rendered.one_token().rendered[0].ending is None


def test_what_reads_one_position_gets_the_questions_of_one_token():
    tokenizer = subword_tokenizer("gpt2")
    task = CRCTask.of([("Pick green or red.", ["green", "red"]), ("Pick red or blue.", ["red", "blue"])])
    rendered = task.render(pair_with(tokenizer)).one_token()
    assert [item.prompt for item in rendered.items] == ["Pick red or blue."]
    with pytest.raises(TaskError, match="no question of the task has answers of one token"):
        replace(task, items=task.items[:1]).render(pair_with(tokenizer)).one_token()


def test_an_answer_that_the_tokenizer_cannot_write():
    with pytest.raises(TaskError, match="no tokens for the answer 'é'"):
        CRCTask.of([("Pick.", ["é", "red"])]).render(pair_with(subword_tokenizer("gpt2")))


def test_no_token_stands_under_two_answers():
    items = [CRCItem("Pick a or A.", ("a", "A"), ignore_case=False), ("b or c?", ["b", "c"])]
    for lower in (False, True):
        tokenizer = subword_tokenizer("gpt2")
        if lower:  # encodes "A" as "a", which must not make them one answer
            tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
        for query in CRCTask.of(items).queries(pair_with(tokenizer)):
            ids = [i for group in query.answers for i in group]
            assert len(ids) == len(set(ids))


def test_save_and_load(tmp_path):
    task = CRCTask.of([CRCItem("Pick a or b.", ("a", "b"), "characters", False, "held_out"), ("c or d?", ["c", "d"])])
    assert CRCTask.load(task.save(tmp_path / "task.json")).items == task.items
    (tmp_path / "list.json").write_text(json.dumps([{"prompt": "Pick.", "answers": ["a", "b"]}]))
    assert CRCTask.load(tmp_path / "list.json").items[0] == CRCItem("Pick.", ("a", "b"))


def test_splits():
    task = CRCTask.of([CRCItem("1?", ("a", "b")), CRCItem("2?", ("a", "b"), split="held_out")])
    assert [item.prompt for item in task.selection.items] == ["1?"]
    assert [item.prompt for item in task.held_out.items] == ["2?"]
    assert task.selection.held_out is None
    with pytest.raises(TaskError, match="held out"):
        _ = task.held_out.selection


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "no prompts"),
        ([("Pick.", ["a"])], "at least two valid answers"),
        ([("Pick.", [])], "at least two valid answers"),
        ([("Pick.", ["red", "Red"])], "duplicate answers.*ignore_case is on"),
        ([("Pick.", ["red|crimson", "crimson"])], "duplicate answers"),
        ([("Pick.", ["red", ""])], "empty"),
        ([("Pick.", ["red", " blue"])], "spaces"),
        ([("  ", ["a", "b"])], "must be text"),
        ([("Pick.", "ab")], "must be a list"),
        ([{"prompt": "Pick.", "answers": 1.5}], "must be a list"),
        ([{"prompt": "Pick.", "answers": ["a", "b"], "category": 5}], "category is a text"),
        ([("Pick.", ["a", "b"]), ("Pick.", ["c", "d"])], "listed twice"),
        ([{"prompt": "Pick.", "answer": ["a", "b"]}], "unknown: \\['answer'\\]"),
        ([{"prompt": "Pick."}], "missing: \\['answers'\\]"),
        ([{"prompt": "Pick.", "answers": ["a", "b"], "split": "test"}], "unknown split"),
        ([7], "mapping or a"),
    ],
)
def test_bad_items(items, message):
    with pytest.raises(TaskError, match=message):
        CRCTask.of(items)


def test_bad_files(tmp_path):
    with pytest.raises(TaskError, match="cannot read"):
        CRCTask.load(tmp_path / "absent.json")
    for text, message in (("{", "not JSON"), ('"x"', "must hold a list"), ('{"format": "other"}', "expected")):
        (tmp_path / "task.json").write_text(text)
        with pytest.raises(TaskError, match=message):
            CRCTask.load(tmp_path / "task.json")


def test_a_task_prints_short():
    assert (
        repr(CRCTask.of([("Pick: a or b.", ["a", "b"])]))
        == "<CRCTask 'CRC': 1 selection prompts, first 'Pick: a or b.'>"
    )
    assert "40 selection, 40 held-out prompts" in repr(CRCTask.default())
