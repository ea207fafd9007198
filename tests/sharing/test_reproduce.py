"""A hybrid is built again from its record, and any difference is found."""

import json
import shutil

import pytest

from slr_probe import restore
from slr_probe.errors import CheckpointError, OutputError
from slr_probe.sharing import reproduce
from tests.tiny import Pair


@pytest.fixture
def hybrid(pair_of, tmp_path):
    return restore(*pair_of("llama").folders, "1:3", tmp_path / "hybrid")


def _count(folder):
    from slr_probe.checkpoint import Checkpoint

    return len(Checkpoint.open(folder).tensors)


def test_it_is_the_same(hybrid, tmp_path):
    found = reproduce(hybrid / "recipe.json", tmp_path / "again")
    assert found.ok
    assert found.tensors == _count(hybrid)
    for file in hybrid.iterdir():
        if file.name not in ("recipe.json", "README.md"):
            assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_record_alone_is_compared_by_its_hash(hybrid, tmp_path):
    alone = tmp_path / "alone" / "recipe.json"
    alone.parent.mkdir()
    shutil.copy(hybrid / "recipe.json", alone)
    found = reproduce(alone, tmp_path / "again")
    assert found.ok
    assert found.tensors == 0


def test_one_byte_of_a_tensor_is_noticed(hybrid, tmp_path):
    file = next(hybrid.glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    found = reproduce(hybrid, tmp_path / "again")
    assert not found.ok
    assert sum("differs" in problem for problem in found.problems) == 1


def test_sources_that_changed_are_noticed(own_pair, tmp_path):
    pair: Pair = own_pair("llama")
    hybrid = restore(*pair.folders, "1:3", tmp_path / "hybrid")
    (pair.tuned / "generation_config.json").write_text('{"temperature": 0.5}')
    assert not reproduce(hybrid, tmp_path / "files").ok
    shutil.copytree(pair.base, tmp_path / "other")
    found = reproduce(hybrid, tmp_path / "again", tuned=tmp_path / "other")
    assert any("tuned" in problem and "fingerprint" in problem for problem in found.problems)
    assert any("differs" in problem for problem in found.problems)
    for file in hybrid.glob("*.safetensors"):
        file.unlink()
    found = reproduce(hybrid, tmp_path / "third", tuned=tmp_path / "other")
    assert any("weights are not those" in problem for problem in found.problems)


def test_an_edited_record_is_noticed(hybrid, tmp_path):
    record = json.loads((hybrid / "recipe.json").read_text())
    record["recipe"]["blocks"][0]["tuned_share"] = 0.5
    (hybrid / "recipe.json").write_text(json.dumps(record))
    found = reproduce(hybrid, tmp_path / "again")
    assert any("edited" in problem for problem in found.problems)
    assert any("differs" in problem for problem in found.problems)


def test_bad_input(hybrid, tmp_path):
    with pytest.raises(OutputError, match="holds the hybrid itself"):
        reproduce(hybrid, hybrid)
    with pytest.raises(CheckpointError, match=r"no recipe\.json"):
        reproduce(tmp_path, tmp_path / "again")
    other = tmp_path / "mine.json"
    other.write_text("{}")
    with pytest.raises(CheckpointError, match="restore takes a recipe"):
        reproduce(other, tmp_path / "again")


def test_on_the_command_line(run, hybrid, tmp_path):
    code, text, _ = run("reproduce", hybrid, "--out", tmp_path / "again", "--quiet")
    assert (code, "the same" in text) == (0, True)
    (hybrid / "config.json").write_bytes((hybrid / "config.json").read_bytes() + b" ")
    for file in hybrid.glob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    code, text, _ = run("reproduce", hybrid, "--out", tmp_path / "third", "--quiet")
    assert (code, "PROBLEM" in text) == (1, True)
