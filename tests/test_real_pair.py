"""A real pair, where there is one: `SLR_PROBE_PAIR` names a folder with base/ and tuned/ (Gemma 3 270M, bf16)."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from slr_probe import ModelPair, Recipe, restore, restored, verify_hybrid
from slr_probe.generation.decode import end_tokens
from slr_probe.sweep import sweep
from slr_probe.tasks import Replies, Reply
from tests.sweep.naive import assert_same_replies, naive_replies
from tests.tiny import load

PAIR = os.environ.get("SLR_PROBE_PAIR")
pytestmark = pytest.mark.skipif(not PAIR, reason="SLR_PROBE_PAIR is not set")
LAYERS = range(14, 18)


@pytest.fixture(scope="module")
def folders() -> tuple[Path, Path]:
    assert PAIR is not None
    return Path(PAIR) / "base", Path(PAIR) / "tuned"


@pytest.fixture(scope="module")
def hybrid(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return restore(*folders, "14:18", tmp_path_factory.mktemp("real") / "hybrid")


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as shard:
            for name in shard.keys():
                yield name, shard.get_tensor(name)


def times(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


@torch.no_grad()
def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits


def test_every_tensor_equals_its_source(folders: tuple[Path, Path], hybrid: Path) -> None:
    before = [times(folder) for folder in folders]
    report = verify_hybrid(hybrid)
    assert report.ok, report
    base, tuned = (dict(tensors(folder)) for folder in folders)
    names = set()
    for name, tensor in tensors(hybrid):
        names.add(name)
        inside = any(name.startswith(f"model.layers.{i}.") for i in LAYERS)
        assert torch.equal(tensor, (base if inside else tuned)[name]), name
    assert names == tuned.keys()
    assert [times(folder) for folder in folders] == before


def test_the_saved_hybrid_the_one_in_memory_and_a_naive_swap_agree(folders: tuple[Path, Path], hybrid: Path) -> None:
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    ids = pair.render("Name a colour.")
    assert ids.count(pair.tokenizer.bos_token_id) == 1
    tuned = logits(pair.tuned, ids)
    with restored(pair, "14:18") as model:
        found = logits(model, ids)
    assert torch.equal(logits(pair.tuned, ids), tuned)
    saved = logits(load(hybrid), ids)
    for i in LAYERS:
        pair.tuned.model.layers[i] = copy.deepcopy(pair.base.model.layers[i])
    naive = logits(pair.tuned, ids)
    torch.testing.assert_close(saved, found, rtol=0, atol=1e-5)
    torch.testing.assert_close(naive, found, rtol=0, atol=1e-5)
    assert not torch.allclose(found, tuned, atol=1e-2)


def test_replies_are_scored_as_the_hybrids_themselves_score_them(folders: tuple[Path, Path]) -> None:
    pair = ModelPair.load(*folders, dtype="float32", device="cpu")
    text = pair.tokenizer("A short story about rain.", add_special_tokens=False).input_ids
    prompt = tuple(pair.render("Tell a story."))
    replies = Replies((Reply(prompt, (*text, 106)), Reply(prompt, (*text[:3], 106), read=(0, 3))), end_tokens(pair))
    recipes = [Recipe.tuned(pair.depth), pair.recipe("14:18"), Recipe.soup(0.5, pair.depth)]
    found = sweep(pair, recipes, replies=replies, grid=[(1.3, 0.05)])
    for setting in ((1.0, 0.0), (1.3, 0.05)):
        expected = naive_replies(pair, recipes, replies, recipes[0], *setting)
        assert_same_replies(found.at(*setting).replies, expected, atol=2e-5)
