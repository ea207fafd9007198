"""Settings in TOML, single settings, recipes, sampling, ranges and sizes."""

from __future__ import annotations

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from slr_probe.block_weight import BlockWeight
from slr_probe.forward.budget import parse_bytes
from slr_probe.generation import Sampling
from slr_probe.layers import LayerRange
from slr_probe.recipe import Recipe
from slr_probe.study.settings import PRESETS, Settings
from slr_probe.study.toml import read_change, read_toml
from tests.fuzz.strategies import BOUNDED, pieces, plain_data, wrong
from tests.fuzz.test_texts import none_or_error

RECIPE = Recipe.restore("1:3", 6, only="mlp").to_dict()
TABLES = Settings().to_dict()
NAMES = [f"{table}.{key}" for table, keys in TABLES.items() for key in keys]
TOML = pieces(
    "[rank]", "\n", "floor", " = ", "0.9", "[", "]", "{", "}", '"', "'", "preset", "1e999", "9" * 5000, "[" * 300
)


@BOUNDED
@given(TOML | st.text(max_size=60))
def test_settings_files_are_read_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("fuzz") / "s.toml"
    file.write_text(text, encoding="utf-8", errors="replace")
    data = none_or_error(read_toml, file)
    if data is not None:
        none_or_error(Settings.from_dict, data)


@BOUNDED
@given(st.sampled_from(NAMES), plain_data.map(json.dumps) | TOML)
def test_single_settings_are_taken_or_refused(name, value):
    change = none_or_error(read_change, f"{name}={value}")
    if change is not None:
        none_or_error(Settings().override, change)


@BOUNDED
@given(wrong(TABLES, list(TABLES)) | plain_data)
def test_settings_are_what_they_should_be_or_refused(data):
    found = none_or_error(Settings.from_dict, data if isinstance(data, dict) else {"rank": data})
    assert found is None or Settings.from_dict(found.to_dict()) == found


@BOUNDED
@given(wrong(RECIPE, [*RECIPE, "more"]) | plain_data, plain_data)
def test_recipes_are_read_or_refused(data, value):
    found = none_or_error(Recipe.from_json, json.dumps(data))
    assert found is None or Recipe.from_json(found.to_json()) == found
    none_or_error(Recipe.from_dict, {**RECIPE, "blocks": [{"blocks": value, "tuned_share": value, "overrides": value}]})
    none_or_error(BlockWeight, value)


@BOUNDED
@given(st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Sampling)]), plain_data, max_size=3))
def test_sampling_is_taken_or_refused(data):
    found = none_or_error(Sampling.from_dict, data)
    assert found is None or Sampling.from_dict(found.to_dict()) == found


@BOUNDED
@given(pieces("8", ":", "14", "-", "..", " ", "9" * 5000, "GB", "1.5", "MiB") | st.text(max_size=12))
def test_ranges_and_sizes_are_read_or_refused(text):
    none_or_error(lambda: LayerRange(text).within(6))
    none_or_error(parse_bytes, text)


def test_every_preset_is_taken():
    for name in PRESETS:
        assert Settings.from_dict({"preset": name}).to_dict()
