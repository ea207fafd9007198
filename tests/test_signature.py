"""Parameters read from source are those of the functions themselves."""

import inspect
from importlib import import_module

import pytest

from slr_probe.cli import options
from slr_probe.signature import explanations, parameters

PLACES = [value for name, value in vars(options).items() if name.isupper() and isinstance(value, str)]
STUDY_PLACES = ["probes.weights.measure:weight_delta", "study.report.page:write_report"]


@pytest.mark.parametrize("place", [*PLACES, *STUDY_PLACES])
def test_what_is_read_is_what_the_function_takes(place):
    module, _, name = place.partition(":")
    function = import_module(f"slr_probe.{module}")
    for part in name.split("."):
        function = getattr(function, part)
    wanted = inspect.signature(function).parameters
    found = parameters(place)
    assert list(found) == list(wanted)
    for name, parameter in found.items():
        assert parameter.help, name
        if parameter.value and name != "tags":  # a list of marks; on the command line it is a switch
            assert parameter.default == wanted[name].default, name


def test_choices_are_those_of_the_type():
    assert parameters("restoration.disk:restore")["untouched"].choices == ("auto", "hardlink", "copy")
    assert parameters("probes.mask.learn:learn_layer_mask")["granularity"].choices == ("matrix", "block")
    assert parameters("rank.search:rank_layers")["task"].choices == ()


def test_what_none_means_is_apart():
    stream = parameters("rank.search:rank_layers")["stream"]
    assert stream.help == "Read weights block by block from the checkpoints."
    assert stream.unset == "where they would not fit"


def test_a_section_ends_where_the_next_begins():
    text = "Draw.\n\nArgs:\n    n: Samples: many.\n\nReturns:\n    x: No argument.\n"
    assert explanations(text) == {"n": "Samples: many."}
    assert explanations("Draw.") == {}


def test_what_is_not_there_is_an_error():
    with pytest.raises(LookupError, match="nothing"):
        parameters("rank.search:nothing")
