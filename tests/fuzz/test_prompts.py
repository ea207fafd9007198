"""Chat templates and messages."""

from __future__ import annotations

from hypothesis import given

from slr_probe.pair.prompts import PromptRenderer
from slr_probe.pair.prompts.chat import opening
from slr_probe.pair.prompts.template import Template
from tests.fuzz.strategies import BOUNDED, pieces, plain_data
from tests.fuzz.test_texts import none_or_error
from tests.tiny_tokenizer import make_tokenizer

TOKENIZER = make_tokenizer()
TEMPLATES = pieces(
    *("{% for m in messages %}", "{% endfor %}", "{{ m.content }}", "{{ m['role'] }}", "{{ bos_token }}", "{% if "),
    *(
        "add_generation_prompt",
        " %}",
        "{% endif %}",
        "{{",
        "}}",
        "messages",
        "|length",
        "* 10**9",
        "'a'",
        ".ljust(",
        ")",
    ),
    *(
        "<think>",
        "</think>",
        "raise_exception(",
        "namespace(x=1)",
        "{% set ",
        "range(9)",
        "~",
        "\n",
        "<turn>",
        "strftime_now(",
    ),
)


@BOUNDED
@given(TEMPLATES)
def test_a_template_gives_a_prompt_with_its_words_or_is_refused(text):
    TOKENIZER.chat_template = text or None
    ids = none_or_error(PromptRenderer.of(TOKENIZER), "Pick a letter.")
    if ids is not None:
        assert "Pick a letter." in TOKENIZER.decode(ids)
    template = none_or_error(Template.of, TOKENIZER)
    if template is not None:
        opening(template)


@BOUNDED
@given(plain_data)
def test_prompts_that_are_none_are_refused(data):
    TOKENIZER.chat_template = make_tokenizer().chat_template
    for prompt in (data, [data], [{"role": "user", "content": data}], [{"role": data, "content": "Hi"}]):
        for format in ("chat", "plain"):
            none_or_error(PromptRenderer.of(TOKENIZER), prompt, format)
