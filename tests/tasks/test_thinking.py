import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import strip_thinking


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("x <think>a</think> y <think>b</think> z", "x  y  z"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("<think>never closed", ""),
        ("said <think>never closed", "said"),
        ("never opened</think>said", "said"),
        ("a</think>b<think>c</think>d", "bd"),
        ("<think></think>", ""),
        ("", ""),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_thinking_is_stripped(text, expected):
    assert strip_thinking(text) == expected


def test_thinking_tags_are_configurable():
    assert strip_thinking("[r]6 x 7[/r] 42 <think>", ("[r]", "[/r]")) == "42 <think>"
    for tags in (("", "x"), ("x", "x")):
        with pytest.raises(TaskError, match="two different texts"):
            strip_thinking("a", tags)
