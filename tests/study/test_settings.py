import pytest

from slr_probe.errors import StudyError
from slr_probe.study.settings import Settings


def test_a_file_overrules_the_preset_that_it_names():
    found = Settings.from_dict({"preset": "quick", "rank": {"prompts": 7}})
    assert found.rank.prompts == 7
    assert found.validate == Settings.preset("quick").validate
    assert found != Settings.from_dict({"rank": {"prompts": 7}})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"rnak": {}}, "unknown table [rnak]"),
        ({"rank": {"flor": 0.9}}, "unknown setting 'flor' in [rank]; allowed: task, prompts, floor"),
        ({"rank": {"floor": "0.9"}}, "rank.floor must be a number; got '0.9'"),
        ({"rank": {"floor": 1.5}}, "rank.floor must lie above 0 and not above 1; got 1.5"),
        ({"rank": {"prompts": 2.5}}, "rank.prompts must be a whole number; got 2.5"),
        ({"rank": {"prompts": True}}, "rank.prompts must be a whole number; got True"),
        ({"rank": {"prompts": -1}}, "rank.prompts must be from 0 to 1000000; got -1"),
        ({"rank": {"guards": 1}}, "rank.guards must be true or false; got 1"),
        ({"rank": {"soups": True}}, "rank.soups must be a whole number; got True"),
        ({"rank": 3}, "[rank] must be a table"),
        ({"patching": {"components": "mlp"}}, "patching.components must be a list; got 'mlp'"),
        ({"patching": {"components": ["mpl"]}}, "patching.components must be one of 'resid', 'attn', 'mlp'; got 'mpl'"),
        ({"patching": {"components": []}}, "patching.components must not be empty"),
        ({"common": {"dtype": "int8"}}, "common.dtype must be one of"),
        ({"common": {"level": 1.0}}, "common.level must lie between 0 and 1"),
        ({"preset": "fast"}, "unknown preset 'fast'; expected one of quick, standard, full, demo, local"),
    ],
)
def test_wrong_settings_are_named(data, said):
    with pytest.raises(StudyError) as error:
        Settings.from_dict(data)
    assert said in str(error.value)
