"""What results depend on: changing weights or config changes it, names and places do not."""

import json
import shutil
from pathlib import Path

import pytest

from slr_probe import ModelPair, generate
from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint, identity
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling
from slr_probe.pair.side import fingerprint
from slr_probe.study import provenance
from tests.checkpoint.test_adapter import train_adapter
from tests.tiny import rewrite_tensor


def edit(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_weights_and_config_count_and_names_do_not(own_pair):
    folder = own_pair().base
    first = identity(Checkpoint.open(folder))
    edit(folder, _name_or_path="elsewhere", transformers_version="0.0")
    assert identity(Checkpoint.open(folder)) == first
    edit(folder, rms_norm_eps=0.5)
    second = identity(Checkpoint.open(folder))
    edit(folder, rope_parameters={"rope_type": "default", "rope_theta": 7.0})
    third = identity(Checkpoint.open(folder))
    rewrite_tensor(folder, "model.norm.weight", lambda tensor: tensor * 2)
    assert len({first, second, third, identity(Checkpoint.open(folder))}) == 4


def test_the_fingerprint_of_weights_is_what_it_was(own_pair):
    folder = own_pair().base
    first = Checkpoint.open(folder).fingerprint()
    edit(folder, rms_norm_eps=0.5)
    assert Checkpoint.open(folder).fingerprint() == first


def test_an_adapter_has_the_config_of_its_base(own_pair, tmp_path):
    base = own_pair().base
    train_adapter(base, tmp_path / "adapter")
    first = identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base)))
    edit(base, rms_norm_eps=0.5)
    assert identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))) != first


def test_a_loaded_model_counts_with_its_config(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders)
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer)
    first = fingerprint(loaded.tuned_side)
    pair.tuned.config.name_or_path = "elsewhere"
    assert fingerprint(loaded.tuned_side) == first
    pair.tuned.config.rms_norm_eps = 0.5
    assert fingerprint(loaded.tuned_side) != first


def test_a_study_records_config_and_tokenizer_beside_the_weights(own_pair, tmp_path):
    folders = own_pair()
    pair = ModelPair.load(*folders.folders)
    moved = shutil.copytree(folders.base, tmp_path / "moved")
    assert provenance.fingerprint(ModelPair.load(moved, folders.tuned).base_side) == provenance.fingerprint(
        pair.base_side
    )
    seen = {provenance.fingerprint(pair.base_side)}
    for name in ("config.json", "tokenizer_config.json"):
        (moved / name).write_text((moved / name).read_text() + " ")
        seen.add(provenance.fingerprint(ModelPair.load(moved, folders.tuned).base_side))
    assert len(seen) == 3


def test_generation_does_not_go_on_with_another_config(own_pair, tmp_path):
    folders = own_pair()

    def go(samples: int) -> None:
        generate(ModelPair.load(*folders.folders), [("1", "Pick.")], ["tuned"], samples=samples,
                 sampling=Sampling(max_tokens=2), out=tmp_path / "out")  # fmt: skip

    go(1)
    for folder in folders.folders:
        edit(folder, rms_norm_eps=0.5)
    with pytest.raises(GenerationError, match="tuned"):
        go(2)
