"""The logit lens equals the models' own logits, a hand-written lens, and TransformerLens' lens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr, softmax

from slr_probe.errors import IncompatiblePairError, LayoutError, PromptError, ResultError, SlrProbeError
from slr_probe.forward import distributions as lens_maths
from slr_probe.pair import ModelPair
from slr_probe.probes.lens.lens import logit_lens
from slr_probe.probes.lens.result import LayerTrace
from slr_probe.probes.patching.result import PatchingResult
from slr_probe.restoration import restored
from slr_probe.tasks.answers import Query
from slr_probe.tasks.crc import CRCTask
from tests.probes.lens.reference import PARTS, lens_logits
from tests.tiny import DEPTH, load, make_model
from tests.tiny_tokenizer import make_tokenizer

PROMPTS = ["Pick a letter.", "No", "A rather long question: which letter?"]


@pytest.fixture(params=list(PARTS))
def family(request: pytest.FixtureRequest) -> Any:
    return request.param


def open_pair(folders: Any) -> ModelPair:
    return ModelPair.load(folders.base, folders.tuned, device="cpu")


@pytest.fixture
def pair(pair_of: Any) -> ModelPair:
    """A llama pair of the test's own, so that it may damage the models."""
    return open_pair(pair_of("llama"))


def entropies(logits: torch.Tensor) -> np.ndarray:
    log_p = logits.double().log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1).numpy()


