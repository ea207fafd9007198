import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import strip_thinking
from slr_probe.tasks.thinking import own_part, strip_reasoning


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


HEADINGS = ["Question:", "Q:", "Q2:", "Question 2:", "**Question:**", "### Question", "## Problem 3.", "Problem: "]
MARKERS = ["Instruction:", "User:", "Human:", "<|user|>", "<|im_start|>user", "<start_of_turn>user", "[INST]"]


@pytest.mark.parametrize("heading", [*HEADINGS, *MARKERS])
def test_what_follows_a_made_up_question_is_not_the_reply(heading):
    assert own_part(f"Pluto\n\n{heading} Name a planet.\nMars") == "Pluto"


@pytest.mark.parametrize("lead_in", ["", "Sure!", "Of course.", "Here is the solution.\n", "**Solution**"])
def test_a_question_that_is_restated_belongs_to_the_reply(lead_in):
    text = f"{lead_in}\nQuestion: Name a planet.\nAnswer: Mars"
    assert own_part(text) == text
    assert own_part(f"{text}\nQuestion: Name a star.\nAnswer: Sun") == text


@pytest.mark.parametrize("text", ["Quit: no.", "Questions remain:\nnone", "The user: me", "1. Q and A", "a\n> b\n- c"])
def test_ordinary_lines_are_no_question(text):
    assert own_part(f"Pluto\n{text}") == f"Pluto\n{text}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[THINK]a[/THINK]b", "b"),
        ("<analysis>a</analysis>b", "b"),
        ("<Analysis>a", ""),
        ("[Analysis] The poem rhymes.", "[Analysis] The poem rhymes."),
        ("analysisWe need a number.assistantfinal42", "42"),
        ("analysis of the poem: it rhymes", "analysis of the poem: it rhymes"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        ("<|channel|>commentary<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        ("Here's my thought process: a\n\nHere's my response: b", "b"),
        ("Here is my thought process: cut", ""),
        ("**Thinking:**\na\n\n**Final Answer:** b", "b"),
        ("### Reasoning process\na\n### Response\nb", "b"),
        ("Thinking is hard.\n## Answer\nb", "Thinking is hard.\n## Answer\nb"),
        ("<|begin_of_reasoning|>a<|end_of_reasoning|>b", "b"),
        ("\n<|thinking|>never closed", ""),
        ("<THINK>a</THINK>\nb", "b"),
        ("<unused94>thought\na<unused95>b", "b"),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "b"),
        ("[A reflection] It rained.", "[A reflection] It rained."),
        ("She wrote <thoughtful> on it.", "She wrote <thoughtful> on it."),
    ],
)
def test_reasoning_of_any_marks_is_no_part_of_a_reply(text, expected):
    assert strip_reasoning(text) == expected
    assert strip_reasoning(text, ()) == text
