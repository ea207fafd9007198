"""What `--layers` takes: ranges, soups, recipe files and folders of hybrids of the same pair."""

import pytest

from slr_probe import Recipe, restore
from slr_probe.errors import CheckpointError, LayerRangeError, RecipeError
from slr_probe.pair.open import open_sides
from slr_probe.restoration.named import named_recipe
from tests.tiny import write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

DEPTH = 4
SET = Recipe.restore({0, 2}, DEPTH)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    for seed, name in enumerate(("base", "tuned", "other"), 1):
        make_tokenizer().save_pretrained(write_checkpoint(root / name, "llama", seed=seed))
    restore(root / "base", root / "tuned", SET, out=root / "hybrid", progress=False)
    (root / "set.json").write_text(SET.to_json())
    (root / "deeper.json").write_text(Recipe.restore("1:2", 6).to_json())
    (root / "none.json").write_text("[1]")
    return root


def read(folders, name, tuned="tuned"):
    return named_recipe(name, *open_sides(str(folders / "base"), str(folders / tuned))[:2])


def test_every_name_is_its_recipe(folders):
    assert read(folders, "1:3") == Recipe.restore("1:3", DEPTH)
    assert read(folders, "soup:0.25") == read(folders, "soup 0.25") == Recipe.soup(0.25, DEPTH)
    for file in ("set.json", "hybrid", "hybrid/recipe.json"):
        assert read(folders, str(folders / file)) == SET


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("3:9", LayerRangeError, "out of bounds"),
        ("absent.json", RecipeError, "no file or folder 'absent.json'; expected START:STOP, soup:SHARE"),
        ("deeper.json", RecipeError, "6"),
        ("none.json", RecipeError, "recipe"),
        ("tuned", CheckpointError, "expected a folder that slr-probe restore wrote"),
    ],
)
def test_other_names_are_refused(folders, name, error, message):
    with pytest.raises(error, match=message):
        read(folders, str(folders / name) if (folders / name).exists() else name)


def test_a_hybrid_of_another_pair_is_refused(folders):
    with pytest.raises(
        RecipeError, match=r"hybrid cannot be built from this pair: tuned .* its fingerprint has changed"
    ):
        read(folders, str(folders / "hybrid"), tuned="other")


def test_the_command_line_takes_them(run, folders, tmp_path):
    pair = (folders / "base", folders / "tuned")
    code, _, err = run("restore", *pair, "--layers", folders / "hybrid", "--out", tmp_path / "again", "--quiet")
    assert (code, err) == (0, "")
    assert (tmp_path / "again/model.safetensors.index.json").is_file() or list(
        (tmp_path / "again").glob("*.safetensors")
    )
    hybrids = ["-l", folders / "hybrid", "-l", "soup:0.5", "-l", "1:2"]
    code, out, _ = run("chat", *pair, *hybrids, "-m", "Hello", "-k", "1", "--max-tokens", "2", "--device", "cpu")
    assert code == 0
    assert "soup 0.5" in out
