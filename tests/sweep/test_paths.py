"""Answers of several tokens, begun and ended, against the enumeration of all that a model can write."""

import itertools

import numpy as np
import pytest
import torch

from slr_probe import ModelPair, Recipe, restored
from slr_probe.errors import PromptError, TaskError
from slr_probe.sweep import SweepResult, sweep
from slr_probe.tasks.answers import Ending, Query
from tests.sweep.naive import assert_same, make_queries, make_replies, naive_replies
from tests.tiny import make_model

VOCAB, DEEP = 8, 5
QUERIES = (
    # "1" by itself, "1 5" and "1 5 2" of another answer, a spelling of two tokens beside one of one token
    Query((3, 4, 5), ((1,), (2, 0), ()), (((4, 5),), (), ((1, 5), (1, 5, 2))), Ending((7,), ((6,),))),
    Query((3, 4, 7, 6), ((), ()), (((1, 2), (2, 1)), ((1, 3), (5, 5))), Ending((7, 4), ((6,), (0, 6)))),
    Query((6,), ((1, 2), (3,)), (), Ending((7,))),
    Query((6, 6), ((1, 2), (3,))),
)


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load(*(make_model("gemma3_text", seed, vocab_size=VOCAB) for seed in (1, 2)))


@torch.no_grad()
def everything(model, prompt, temperature, min_p):
    """Probability of every sequence of `DEEP` tokens after a prompt."""
    total = torch.zeros(1, dtype=torch.float64)
    for depth in range(DEEP):
        rows = torch.tensor([[*prompt, *some] for some in itertools.product(range(VOCAB), repeat=depth)])
        logs = (model(input_ids=rows, use_cache=False).logits[:, -1].double() / temperature).log_softmax(-1)
        kept = logs.exp() >= min_p * logs.exp().amax(-1, keepdim=True)
        total = (total[:, None] + logs.masked_fill(~kept, -torch.inf).log_softmax(-1)).flatten()
    return total.exp().numpy()


def classify(query):
    """For every sequence, which answer it begins with and which one it is, read token by token; -1 for none."""
    owner = {(token,): a for a, tokens in enumerate(query.answers) for token in tokens}
    owner |= {path: a for a, paths in enumerate(query.longer) for path in paths}
    ending = query.ending or Ending(())
    begun, ended = [], []
    for written in itertools.product(range(VOCAB), repeat=DEEP):
        lengths = [k for k in range(1, DEEP + 1) if written[:k] in owner]
        begun.append(owner[written[: lengths[-1]]] if lengths else -1)
        stop = next((k for k, token in enumerate(written) if token in ending.ends), None)
        reply = () if stop is None else written[:stop]
        bare = [reply, *(reply[: -len(mark)] for mark in ending.marks if reply[-len(mark) :] == mark)]
        ended.append(next((owner[some] for some in bare if some in owner), -1))
    return np.array(begun), np.array(ended)


@pytest.mark.parametrize(("temperature", "min_p"), [(1.0, 0.0), (0.7, 0.1)])
def test_every_answer_begun_and_ended_equals_the_sum_over_all_replies(pair, temperature, min_p):
    recipes = [Recipe.tuned(4), pair.recipe("1:3"), Recipe.soup(0.5, 4)]
    asked = sweep(pair, recipes, QUERIES[:3], grid=[(temperature, min_p)]).at(temperature, min_p)
    begun_only = sweep(pair, recipes, QUERIES[3:], temperature=temperature, min_p=min_p)
    assert begun_only.ended_validity is None
    assert "ended_validity" not in begun_only.to_dataframe()
    np.testing.assert_array_equal(asked.to_dataframe()["ended_validity"], asked.ended_validity.ravel())
    assert f"given and ended {asked.ended_validity.mean():.3f}" in repr(asked)
    for q, query in enumerate(QUERIES):
        begun, ended = classify(query)
        for r, recipe in enumerate(recipes):
            with restored(pair, recipe) as model:
                p = everything(model, query.token_ids, temperature, min_p)
            result, row = (asked, q) if q < 3 else (begun_only, 0)
            for a in range(len(query.answers)):
                np.testing.assert_allclose(np.exp(result.answer_logprobs[r, row, a]), p[begun == a].sum(), atol=1e-6)
                if query.ending is not None:
                    found = np.exp(result.ended_logprobs[r, row, 0, a])
                    np.testing.assert_allclose(found, p[ended == a].sum(), atol=1e-6)
            if query.ending is not None:
                np.testing.assert_allclose(result.ended_validity[r, row], p[ended >= 0].sum(), atol=1e-6)


