"""A pair in another process: opened again from its checkpoints, which must be the same."""

import pickle

import pytest

from slr_probe import ModelPair
from slr_probe.errors import CheckpointError
from slr_probe.pair import travel
from slr_probe.pair.side import fingerprint
from tests.tiny import rewrite_tensor


@pytest.fixture(autouse=True)
def _nothing_open(monkeypatch):
    monkeypatch.setattr(travel, "_opened", {})


def test_the_same_pair_with_nothing_but_its_folders(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, dtype="bfloat16", device="cpu")
    assert pair.base is not None
    data = pickle.dumps(pair)
    again = pickle.loads(data)
    assert len(data) < 2000, "weights travelled"
    assert (again.dtype, again.device, str(again)) == (pair.dtype, pair.device, str(pair))
    assert pickle.loads(data) is again, "models would be loaded again for each piece of work"


def test_base_alone_travels_as_base_twice(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    again = pickle.loads(pickle.dumps(pair.base_alone()))
    assert fingerprint(again.tuned_side) == fingerprint(pair.base_side)


def test_an_embedded_pair_travels_by_name():
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    assert b"organism:dpo" in pickle.dumps(pair)


def test_other_weights_under_the_same_name_are_refused(own_pair):
    folders = own_pair("llama")
    data = pickle.dumps(ModelPair.load(*folders.folders, device="cpu"))
    rewrite_tensor(folders.tuned, "model.norm.weight", lambda tensor: tensor + 1)
    with pytest.raises(CheckpointError, match="other weights on this machine"):
        pickle.loads(data)
