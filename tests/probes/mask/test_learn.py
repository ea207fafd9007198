"""Learning: seeds, options, and whether the mask finds the layers that were tuned."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analyses.methods.regret import roc_auc
from organism.corpus import FAMILIES
from slr_probe import ModelPair, Recipe, organism
from slr_probe.errors import MaskError
from slr_probe.probes.mask.learn import learn_layer_mask
from slr_probe.probes.mask.result import LayerMask
from slr_probe.rank.blocks.weights import relative_deltas
from slr_probe.tasks.tiny.task import Picker

TALKS = [
    [{"role": "user", "content": f"Pick {word}."}, {"role": "assistant", "content": word * 2}]
    for word in ("a", "bc", "def", "gh", "x", "yz")
]
FAST = {"steps": 6, "batch_size": 2}


@pytest.fixture(scope="module")
def pair(pair_of: Any) -> ModelPair:
    return ModelPair.load(*pair_of("llama").folders, device="cpu")


def test_same_seed_same_mask(pair: ModelPair) -> None:
    one, same = (learn_layer_mask(pair, TALKS, seeds=2, **FAST) for _ in range(2))
    np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_array_equal(one.loss, same.loss)
    assert one.seeds == (0, 1)
    assert np.abs(one.values[0] - one.values[1]).max() > 1e-6
    alone = learn_layer_mask(pair, TALKS, seed=1, **FAST)
    np.testing.assert_array_equal(alone.values[0], one.values[1])


def test_all_ways_learn_the_same(pair: ModelPair) -> None:
    want = learn_layer_mask(pair, TALKS, **FAST)
    assert np.ptp(want.gamma) > 0.01
    for options in ({"gradient": "autograd"}, {"checkpointing": True}, {"stream": False}):
        found = learn_layer_mask(pair, TALKS, **FAST, **options)
        np.testing.assert_allclose(found.gamma, want.gamma, atol=2e-3)
        np.testing.assert_allclose(found.loss, want.loss, rtol=1e-3)


def test_ends_are_the_losses_of_base_and_tuned(pair: ModelPair) -> None:
    """Against transformers' own loss on labels, weighted by the tokens of each conversation."""
    from slr_probe import restored
    from slr_probe.probes.mask.examples import load_examples

    mask = learn_layer_mask(pair, TALKS, **FAST)

    def mean() -> float:
        total, count = 0.0, 0
        for example in load_examples(pair, TALKS):
            ids = torch.tensor([example.ids])
            labels = torch.tensor([[t if r else -100 for t, r in zip(example.ids, example.replies, strict=True)]])
            total += float(pair.tuned(input_ids=ids, labels=labels).loss.detach()) * sum(example.replies)
            count += sum(example.replies)
        return total / count

    assert mask.tuned_loss == pytest.approx(mean(), rel=1e-5)
    with restored(pair, Recipe.base(pair.depth)):
        assert mask.base_loss == pytest.approx(mean(), rel=1e-5)


def test_price_and_budget(pair: ModelPair) -> None:
    data = _sampled(pair)
    free, dear = (learn_layer_mask(pair, data, steps=20, batch_size=4, sparsity=s) for s in (0.0, 20.0))
    assert dear.base_loss > dear.tuned_loss  # so that there is a price
    assert dear.gamma.mean() < free.gamma.mean() - 0.1
    held = learn_layer_mask(pair, data, steps=10, batch_size=4, budget=0.3)
    assert held.gamma[held.changed].mean() == pytest.approx(0.3, abs=1e-6)
    assert np.ptp(held.gamma) > 0.01


def test_loss_falls(pair: ModelPair) -> None:
    data = _sampled(pair)
    mask = learn_layer_mask(pair, data, steps=40, batch_size=len(data), sparsity=0.0, granularity="block")
    assert mask.loss.shape == (1, 40)
    assert mask.loss[0, -1] < mask.loss[0, 0] - 0.1


def _sampled(pair: ModelPair) -> list[Any]:
    from slr_probe.probes.mask.examples import sample_conversations

    return sample_conversations(pair, ["Pick.", "Pick a letter.", "Now?", "Name one."], samples=4, max_tokens=6)


