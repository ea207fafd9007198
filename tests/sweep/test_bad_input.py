import pytest

from slr_probe import ModelPair, Recipe, SlrProbeError
from slr_probe.errors import LayerRangeError, PromptError, RecipeError, SweepError, TaskError
from slr_probe.sweep import sweep
from slr_probe.tasks.answers import Query

OK = Query((1, 2, 3), ((20,), (21,)))


@pytest.fixture
def pair(pair_of):
    return ModelPair.load(*pair_of("llama").folders)


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        ([], TaskError, "no prompts"),
        ([OK, Query((1,), ((20,),))], TaskError, "prompt 1 has 1 answer.*at least two"),
        ([Query((1,), ())], TaskError, "at least two"),
        ([Query((1,), ((20,), (21, 20)))], TaskError, "20 is listed twice"),
        ([Query((1,), ((20,), ()))], TaskError, "answer 1 of prompt 0 has no token"),
        ([Query((), ((20,), (21,)))], PromptError, "no token ids"),
        ([Query((5,) * 65, ((20,), (21,)))], PromptError, "65 tokens.*context is 64"),
        ([Query((1, 500), ((20,), (21,)))], PromptError, "500.*128"),
        ([Query((1,), ((20,), (128,)))], PromptError, "128"),
        (["text"], TaskError, "is a str"),
    ],
)
def test_bad_prompts_are_refused_before_any_model_is_loaded(pair, queries, error, message):
    with pytest.raises(error, match=message) as caught:
        sweep(pair, None, queries)
    assert isinstance(caught.value, SlrProbeError)
    assert not {"base", "tuned"} & vars(pair).keys()


@pytest.mark.parametrize(
    ("recipes", "error", "message"),
    [
        ([Recipe.restore("1:3", 5)], RecipeError, "5 decoder blocks but the model has 4"),
        (["2:9"], LayerRangeError, "out of bounds"),
        (["3:1"], LayerRangeError, "reversed"),
        (["2:2"], LayerRangeError, "empty"),
        ([7], RecipeError, "int"),
        ([], SweepError, "no recipes"),
        ([Recipe.restore("1:3", 4, only="router")], RecipeError, "router"),
    ],
)
def test_bad_recipes_are_refused_before_any_model_is_loaded(pair, recipes, error, message):
    with pytest.raises(error, match=message):
        sweep(pair, recipes, [OK])
    assert not {"base", "tuned"} & vars(pair).keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"min_p": 1.5}, "min_p"),
        ({"memory": "lots"}, "memory must be a size"),
        ({"memory": 0}, "memory must be a size"),
        ({"dtype": "int8"}, "unknown dtype"),
        ({"dtype": "float99"}, "unknown dtype"),
        ({"memory": "50KB", "stream": False}, "too little to load both models.*stream=True"),
        ({"memory": "10KB", "stream": True}, r"too little: one state of the longest prompt \(3 tokens\) needs"),
    ],
)
def test_bad_settings_are_refused(pair, settings, message):
    with pytest.raises(SweepError, match=message):
        sweep(pair, None, [OK], **settings)


def test_a_pair_in_memory_cannot_be_streamed(pair):
    loaded = ModelPair.load(pair.base, pair.tuned)
    with pytest.raises(SlrProbeError, match="save_pretrained"):
        sweep(loaded, None, [OK], stream=True)


def test_one_recipe_needs_no_list(pair):
    assert len(sweep(pair, "1:2", [OK]).recipes) == 1


def test_a_dry_run_says_what_would_be_done_and_does_nothing(pair, tmp_path):
    plan = sweep(pair, None, [OK], out=tmp_path / "out", dry_run=True)
    assert (plan.recipes, plan.prompts) == (11, 1)
    assert (plan.block_evaluations, plan.naive_block_evaluations) == (24, 44)
    assert plan.seconds > 0
    assert 0 < plan.memory < plan.memory_limit
    assert "24 a prompt instead of 44" in str(plan)
    assert not (tmp_path / "out").exists()


def test_a_pair_larger_than_the_limit_is_streamed_by_itself(pair):
    size = sum(tensor.numel() * 4 for tensor in pair.tuned.state_dict().values())
    fresh = ModelPair.load(pair.base_side.path, pair.tuned_side.path)
    assert sweep(fresh, None, [OK], memory=4 * size).settings["streamed"] is False
    fresh = ModelPair.load(pair.base_side.path, pair.tuned_side.path)
    assert sweep(fresh, None, [OK], memory=2 * size).settings["streamed"] is True