def test_answers_of_one_token_are_read_as_before(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders)
    queries = [query for query in make_queries() if len(query.token_ids) > 1]
    alone = sweep(pair, None, queries)
    longer = [Query(q.token_ids, q.answers, (((90, 91),), *((),) * (len(q.answers) - 1))) for q in queries]
    beside = sweep(pair, None, longer)
    np.testing.assert_array_less(alone.answer_logprobs[..., 0], beside.answer_logprobs[..., 0])
    assert_same(beside.answer_logprobs[..., 1:], alone.answer_logprobs[..., 1:], atol=2e-6)
    assert alone.settings["block_evaluations"] == beside.settings["block_evaluations"]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3_5"])
@pytest.mark.parametrize("stream", [False, True])
def test_paths_streamed_resumed_and_beside_replies(pair_of, tmp_path, monkeypatch, family, stream):
    pair = ModelPair.load(*pair_of(family).folders)
    ending = Ending((40, 41), ((42,), (43, 44)))
    queries = [Query((11, 12, 13, 14), ((20,), ()), ((), ((21, 22, 23), (21, 24))), ending), *make_queries()[:2]]
    recipes, replies = ["1:3", Recipe.tuned(4)], make_replies()
    whole = sweep(pair, recipes, queries, replies=replies)
    again = sweep(pair, recipes, queries, replies=replies, stream=stream, out=tmp_path / "out")
    atol = 1e-4 if family == "qwen3_5" else 1e-5
    assert_same(again.answer_logprobs, whole.answer_logprobs, atol)
    assert again.ended_validity is None, "not every query asked"
    assert_same(again.replies.entropy[~np.isnan(again.replies.entropy)], entropies(pair, recipes, replies), atol)
    loaded = SweepResult.load(again.save(tmp_path / "result.npz"))
    np.testing.assert_array_equal(loaded.answer_logprobs, again.answer_logprobs)


def entropies(pair, recipes, replies):
    found = naive_replies(pair, [pair.recipe(r) for r in recipes], replies, Recipe.tuned(4))["entropy"]
    return found[~np.isnan(found)]


OK = ((20,), (21,))


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (Query((1,), OK, (((20, 30),),)), TaskError, "2 answers, but longer spellings of 1"),
        (Query((1,), OK, (((30,),), ())), TaskError, "fewer than two tokens"),
        (Query((1,), OK, (((30, 31),), ((30, 31),))), TaskError, r"\(30, 31\) is listed twice"),
        (Query((1,), ((20,), ()), ((), ())), TaskError, "answer 1 of prompt 0 has no token"),
        (Query((1,), OK, (), Ending(())), TaskError, "no end token"),
        (Query((1,), OK, (), Ending((30,), ((),))), TaskError, "empty closing mark"),
        (Query((1,), OK, (), Ending((20,))), TaskError, "holds an end token"),
        (Query((1,), OK, (((30, 500),), ())), PromptError, "500"),
        (Query((1,), OK, (), Ending((500,))), PromptError, "500"),
        (Query((5,) * 63, OK, (((30, 31, 32, 33),), ())), PromptError, "66 tokens.*context is 64"),
    ],
)
def test_what_cannot_be_asked(pair_of, query, error, words):
    with pytest.raises(error, match=words):
        sweep(ModelPair.load(*pair_of("llama").folders), ["1:2"], [query])
