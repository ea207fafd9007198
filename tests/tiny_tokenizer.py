"""A tiny character tokenizer in Hugging Face format, with and without BOS and chat template."""

from __future__ import annotations

import string
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<turn>", "<end>")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


def make_tokenizer(*, bos: bool = True, template: str | None = TEMPLATE, extra: tuple[str, ...] = ()) -> Any:
    """A tokenizer of one token a character.

    Args:
        bos: Whether it has a BOS token and puts one in front of every text.
        template: Chat template; the default one writes `bos_token` itself, as most released ones do.
        extra: Tokens added at the end of the vocabulary.
    """
    characters = string.ascii_letters + string.digits + " \n.,:;?!'-+*/="
    vocab = {token: i for i, token in enumerate([*SPECIAL, *characters])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
        names["bos_token"] = "<bos>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **names)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>", "<end>"]})
    if extra:
        tokenizer.add_tokens(list(extra))
    tokenizer.chat_template = template
    return tokenizer
