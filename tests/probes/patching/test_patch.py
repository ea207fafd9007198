"""Patching equals hand-written hooks and, for the whole residual stream, the weight hybrid; its controls hold."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slr_probe.errors import IncompatiblePairError, LayerRangeError, LayoutError, PromptError, SlrProbeError
from slr_probe.pair import ModelPair
from slr_probe.probes.lens.lens import logit_lens
from slr_probe.probes.patching import walk as patching_walk
from slr_probe.probes.patching.patch import patch_activations
from slr_probe.probes.patching.result import PatchingResult
from slr_probe.rank.blocks.scorers import patching
from slr_probe.rank.measure import Scorer
from slr_probe.recipe import BASE, TUNED, Recipe
from slr_probe.restoration import restored
from slr_probe.tasks.answers import Query
from slr_probe.tasks.crc import CRCTask
from tests.probes.lens.reference import PARTS, patched_logits
from tests.tiny import DEPTH, make_model, rewrite_tensor
from tests.tiny_tokenizer import make_tokenizer

PROMPTS = ["Pick a letter.", "No", "A rather long question: which letter?", "Or"]
TOKENS = (9, 40, 77)
LOGITS = {f"logit {i}": (lambda logits, i=i: logits[i]) for i in TOKENS}
CLEAR = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 4.1, 5.0, 6.2, 7.0, 7.9]]])
"""One metric of two models that clearly differ, on 6 prompts."""
QUICK = {"controls": False, "metric": LOGITS}


@pytest.fixture(params=list(PARTS))
def family(request: pytest.FixtureRequest) -> Any:
    return request.param


def open_pair(folders: Any) -> ModelPair:
    return ModelPair.load(folders.base, folders.tuned, device="cpu")


@pytest.fixture
def pair(pair_of: Any) -> ModelPair:
    return open_pair(pair_of("llama"))


def edited_pair(part: str, *blocks: int) -> ModelPair:
    """A pair whose tuned side differs in one part of some blocks only; of the third where none is given."""
    base = make_model("llama", 1)
    tuned = copy.deepcopy(base)
    with torch.no_grad():
        for block in blocks or (2,):
            for name, parameter in tuned.model.layers[block].named_parameters():
                if name.startswith(part):
                    parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return ModelPair.load(base, tuned, tokenizer=make_tokenizer())


class TestEqualsOthers:
    @pytest.mark.parametrize("positions", ["answer", "all"])
    def test_hand_written_hooks(self, pair_of: Any, family: str, positions: Any) -> None:
        pair = open_pair(pair_of(family))
        result = patch_activations(pair, PROMPTS, positions=positions, blocks=[0, 2, "1:3"], **QUICK)
        assert result.windows == ("0:1", "2:3", "1:3")
        models = {"base": pair.base, "tuned": pair.tuned}
        for i, prompt in enumerate(PROMPTS[:3]):
            ids = pair.render(prompt)
            for d, direction in enumerate(result.directions):
                donor, recipient = (models[name] for name in direction.split("->"))
                for c, component in enumerate(result.components):
                    for w, blocks in enumerate(((0,), (2,), (1, 2))):
                        logits = patched_logits(family, donor, recipient, ids, component, blocks, positions)
                        found = result.patched[1:, d, c, w, i]
                        np.testing.assert_allclose(found, logits[list(TOKENS)].numpy(), atol=2e-5)

    def test_credits_at_all_positions_are_those_of_the_hybrids(self) -> None:
        pair = edited_pair("", *range(DEPTH))
        task = CRCTask.of([("pick a or b", ["a", "b"]), ("say e, f or g", ["e", "f", "g"])]).render(pair)
        hybrids = patching(Scorer(pair, task, frozenset(range(DEPTH)), {"progress": False}))
        found = patch_activations(pair, task, components="resid", positions="all", controls=False)
        for credits, expected in zip(found.credits() or (), (hybrids.gain, hybrids.validity), strict=True):
            np.testing.assert_allclose(credits, expected, atol=1e-5)
        assert np.abs(hybrids.gain).max() > 1e-3
        assert patch_activations(pair, task, components="attn", controls=False).credits() is None

    @pytest.mark.parametrize(
        "family", ["llama", "qwen2", "olmo2", "gpt_neox"]
    )  # untied: patching leaves the head alone
    def test_residual_stream_at_all_positions_is_the_weight_hybrid(self, pair_of: Any, family: str) -> None:
        pair = open_pair(pair_of(family))
        assert not pair.tied
        result = patch_activations(
            pair, PROMPTS[:2], direction="base->tuned", components="resid", positions="all", **QUICK
        )
        for block in range(DEPTH):
            recipe = Recipe((BASE,) * (block + 1) + (TUNED,) * (DEPTH - block - 1), embedding=0.0)
            with restored(pair, recipe) as hybrid, torch.no_grad():
                for i, prompt in enumerate(PROMPTS[:2]):
                    logits = hybrid(input_ids=torch.tensor([pair.render(prompt)])).logits[0, -1]
                    np.testing.assert_allclose(result.patched[1:, 0, 0, block, i], logits[list(TOKENS)], atol=1e-5)

    def test_unpatched_is_each_model(self, pair: ModelPair) -> None:
        result = patch_activations(pair, PROMPTS, components="attn", blocks=1, **QUICK)
        for name, model in (("base", pair.base), ("tuned", pair.tuned)):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([pair.render(PROMPTS[2])])).logits[0, -1]
            np.testing.assert_allclose(result.model("logit 40", name)[2], logits[40], atol=1e-5)


class TestCauses:
    """Where the only difference between two models is known, patching must find it and nothing else."""

    @pytest.mark.parametrize(("part", "component", "other"), [("mlp", "mlp", "attn"), ("self_attn", "attn", "mlp")])
    @pytest.mark.parametrize("positions", ["answer", "all"])
    def test_the_changed_part_recovers_everything(self, part: str, component: str, other: str, positions: Any) -> None:
        # In the last block, so that the answer position alone is enough: later blocks read the others as well.
        result = patch_activations(edited_pair(part, 3), PROMPTS, positions=positions, controls=False)
        for direction in result.directions:
            donor, recipient = (result.model("entropy", name) for name in direction.split("->"))
            assert np.abs(donor - recipient).max() > 1e-2
            for name in (component, "resid"):
                patched = result.values("entropy", direction, name)
                np.testing.assert_allclose(patched[3], donor, atol=1e-5)
                np.testing.assert_allclose(patched[:3], np.tile(recipient, (3, 1)), atol=1e-5)
            rest = result.values("entropy", direction, other)[: 3 if other == "mlp" else 4]
            np.testing.assert_allclose(rest, np.tile(recipient, (len(rest), 1)), atol=1e-5)

    def test_recovered_fraction(self) -> None:
        result = patch_activations(edited_pair("mlp"), PROMPTS * 3, positions="all", answers=["a", "b", "c"])
        assert result.undefined("entropy", "base->tuned") == ""
        resid = result.recovered("entropy", "base->tuned", "resid")
        np.testing.assert_allclose(resid.estimate, [0, 0, 1, 1], atol=1e-4)
        np.testing.assert_allclose(resid.low, [0, 0, 1, 1], atol=1e-3)
        np.testing.assert_allclose(resid.high, [0, 0, 1, 1], atol=1e-3)
        attn = result.recovered("entropy", "base->tuned", "attn").estimate
        assert 0 < abs(attn[3]) < 1.5  # attention after the change carries part of it


class TestControls:
    @pytest.mark.parametrize("positions", ["answer", "all"])
    def test_patching_a_model_with_itself_changes_nothing(self, pair_of: Any, family: str, positions: Any) -> None:
        result = patch_activations(open_pair(pair_of(family)), PROMPTS[:2], positions=positions, batch_size=1)
        assert (result.self_change == 0).all()

    def test_self_change_would_be_seen(self, pair: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
        value = patching_walk._Plan.value
        monkeypatch.setattr(patching_walk._Plan, "value", lambda *args: value(*args) + 1e-4)
        result = patch_activations(pair, PROMPTS[:2], components="mlp", blocks=[1])
        assert (result.self_change > 1e-6).all()

    def test_random_direction_is_as_long_as_the_difference(self, pair: ModelPair) -> None:
        theirs, ours = torch.randn(2, 1, 5, 32)
        plan = patching_walk._Plan((), None, patching_walk.unit_noise(0, _batch(rows=[4], width=5)))
        put = plan.value(patching_walk.Cell("mlp", None, "random"), 1, "mlp", theirs, ours)  # type: ignore[arg-type]
        torch.testing.assert_close((put - ours).norm(dim=-1), (theirs - ours).norm(dim=-1))
        cosine = torch.cosine_similarity(put - ours, theirs - ours, dim=-1)
        assert cosine.abs().max() < 0.9

    def test_random_directions_are_seeded_and_do_not_depend_on_batches(self, pair: ModelPair) -> None:
        options = {"components": ["attn", "mlp"], "positions": "all"}
        one = patch_activations(pair, PROMPTS, batch_size=1, **options)
        four = patch_activations(pair, PROMPTS, batch_size=4, **options)
        other = patch_activations(pair, PROMPTS, batch_size=4, seed=1, **options)
        np.testing.assert_allclose(one.random, four.random, atol=1e-4)
        assert np.abs(one.random - other.random).max() > 1e-3

    def test_equal_models_have_no_recovered_fraction(self, pair: ModelPair) -> None:
        twin = ModelPair.load(pair.base, copy.deepcopy(pair.base), tokenizer=pair.tokenizer)
        result = patch_activations(twin, PROMPTS, components="resid")
        assert np.isnan(result.recovered("entropy", "base->tuned", "resid").estimate).all()
        assert "less than 0.001" in result.undefined("entropy", "base->tuned")
        assert "undefined" in repr(result)
        np.testing.assert_allclose(result.effect("entropy", "base->tuned", "resid").estimate, 0, atol=1e-5)

    def test_a_difference_within_its_interval_has_no_recovered_fraction(self, pair: ModelPair) -> None:
        result = patch_activations(pair, [*PROMPTS, "Why", "So"], components="resid", controls=False)
        values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 4.0, 3.2, 5.9, 5.3]])
        noisy = PatchingResult(**{**vars(result), "unpatched": values[None]})
        assert "cannot be told apart" in noisy.undefined("entropy", "base->tuned")
        assert np.isnan(noisy.recovered("entropy", "base->tuned", "resid").estimate).all()
        clear = PatchingResult(**{**vars(result), "unpatched": CLEAR})
        found = clear.recovered("entropy", "tuned->base", "resid")
        assert np.isfinite([found.estimate, found.low, found.high]).all()

    def test_too_few_prompts_to_judge_the_difference_have_no_recovered_fraction(self, pair: ModelPair) -> None:
        result = patch_activations(pair, PROMPTS, components="resid", controls=False)
        assert "fewer than 5 prompts" in result.undefined("entropy", "base->tuned")
        assert np.isnan(result.recovered("entropy", "base->tuned", "resid").estimate).all()
        assert np.isfinite(result.effect("entropy", "base->tuned", "resid").estimate).all()
        assert "recovered fractions are undefined" in repr(result)
        assert not re.search(r"\bnan\b", repr(result))

    def test_too_few_prompts_after_a_patch_have_no_recovered_fraction(self, pair: ModelPair) -> None:
        result = patch_activations(pair, [*PROMPTS, "Why", "So"], components="resid", controls=False)
        patched = result.patched.copy()
        patched[..., :2] = np.nan
        holes = PatchingResult(**{**vars(result), "unpatched": CLEAR, "patched": patched})
        assert holes.undefined("entropy", "base->tuned") == ""
        assert np.isnan(holes.recovered("entropy", "base->tuned", "resid").estimate).all()


class TestBatching:
    @pytest.mark.parametrize("positions", ["answer", "all"])
    @pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
    def test_unequal_prompts_together_are_as_one_by_one(self, pair_of: Any, family: str, positions: Any) -> None:
        pair = open_pair(pair_of(family))
        whole = patch_activations(pair, PROMPTS, positions=positions, **QUICK)
        single = patch_activations(pair, PROMPTS, positions=positions, batch_size=1, memory=1, **QUICK)
        np.testing.assert_allclose(whole.patched, single.patched, atol=1e-5)
        np.testing.assert_allclose(whole.unpatched, single.unpatched, atol=1e-5)

    def test_answer_position_without_keys(self, pair: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
        alone = patch_activations(pair, PROMPTS, seed=3)
        monkeypatch.setattr("slr_probe.probes.patching.blockwise.BlockwiseModel._last_alone", lambda *_: float("inf"))
        whole = patch_activations(pair, PROMPTS, seed=3)
        np.testing.assert_allclose(alone.patched, whole.patched, atol=1e-5)

    def test_cells_in_several_calls(self, pair: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
        one = patch_activations(pair, PROMPTS, positions="all", **QUICK)
        monkeypatch.setattr(patching_walk, "_TOKENS", 300)
        many = patch_activations(pair, PROMPTS, positions="all", **QUICK)
        np.testing.assert_allclose(one.patched, many.patched, atol=1e-5)

    def test_models_are_left_as_they_were(self, pair: ModelPair) -> None:
        before = pair.tuned(input_ids=torch.tensor([[5, 6, 7]])).logits
        patch_activations(pair, PROMPTS, blocks=1)
        assert torch.equal(pair.tuned(input_ids=torch.tensor([[5, 6, 7]])).logits, before)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in pair.tuned.modules())


class TestResult:
    def test_task_gives_validity_and_diversity(self, pair: ModelPair, tmp_path: Path) -> None:
        task = CRCTask.of([(f"{w}: a or b?", ["a", "b"]) for w in ("One", "Two", "Six", "Ten", "Six or ten")])
        result = patch_activations(pair, task, window=2)
        assert result.metrics == ("validity", "conditional_entropy", "diversity", "entropy")
        assert result.windows == ("0:2", "1:3", "2:4")
        assert result.categories == ("words",) * 5
        ids = task.render(pair).rendered[1].token_ids
        logits = patched_logits("llama", pair.base, pair.tuned, list(ids), "mlp", (1, 2), "answer").double()
        spelt = [[pair.tokenizer.convert_tokens_to_ids(t) for t in letters] for letters in ("aA", "bB")]
        p = np.array([logits.softmax(-1)[ids].sum().item() for ids in spelt])
        np.testing.assert_allclose(result.values("validity", "base->tuned", "mlp")[1, 1], p.sum(), atol=1e-6)
        q = p / p.sum()
        found = result.values("conditional_entropy", "base->tuned", "mlp")[1, 1]
        np.testing.assert_allclose(found, -(q * np.log(q)).sum(), atol=1e-5)
        again = PatchingResult.load(result.save(tmp_path / "patching.npz"))
        assert again.to_dataframe().equals(result.to_dataframe())
        assert repr(again) == repr(result)
        assert "<table" in result._repr_html_()
        result.plot().savefig(tmp_path / "patching.pdf")
        assert (tmp_path / "patching.pdf").stat().st_size > 5000

    def test_table(self, pair: ModelPair) -> None:
        prompts = [*PROMPTS, "Why"]
        result = patch_activations(pair, prompts, direction="tuned->base", components=["mlp"], blocks=["1:3"])
        (row,) = result.to_dataframe().to_dict(orient="records")
        assert (row["metric"], row["direction"], row["component"]) == ("entropy", "tuned->base", "mlp")
        assert (row["blocks"], row["block"]) == ("1:3", 1)
        assert row["effect"] == pytest.approx(result.patched[0, 0, 0, 0].mean() - row["recipient"])
        assert row["donor"] == pytest.approx(result.unpatched[0, 1].mean())
        assert row["effect_low"] <= row["effect"] <= row["effect_high"]

    def test_without_controls(self, pair: ModelPair) -> None:
        result = patch_activations(pair, PROMPTS, blocks=0, controls=False)
        assert result.random is None
        assert result.self_change is None
        with pytest.raises(SlrProbeError, match="controls=True"):
            result.effect("entropy", "base->tuned", "mlp", "random")
        with pytest.raises(SlrProbeError, match=r"no 'vallidity' among the metrics"):
            result.effect("vallidity", "base->tuned", "mlp")

    def test_single_prompt(self, pair: ModelPair) -> None:
        result = patch_activations(pair, "Hi", components="resid", positions="all", metric=lambda logits: logits[9])
        effect = result.effect("metric", "base->tuned", "resid")
        np.testing.assert_allclose(effect.estimate, (result.patched[1, 0, 0] - result.unpatched[1, 1])[:, 0], rtol=1e-6)
        assert np.isnan([effect.low, effect.high]).all()
        assert np.isnan(result.recovered("metric", "base->tuned", "resid").estimate).all()


class TestBadInput:
    def test_no_prompts(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match="no prompts"):
            patch_activations(pair, [])

    def test_long_prompt_and_long_answer(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match="context is 64"):
            patch_activations(pair, "a" * 80)
        with pytest.raises(PromptError, match="becomes 3 tokens"):
            patch_activations(pair, "a", answers=["cat"])

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"components": ["head"]}, LayoutError, "unknown component 'head'; expected some of resid, attn, mlp"),
            ({"components": []}, LayoutError, "no component"),
            ({"blocks": [4]}, LayerRangeError, "block 4 is out of bounds: the model has 4"),
            ({"blocks": ["3:5"]}, LayerRangeError, "out of bounds"),
            ({"blocks": ["2:2"]}, LayerRangeError, "empty"),
            ({"blocks": []}, LayerRangeError, "no blocks"),
            ({"window": 5}, LayerRangeError, "window must be from 1 to the model's 4 blocks; got 5"),
            ({"direction": "up"}, SlrProbeError, "direction is one of both"),
            ({"positions": "first"}, SlrProbeError, "positions one of answer, all"),
            ({"metric": lambda logits: logits[:2]}, SlrProbeError, r"'metric' returned shape \[2\]"),
            ({"metric": {"entropy": len}}, SlrProbeError, "names other than entropy"),
        ],
    )
    def test_options(self, pair: ModelPair, options: Any, error: type, message: str) -> None:
        with pytest.raises(error, match=message):
            patch_activations(pair, PROMPTS, **options)

    def test_different_devices(self, pair: ModelPair) -> None:
        pair.tuned.to("meta")
        with pytest.raises(IncompatiblePairError, match="base is on cpu and tuned on meta"):
            patch_activations(pair, PROMPTS)

    def test_weights_that_only_a_patched_run_reaches(self, own_pair: Any) -> None:
        """An expert that no unpatched run is sent to."""
        folders = own_pair("qwen3_moe")
        rewrite_tensor(folders.tuned, "model.layers.0.mlp.experts.2.down_proj.weight", lambda one: one.fill_(3e38))
        pair = ModelPair.load(*folders.folders, device="cpu")
        queries = [Query((5, 6, 7, 8, 9, 10), ((20,), (21,), (22,))), Query((5, 6, 7, 11, 12), ((20,), (21,)))]
        assert np.isfinite(logit_lens(pair, queries, progress=False).entropy).all()
        with pytest.raises(SlrProbeError, match=r"tuned, \w+ of block \d:\d patched: its logits are NaN"):
            patch_activations(pair, queries, progress=False)

    def test_nan_names_model_and_first_block(self, pair: ModelPair) -> None:
        with torch.no_grad():
            pair.base.model.layers[1].mlp.down_proj.weight[3, 3] = float("inf")
        with pytest.raises(SlrProbeError, match=r"base, block 1: .*NaN or infinite"):
            patch_activations(pair, PROMPTS)

    def test_nan_in_the_head_alone(self, pair: ModelPair) -> None:
        with torch.no_grad():
            pair.tuned.lm_head.weight[5] = float("nan")
        with pytest.raises(SlrProbeError, match="tuned, block 3: the logits read from it are NaN"):
            patch_activations(pair, PROMPTS)

    def test_blocks_that_pass_state_beside_the_stream_are_refused(self, pair: ModelPair) -> None:
        layers = pair.tuned.model.layers
        kept: list[torch.Tensor] = []
        layers[0].register_forward_hook(lambda _m, _a, out: kept.append(out.mean()))
        layers[1].register_forward_pre_hook(lambda _m, args: (args[0] * (2 + len(kept)), *args[1:]))
        with pytest.raises(LayoutError, match="block by block"):
            patch_activations(pair, PROMPTS)


def _batch(rows: list[int], width: int) -> Any:
    from slr_probe.forward.questions import Batch

    return Batch(rows, torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows),), width - 1))