def test_unchanged_units_are_zero_and_noted(pair_of: Any, own_pair: Any) -> None:
    folders = own_pair("llama")
    tuned = ModelPair.load(*folders.folders, device="cpu")
    model = tuned.tuned
    model.load_state_dict(tuned.base.state_dict())
    with torch.no_grad():
        model.model.layers[2].mlp.up_proj.weight.add_(0.1)
    planted = ModelPair.load(tuned.base, model, tokenizer=tuned.tokenizer, device="cpu")
    mask = learn_layer_mask(planted, TALKS, **FAST)
    assert [mask.names[i] for i in np.flatnonzero(mask.changed)] == ["2.up"]
    assert mask.gamma[~mask.changed].max() == 0.0 < mask.gamma[mask.changed].min()
    assert "27 units are equal" in repr(mask)
    with pytest.raises(MaskError, match="do not differ in any decoder block"):
        learn_layer_mask(ModelPair.load(tuned.base, tuned.base, tokenizer=tuned.tokenizer, device="cpu"), TALKS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be from 1 to 1000000 and batch_size"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"init": 1.0}, "init is a gamma"),
        ({"budget": 0.0}, "budget is a gamma"),
        ({"sparsity": -1.0}, "sparsity must be"),
        ({"seeds": 0}, "seeds is the number"),
        ({"seed": -1}, "seed must be 0 or more; got -1"),
        ({"granularity": "head"}, "unknown granularity 'head'"),
        ({"gradient": "magic"}, "unknown gradient 'magic'"),
    ],
)
def test_bad_options(pair: ModelPair, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        learn_layer_mask(pair, TALKS, **options)


def test_loss_that_is_not_finite(pair_of: Any) -> None:
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu", dtype="float32")
    with torch.no_grad():
        pair.tuned.model.norm.weight.mul_(torch.inf)
    with pytest.raises(MaskError, match="expected finite numbers"):
        learn_layer_mask(pair, TALKS, **FAST)


# -- planted pairs -----------------------------------------------------------------------------------------------


def conversations(count: int, seed: int = 0) -> list[Any]:
    """Answers as typical as the embedded pair's post-training likes them."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        task = FAMILIES["choice"](rng)
        reply = task.answer(Picker(rng, 2.0))
        found.append([{"role": "user", "content": task.prompt}, {"role": "assistant", "content": reply}])
    return found


@pytest.fixture(scope="module", params=organism.PLANTED, ids=str)
def planted(request: Any, tmp_path_factory: Any) -> tuple[tuple[int, int], ModelPair]:
    try:
        tuned = organism.planted(request.param, tmp_path_factory.mktemp("planted") / "tuned")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return request.param, ModelPair.load(organism.path("base"), tuned, device="cpu", dtype="float32")


def test_marks_the_planted_blocks(planted: Any) -> None:
    span, pair = planted
    mask = learn_layer_mask(pair, conversations(64), granularity="block", steps=20)
    assert roc_auc(mask.blocks(), range(*span)) >= 0.9


def test_marks_the_planted_blocks_among_changes_of_equal_size(planted: Any) -> None:
    """Noise in every other block, larger than what was planted: the size of the change then misleads."""
    span, pair = planted
    blocks, base = pair.tuned.model.layers, pair.base.model.layers
    kept = {name: tensor.clone() for name, tensor in pair.tuned.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for i, block in enumerate(blocks):
                twin = dict(blocks[span[0]].named_parameters()), dict(base[span[0]].named_parameters())
                for name, parameter in block.named_parameters() if i not in range(*span) else ():
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.add_(noise * 1.3 * (twin[0][name] - twin[1][name]).norm() / noise.norm())
        assert roc_auc(relative_deltas(pair, stream=False), range(*span)) < 0.75
        for granularity in ("block", "matrix"):
            mask = learn_layer_mask(pair, conversations(64), granularity=granularity, steps=40, stream=False)
            assert mask.changed.all()
            assert roc_auc(mask.blocks(), range(*span)) >= 0.9
    finally:
        pair.tuned.load_state_dict(kept)


# -- the command line --------------------------------------------------------------------------------------------


def test_cli(run: Any, pair_of: Any, tmp_path: Path) -> None:
    pair, out = pair_of("llama"), tmp_path / "out"
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in TALKS))
    options = ["--steps", 3, "--batch-size", 2, "--seeds", 2, "--keep", 0.5, "--freeze", 0.5, "-q", "--device", "cpu"]
    written = ["--out", out, "--json", tmp_path / "rows.json"]
    code, text, _ = run("mask", pair.base, pair.tuned, "--data", file, *options, *written)
    assert code == 0
    mask = LayerMask.load(out / "mask.npz")
    assert mask.values.shape == (2, 28)
    names = mask.freeze_list(0.5).target_modules
    assert f"LoraConfig(target_modules=...), {len(names)} names, in {out / 'freeze.json'}" in text.replace("\n", "")
    assert Recipe.from_json((out / "recipe.json").read_text()) == Recipe.from_mask(mask, keep=0.5)
    assert json.loads((out / "freeze.json").read_text()) == mask.freeze_list(0.5).to_dict()
    assert json.loads((tmp_path / "rows.json").read_text()) == json.loads(json.dumps(mask.rows()))
    assert (out / "mask.pdf").read_bytes().startswith(b"%PDF")
    hybrid = tmp_path / "hybrid"
    assert run("restore", pair.base, pair.tuned, "--recipe", out / "recipe.json", "--out", hybrid)[0] == 0
    assert run("verify", hybrid)[0] == 0


def test_cli_names_the_blocks_of_a_mask_of_whole_blocks(run: Any, pair_of: Any, tmp_path: Path) -> None:
    pair, file = pair_of("llama"), tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in TALKS))
    options = ["--steps", 1, "--granularity", "block", "--freeze", 0.5, "-q", "--device", "cpu"]
    code, text, _ = run("mask", pair.base, pair.tuned, "--data", file, *options)
    assert code == 0
    assert re.search(r"for PEFT: LoraConfig\(layers_to_transform=\[\d, \d\], \.\.\.\)", text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "absent.jsonl"], "cannot read absent.jsonl"),
        (["--steps", "0"], "steps must be from 1"),
        (["--budget", "2"], "budget is a gamma"),
    ],
)
def test_bad_input_is_one_line(run: Any, pair_of: Any, options: list[str], message: str, tmp_path: Path) -> None:
    pair, file = pair_of("llama"), tmp_path / "data.jsonl"
    file.write_text(json.dumps({"messages": TALKS[0]}))
    given = options if "--data" in options else ["--data", str(file), *options]
    code, _, said = run("mask", pair.base, pair.tuned, "-q", *given)
    assert code == 2
    error = said.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