class TestEqualsOthers:
    def test_hand_written_lens(self, pair_of: Any, family: str) -> None:
        pair = open_pair(pair_of(family))
        trace = logit_lens(pair, PROMPTS, batch_size=2, top_k=3)
        for name, model in (("base", pair.base), ("tuned", pair.tuned), ("base (plain)", pair.base)):
            at = trace.models.index(name)
            for i, prompt in enumerate(PROMPTS):
                ids = pair.render(prompt, "plain" if "plain" in name else None)
                logits = lens_logits(family, model, ids)
                np.testing.assert_allclose(trace.entropy[at, :, i], entropies(logits), atol=1e-4)
                p = softmax(logits.double().numpy(), axis=-1)
                np.testing.assert_allclose(trace.kl_to_final[at, :, i], rel_entr(p, p[-1]).sum(-1), atol=1e-4)
                best = logits.topk(3)
                np.testing.assert_allclose(trace.top_probs[at, :, i], np.sort(p)[:, :-4:-1], atol=1e-5)
                assert (trace.top_ids[at, :, i, 0] == best.indices[:, 0].numpy()).all()

    @pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "olmo2"])
    def test_transformer_lens(self, pair_of: Any, family: str) -> None:
        from transformer_lens.model_bridge import TransformerBridge
        from transformer_lens.tools.analysis import logit_lens as their_lens

        folders = pair_of(family)
        pair = open_pair(folders)
        trace = logit_lens(pair, PROMPTS, models=["tuned"])
        bridge = TransformerBridge.boot_transformers(
            family, hf_model=load(folders.tuned), tokenizer=pair.tokenizer, device="cpu"
        )
        for i, prompt in enumerate(PROMPTS):
            theirs = their_lens(bridge, torch.tensor([pair.render(prompt)]), layers=range(1, DEPTH + 1))
            np.testing.assert_allclose(trace.entropy[0, :, i], theirs.readout.entropy[:, 0].flatten(), atol=1e-4)

    def test_divergences_between_models(self, pair: ModelPair) -> None:
        trace = logit_lens(pair, PROMPTS)
        ids = pair.render(PROMPTS[0])
        p, q = (softmax(lens_logits("llama", m, ids).double().numpy(), -1) for m in (pair.base, pair.tuned))
        np.testing.assert_allclose(trace.values("kl_base_tuned")[:, 0], rel_entr(p, q).sum(-1), atol=1e-5)
        np.testing.assert_allclose(trace.values("kl_tuned_base")[:, 0], rel_entr(q, p).sum(-1), atol=1e-5)
        np.testing.assert_allclose(trace.values("js")[:, 0], jensenshannon(p, q, axis=1) ** 2, atol=1e-5)

    def test_logit_scale_and_softcap_are_the_models_own(self) -> None:
        tokenizer, cap = make_tokenizer(), 2.0
        models = [make_model("gemma2", seed, final_logit_softcapping=cap) for seed in (1, 2)]
        pair = ModelPair.load(*models, tokenizer=tokenizer)
        trace = logit_lens(pair, ["Hi"])
        with torch.no_grad():
            own = models[1](input_ids=torch.tensor([pair.render("Hi")])).logits[0, -1]
        assert own.abs().max() <= cap
        np.testing.assert_allclose(trace.entropy[1, -1, 0], entropies(own), atol=1e-5)

    def test_large_vocabulary_is_summed_exactly(self) -> None:
        logits = torch.randn(3, 262_144, generator=torch.Generator().manual_seed(0)) * 3
        log_p = logits.double().log_softmax(-1)
        p, logs = lens_maths.distribution(logits)
        torch.testing.assert_close(
            lens_maths.entropy(p, logs).double(), -(log_p.exp() * log_p).sum(-1), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(logs.double(), log_p, atol=4e-6, rtol=0)


class TestBatching:
    @pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])
    def test_unequal_prompts_together_are_as_one_by_one(self, pair_of: Any, family: str) -> None:
        pair = open_pair(pair_of(family))
        whole = logit_lens(pair, PROMPTS, batch_size=8, answers=["a", "b"])
        for i, prompt in enumerate(PROMPTS):
            one = logit_lens(pair, prompt, answers=["a", "b"])
            for name in ("entropy", "kl_to_final", "answer_logprobs", "top_probs"):
                np.testing.assert_allclose(getattr(one, name)[:, :, 0], getattr(whole, name)[:, :, i], atol=1e-5)

    @pytest.mark.parametrize("rows", [1, 2, 5])
    def test_memory_bound_changes_nothing(self, pair: ModelPair, rows: int) -> None:
        from slr_probe.probes.lens.measure import _BUFFERS

        full = logit_lens(pair, PROMPTS)
        tight = logit_lens(pair, PROMPTS, memory=rows * 2 * _BUFFERS * 4 * 128)
        for name in ("entropy", "kl_to_final", "js", "top_probs"):
            np.testing.assert_allclose(getattr(full, name), getattr(tight, name), atol=1e-5)

    def test_distributions_stay_within_the_bound(self, pair: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
        from slr_probe.probes.lens.measure import _BUFFERS

        sizes: list[int] = []
        made = lens_maths.distribution
        monkeypatch.setattr(lens_maths, "distribution", lambda x: (sizes.append(x.shape[:-1].numel()), made(x))[1])
        logit_lens(pair, PROMPTS, format="plain", memory=5 * 2 * _BUFFERS * 4 * 128)
        assert max(sizes) <= 5


class TestAnswers:
    def test_validity_rank_and_conditional_entropy(self, pair: ModelPair) -> None:
        trace = logit_lens(pair, PROMPTS, answers=["a", "b", "7"])
        ids = [pair.tokenizer.convert_tokens_to_ids(text) for text in "ab7"]
        logits = lens_logits("llama", pair.tuned, pair.render(PROMPTS[1])).double().numpy()
        p = softmax(logits, axis=-1)
        inside = p[:, ids] / p[:, ids].sum(1, keepdims=True)
        np.testing.assert_allclose(trace.values("validity", "tuned")[:, 1], p[:, ids].sum(1), atol=1e-6)
        expected = -(inside * np.log(inside)).sum(1)
        np.testing.assert_allclose(trace.values("conditional_entropy", "tuned")[:, 1], expected, atol=1e-5)
        np.testing.assert_allclose(trace.values("diversity", "tuned")[:, 1], expected / np.log(3), atol=1e-5)
        ranks = (p[:, None, :] > p[:, ids, None]).sum(-1)
        assert (trace.answer_ranks[1, :, 1] == ranks).all()
        rows = trace.to_dataframe("answer")
        assert list(rows["answer"][:3]) == ["a", "b", "7"]

    def test_answers_of_each_prompt_and_several_tokens_an_answer(self, pair: ModelPair) -> None:
        queries = [Query((1, 20, 21), ((30, 31), (32,))), Query((1, 22), ((33,), (34,), (35,)))]
        trace = logit_lens(pair, queries)
        assert trace.models == ("base", "tuned")  # queries are rendered: no plain version of them is known
        p = softmax(lens_logits("llama", pair.base, [1, 20, 21]).double().numpy(), axis=-1)
        np.testing.assert_allclose(np.exp(trace.answer_logprobs[0, :, 0, 0]), p[:, [30, 31]].sum(1), atol=1e-6)
        assert np.isneginf(trace.answer_logprobs[:, :, 0, 2]).all()
        assert (trace.answer_ranks[:, :, 0, 2] == -1).all()

    def test_task_brings_answers_and_strata(self, pair: ModelPair) -> None:
        task = CRCTask.of([(f"{w}: a or b?", ["a", "b"]) for w in ("One", "Two", "Six", "Ten", "Six or ten")])
        trace = logit_lens(pair, task)
        assert trace.prompts == tuple(item.prompt for item in task.items)
        assert trace.categories == ("words",) * 5
        assert trace.models == ("base", "tuned", "base (plain)")
        np.testing.assert_allclose(
            trace.answer_logprobs[:2], logit_lens(pair, task.render(pair)).answer_logprobs, atol=1e-6
        )

    def test_one_answer_has_no_diversity(self, pair: ModelPair) -> None:
        trace = logit_lens(pair, PROMPTS, answers=["a"])
        assert np.isnan(trace.values("diversity")).all()
        assert np.isnan(trace.interval("diversity").estimate).all()


class TestHybridsAndResult:
    def test_recipe_is_the_restored_model(self, pair: ModelPair) -> None:
        trace = logit_lens(pair, PROMPTS, recipes="1:3")
        with restored(pair, "1:3") as hybrid:
            expected = entropies(lens_logits("llama", hybrid, pair.render(PROMPTS[2])))
        np.testing.assert_allclose(trace.entropy[trace.models.index("restore 1:3 of 4"), :, 2], expected, atol=1e-5)
        again = logit_lens(pair, PROMPTS, models="tuned")
        np.testing.assert_array_equal(again.entropy[0], trace.entropy[1])  # and tuned is itself again

    def test_collapse_is_a_paired_difference(self, pair: ModelPair) -> None:
        prompts = [*PROMPTS, "Why", "So"]
        trace = logit_lens(pair, prompts, answers=["a", "b"])
        found = trace.collapse()
        np.testing.assert_allclose(found.estimate, (trace.entropy[0] - trace.entropy[1]).mean(-1), atol=1e-6)
        assert (found.low <= found.estimate).all()
        assert (found.estimate <= found.high).all()
        table = trace.to_dataframe()
        tuned = table[table.model == "tuned"]
        np.testing.assert_allclose(tuned["collapse"], found.estimate)
        np.testing.assert_allclose(tuned["collapse_low"], found.low)
        assert table[table.model == "base"]["collapse"].isna().all()
        assert len(trace.to_dataframe("prompt")) == 3 * DEPTH * len(prompts)

    def test_model_against_itself_collapses_nowhere(self, pair: ModelPair) -> None:
        twin = ModelPair.load(pair.base, pair.base, tokenizer=pair.tokenizer)
        trace = logit_lens(twin, PROMPTS)
        assert (trace.collapse().estimate == 0).all()
        assert (trace.values("kl_base_tuned") == 0).all()
        assert trace.values("js").max() < 1e-6

    def test_single_prompt_has_no_interval(self, pair: ModelPair) -> None:
        found = logit_lens(pair, "Hi").collapse()
        assert np.isfinite(found.estimate).all()
        assert np.isnan(found.low).all()

    def test_save_load_plot_and_print(self, pair: ModelPair, tmp_path: Path) -> None:
        trace = logit_lens(pair, PROMPTS, answers=["a", "b"], recipes=["0:1"])
        again = LayerTrace.load(trace.save(tmp_path / "trace.npz"))
        assert again.to_dataframe().equals(trace.to_dataframe())
        assert again.top_tokens("tuned", 1) == trace.top_tokens("tuned", 1)
        assert repr(again) == repr(trace)
        assert "entropy collapse" in repr(trace)
        assert "<table" in trace._repr_html_()
        trace.plot().savefig(tmp_path / "lens.pdf")
        assert (tmp_path / "lens.pdf").stat().st_size > 5000
        with pytest.raises(ResultError, match="layer_trace"):
            PatchingResult.load(tmp_path / "trace.npz")
        with pytest.raises(SlrProbeError, match=r"no model 'x'.*base, tuned"):
            trace.values("entropy", "x")
        with pytest.raises(SlrProbeError, match="unknown measure 'depth'"):
            trace.values("depth")  # type: ignore[arg-type]


class TestBadInput:
    @pytest.mark.parametrize("prompts", [[], (), ""])
    def test_no_prompts(self, pair: ModelPair, prompts: Any) -> None:
        with pytest.raises(PromptError, match=r"empty|no prompts"):
            logit_lens(pair, prompts)

    def test_prompt_longer_than_the_context(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match=r"\d+ tokens but the model's context is 64"):
            logit_lens(pair, ["a" * 70])

    def test_prompt_that_tokenises_to_nothing(self, pair_of: Any) -> None:
        pair = open_pair(pair_of("llama"))
        with pytest.raises(PromptError, match=r"tokenises to nothing|no token ids"):
            logit_lens(pair, [Query((), ())])

    def test_answer_of_several_tokens_is_spelt_out(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match=r"'cat' is not a single token: 'cat' becomes 3 tokens \['c', 'a', 't'\]"):
            logit_lens(pair, PROMPTS, answers=["a", "cat"])

    def test_one_answer_twice(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match="give each answer once"):
            logit_lens(pair, PROMPTS, answers=["a", "a"])

    def test_answers_where_the_task_has_them(self, pair: ModelPair) -> None:
        with pytest.raises(PromptError, match="bring their own"):
            logit_lens(pair, [Query((1, 5), ((7,),))], answers=["a"])

    def test_unknown_model(self, pair: ModelPair) -> None:
        with pytest.raises(SlrProbeError, match="some of base, tuned"):
            logit_lens(pair, PROMPTS, models=["dpo"])  # type: ignore[list-item]

    def test_different_devices(self, pair: ModelPair) -> None:
        pair.tuned.to("meta")
        with pytest.raises(IncompatiblePairError, match="base is on cpu and tuned on meta"):
            logit_lens(pair, PROMPTS)

    def test_nan_names_model_and_first_block(self, pair: ModelPair) -> None:
        with torch.no_grad():
            pair.tuned.model.layers[2].mlp.down_proj.weight[3, 3] = float("nan")
        with pytest.raises(SlrProbeError, match=r"tuned, block 2: .*NaN"):
            logit_lens(pair, PROMPTS)

    def test_nan_in_the_head_alone(self, pair: ModelPair) -> None:
        with torch.no_grad():
            pair.base.lm_head.weight[5] = float("nan")
        with pytest.raises(SlrProbeError, match="base, block 0: the logits read from it are NaN"):
            logit_lens(pair, PROMPTS)

    def test_readout_that_cannot_be_replayed_is_refused(self, pair: ModelPair) -> None:
        mixes = pair.tuned.model.norm.register_forward_pre_hook(lambda _m, args: (args[0].cumsum(dim=1),))
        with pytest.raises(LayoutError, match="something else between its last block and its logits"):
            logit_lens(pair, PROMPTS)
        mixes.remove()
        assert "forward" not in pair.tuned.model.layers[0].__dict__  # the blocks are back
