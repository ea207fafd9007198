"""Settings of the engine: typed, and refused where they are unknown or decided elsewhere."""

from dataclasses import dataclass

import pytest

from slr_probe.errors import GenerationError
from slr_probe.generation.vllm.settings import check_settings, decisive, read_settings


@dataclass
class Known:
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    enforce_eager: bool = False
    load_format: str = "auto"
    max_model_len: int | None = None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("tensor_parallel_size=2", 2),
        ("gpu_memory_utilization=0.5", 0.5),
        ("enforce-eager=True", True),
        ("load_format=auto", "auto"),
        ('hf_overrides={"a": 1}', {"a": 1}),
        ("max_model_len=null", None),
    ],
)
def test_values_are_typed(text, value):
    name = text.partition("=")[0].replace("-", "_")
    found = read_settings([text])
    assert found == {name: value}
    assert type(found[name]) is type(value)
    assert read_settings({name: value}) == found


@pytest.mark.parametrize("given", [["tensor_parallel_size"], ["=2"], ["a="], ["a=1", "a=2"], ["model=x"], {1: 2}, "x"])
def test_what_is_no_setting_is_refused(given):
    with pytest.raises(GenerationError):
        read_settings(given)


def test_settings_are_those_that_vllm_has():
    check_settings({"tensor_parallel_size": 2, "gpu_memory_utilization": 1, "max_model_len": 5}, Known)
    with pytest.raises(GenerationError, match="did you mean 'tensor_parallel_size'"):
        check_settings({"tensor_parallel": 2}, Known)
    for wrong in ({"tensor_parallel_size": "two"}, {"enforce_eager": 1}, {"tensor_parallel_size": True}):
        with pytest.raises(GenerationError, match="must be"):
            check_settings(wrong, Known)
    check_settings({"anything": 1}, None)


def test_settings_that_make_room_decide_nothing():
    assert decisive({"max_model_len": 9, "gpu_memory_utilization": 0.5, "kv_cache_dtype": "fp8"}) == {
        "kv_cache_dtype": "fp8"
    }
