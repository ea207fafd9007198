from __future__ import annotations

import os
import time
from typing import Any

import pytest

from slr_probe.errors import PromptError
from slr_probe.pair.prompts import PromptRenderer
from slr_probe.pair.prompts import template as rooms
from slr_probe.pair.prompts.template import Template
from tests.tiny_tokenizer import TEMPLATE, make_tokenizer

LLAMA_3_1 = "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
LLAMA_3_2 = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{%- endif %}"
)
MESSAGES = [
    {"role": "user", "content": 'Hi <&> "there" é 🙂'},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Pick a letter."},
]
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


def rendered(text: str, messages: Any = MESSAGES, *, open_turn: bool = True, **names: Any) -> str:
    template = Template.of(make_tokenizer(template=text, **names))
    assert template is not None
    return template(messages, open_turn=open_turn)


@pytest.mark.parametrize("open_turn", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        TEMPLATE,
        "{%- for m in messages -%}\n  {%- generation %}{{ m.content | trim }}{% endgeneration %}\n{%- endfor %}\n",
        "{{ messages | tojson(indent=2) }}{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token }}",
        "{% set n = namespace(self=1, last='') %}{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
        "{% set n.last = n.last + m['content'] %}{% endfor %}{{ n.last }}{{ n.self }}",
        "{{ dict(a=1) }}{{ dict.fromkeys(['x'], 2) }}{{ tools is none }}{{ documents }}{{ undefined }}",
        "{% macro say(m) %}{{ m.role }}: {{ m.content }}{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
        "{% for m in messages %}{% if m.role == 'assistant' %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
        "   {% if add_generation_prompt %}\n  yes {%- else %}\n no\n{% endif %}\n",
    ],
)
def test_a_template_renders_as_in_transformers(text: str, open_turn: bool) -> None:
    tokenizer = make_tokenizer(template=text)
    theirs = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=open_turn)
    assert rendered(text, open_turn=open_turn) == theirs


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (LLAMA_3_1 + "{{ date_string }}", "26 Jul 2024"),
        (LLAMA_3_2 + "{{ date_string }}", "26 Jul 2024"),
        ("{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}", "2024-07-26 00:00:00.000000"),
        ("{% macro day(f) %}{{ strftime_now(f) }}{% endmacro %}{{ day('%-d. %B, %A') }}", "26. July, Friday"),
        ("{% for m in messages[:1] %}{{ strftime_now(format='%d')|int + 1 }}{% endfor %}", "27"),
        ("\n  {%- if messages %}\n{{ strftime_now('%y') }}\n {% endif %}", "24\n"),
    ],
)
def test_a_template_that_asks_for_the_date_is_told_one_day(text: str, date: str) -> None:
    assert rendered(text) == date


def test_a_tokenizer_with_code_of_its_own_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer()
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        type(tokenizer), "apply_chat_template", lambda self, *_, **options: asked.append(options) or "text"
    )
    template = Template.of(tokenizer)
    assert template is not None
    assert template(MESSAGES, open_turn=False) == "text"
    assert asked == [{"tokenize": False, "add_generation_prompt": False}]


def test_the_template_named_default_is_taken() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"default": "{{ strftime_now('%Y') }}", "tool_use": "tools"}
    template = Template.of(tokenizer)
    assert template is not None
    assert template(MESSAGES, open_turn=True) == "2024"
    tokenizer.chat_template = {}
    assert Template.of(tokenizer) is None


def test_named_templates_without_a_default_are_named() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"rag": "x", "tool_use": "y"}
    with pytest.raises(PromptError, match=r"'rag', 'tool_use' and none called 'default'; choose one"):
        PromptRenderer.of(tokenizer)("Hi")
    tokenizer.chat_template = ["x"]
    with pytest.raises(PromptError, match="must be text; the tokenizer's is list"):
        PromptRenderer.of(tokenizer)("Hi", "chat")


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a'.ljust(10**9) }}",
        "{{ 'a' * 10**9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a' | center(10**9) }}",
        "{{ ([1] * 10**9) | length }}",
        "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
        "{{ messages[0].content + 1 }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__ }}{{ ''.__class__() }}",
        "{{ messages.append(1) }}",
        "{% include '/etc/passwd' %}",
        "{% if %}",
        "{% break %}",
        "{{ namespace(_x=1) }}",
        "{{ raise_exception('no \x1b[2J') }}",
        "{{ 'x' * 2000000 }}",
    ],
)
def test_whatever_a_template_does_it_is_one_error_and_soon(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(PromptError, match=r"the chat template refuses the prompt \(") as caught:
        rendered(text)
    assert time.perf_counter() - began < rooms.SECONDS
    assert str(caught.value).isprintable()
    assert rendered(TEMPLATE)


def test_a_template_without_end_is_stopped_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SECONDS", 0.3)
    assert rendered(TEMPLATE)
    with pytest.raises(PromptError, match=r"it ran for more than 0.3 s, or out of memory, and was stopped"):
        rendered(ENDLESS)
    monkeypatch.undo()
    assert rendered(TEMPLATE)
    began = time.perf_counter()
    with pytest.raises(PromptError, match="was stopped"):  # it is known by now, and not tried again
        PromptRenderer.of(make_tokenizer(template=ENDLESS))("Hi")
    assert time.perf_counter() - began < 1


def test_a_process_that_died_is_started_again() -> None:
    assert rendered(TEMPLATE)
    child = rooms._PROCESS.child
    assert child is not None
    os.kill(child.pid, 9)
    child.wait()
    assert rendered(TEMPLATE)


def test_half_a_surrogate_pair_comes_through() -> None:
    assert rendered("{{ messages[0].content }}", [{"role": "user", "content": "\ud800"}]) == "\ud800"


def test_messages_that_are_no_plain_data_are_refused() -> None:
    with pytest.raises(PromptError, match="no plain data"):
        rendered(TEMPLATE, [{"role": "user", "content": object()}])
