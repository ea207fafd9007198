"""A patch makes of tuned what `restore` makes of both sides, byte for byte."""

import json

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from slr_probe import Recipe, restore, verify_hybrid
from slr_probe.checkpoint import Checkpoint
from slr_probe.errors import CheckpointError, OutputError, RecipeError
from slr_probe.sharing import apply_patch, save_patch
from tests.tiny import snapshot

RECIPES = {
    "range": Recipe.restore("1:3", 4),
    "soup": Recipe.soup(0.5, 4),
    "attention": Recipe.restore("0:2", 4, only="attention"),
    "base": Recipe.base(4, blocks_only=False),
}


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_the_hybrid(pair_of, tmp_path, name):
    pair, recipe = pair_of("llama"), RECIPES[name]
    whole = restore(*pair.folders, recipe, tmp_path / "whole")
    file = save_patch(*pair.folders, recipe, tmp_path / "patch.safetensors")
    made = apply_patch(file, pair.tuned, tmp_path / "made")
    names = {str(path.relative_to(whole)) for path in whole.rglob("*")}
    assert {str(path.relative_to(made)) for path in made.rglob("*")} == names
    for path in whole.iterdir():
        if path.name != "recipe.json":
            assert (made / path.name).read_bytes() == path.read_bytes(), path.name
    assert verify_hybrid(made, base=pair.base, tuned=pair.tuned).ok


def test_it_holds_what_changes_and_no_more(pair_of, tmp_path):
    pair = pair_of("llama")
    file = save_patch(*pair.folders, "1:3", tmp_path / "patch.safetensors")
    base = Checkpoint.open(pair.base)
    tensors = load_file(file)  # any reader of safetensors reads it
    assert set(tensors) == {name for name in base.tensors if ".layers.1." in name or ".layers.2." in name}
    for name, tensor in tensors.items():
        assert (tensor == base.read(name)).all()


def test_it_names_no_folder_of_this_machine(pair_of, tmp_path):
    pair = pair_of("llama")
    with safe_open(save_patch(*pair.folders, "1:3", tmp_path / "a.safetensors"), "pt") as file:
        text = json.dumps(file.metadata())
    assert str(pair.base.parent) not in text
    save_patch(*pair.folders, "1:3", tmp_path / "b.safetensors", base_id="org/base", tuned_id="org/chat")
    made = apply_patch(tmp_path / "b.safetensors", pair.tuned, tmp_path / "made")
    record = json.loads((made / "recipe.json").read_text())
    assert [record[role]["source"] for role in ("base", "tuned")] == ["org/base", "org/chat"]


def test_it_is_for_one_checkpoint(pair_of, tmp_path):
    pair = pair_of("llama")
    file = save_patch(*pair.folders, "1:3", tmp_path / "patch.safetensors")
    with pytest.raises(CheckpointError, match="not the checkpoint that"):
        apply_patch(file, pair.base, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_bad_patches(pair_of, tmp_path):
    pair = pair_of("llama")
    with pytest.raises(RecipeError, match="nothing to write"):
        save_patch(*pair.folders, Recipe.tuned(4), tmp_path / "patch.safetensors")
    file = save_patch(*pair.folders, "1:3", tmp_path / "patch.safetensors")
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    save_file(tensors, tmp_path / "plain.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="is no patch"):
        apply_patch(tmp_path / "plain.safetensors", pair.tuned, tmp_path / "made")
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name][:1].clone()}, tmp_path / "cut.safetensors", metadata)
    with pytest.raises(CheckpointError, match="has no place in tuned"):
        apply_patch(tmp_path / "cut.safetensors", pair.tuned, tmp_path / "made")


def test_no_file_of_a_checkpoint_or_of_the_user_is_replaced(pair_of, tmp_path):
    pair, mine = pair_of("llama"), tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "link").symlink_to(pair.tuned / "config.json")
    before = snapshot(pair.tuned)
    for out in (next(pair.tuned.glob("*.safetensors")), pair.base / "new.safetensors", tmp_path / "link", mine):
        with pytest.raises(OutputError, match=r"give (another folder|a new file)"):
            save_patch(*pair.folders, "1:3", out)
    with pytest.raises(OutputError, match="cannot write"):
        save_patch(*pair.folders, "1:3", tmp_path / ("x" * 300))
    assert snapshot(pair.tuned) == before
    assert mine.read_text() == "mine"
    file = save_patch(*pair.folders, "1:3", tmp_path / "patch.safetensors")
    assert save_patch(*pair.folders, "0:2", file) == file  # a patch is replaced


def test_on_the_command_line(run, pair_of, tmp_path):
    pair, file, out = pair_of("llama"), tmp_path / "patch.safetensors", tmp_path / "made"
    code, text, _ = run("export", *pair.folders, "--layers", "1:3", "--out", file)
    assert code == 0
    assert str(file) in text
    code, _, _ = run("apply", file, pair.tuned, "--out", out, "--quiet")
    assert code == 0
    code, _, _ = run("verify", out, "--base", pair.base, "--tuned", pair.tuned, "--quiet")
    assert code == 0
