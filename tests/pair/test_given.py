"""What is no pair is said to be none, by every function that takes one."""

import pytest

import slr_probe
from slr_probe import CRCTask, ModelPair
from slr_probe.errors import IncompatiblePairError
from slr_probe.pair.given import check_pair

FEW = CRCTask.of([("Pick one: red or blue.", ["red", "blue"])])


def enter(pair):
    with slr_probe.restored(pair, "2:4"):
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda pair: slr_probe.rank_layers(pair, FEW),
        lambda pair: slr_probe.logit_lens(pair, FEW),
        lambda pair: slr_probe.patch_activations(pair, FEW),
        lambda pair: slr_probe.record(pair, ["Hello."]),
        lambda pair: slr_probe.learn_layer_mask(pair),
        lambda pair: slr_probe.generate(pair, [("1", "Hello.")], samples=2),
        lambda pair: slr_probe.validate(pair, "2:4"),
        enter,
    ],
)
@pytest.mark.parametrize("given", ["organism:base", ("organism:base", "organism:dpo")])
def test_a_name_is_no_pair(call, given):
    with pytest.raises(IncompatiblePairError, match=r"ModelPair\.load\(base, tuned\); got (str|tuple) "):
        call(given)


def test_a_pair_is_one_and_is_not_loaded_for_it():
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    check_pair(pair)
    assert "tuned" not in vars(pair)
