"""Tokenizers that differ in where they split off a space."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = ["red", "Red", " red", " Red", "blue", " blue", "Answer", "Question"]


def subword_tokenizer(kind, template=None, words=WORDS):
    """Whole words in one token; "gpt2" keeps " 7" as one, "llama3" splits off its space, "metaspace" writes it as ▁."""
    words = list(words)
    if kind == "gpt2":
        words += [f" {digit}" for digit in range(10)]
        pieces = r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s"
    else:
        pieces = r" ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]|\s"
    characters = [chr(i) for i in range(33, 127)] + [" ", "\n"]
    tokens = ["<unk>", *dict.fromkeys(characters + words)]
    if kind == "metaspace":
        tokens = [token.replace(" ", "▁") for token in tokens]
    merges: list[tuple[str, str]] = []
    core = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), "isolated")
    if kind == "metaspace":
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [core.pre_tokenizer, pre_tokenizers.Metaspace(prepend_scheme="never", split=False)]
        )
        core.decoder = decoders.Metaspace(prepend_scheme="never", split=False)
    else:
        core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    tokenizer.chat_template = template
    return tokenizer
