"""The organism's tokenizer: byte-level and lossless, with every one-token answer in the vocabulary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from organism.corpus import ASSISTANT, BOS, END, EOS, PAD, SYSTEM, USER
from slr_probe.tasks.tiny import lexicon as lex

SPECIAL = (PAD, BOS, EOS, USER, ASSISTANT, SYSTEM, END)
VOCABULARY = 1400
MERGES = 64
# Words and numbers with their leading space; every other character alone, so that "#." is "#" and ".".
PIECES = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]|\s+(?!\S)|\s+"
# Contains BOS, as most released templates do: encoding rendered text with special tokens gives two of them.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|> ' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def answer_words() -> list[str]:
    """Every text that must be one token, with and without a leading space."""
    proper = {word for words in lex.WORD_SETS.values() for word in words}
    common = {word for word in proper | set(lex.NUMBER_ORDER) if word.islower()}
    texts = proper | common | {word.capitalize() for word in common}
    texts |= set(lex.LETTERS) | set(lex.LETTERS.lower()) | set(lex.SYMBOLS)
    texts |= {str(number) for number in range(21)}
    return [prefix + text for text in sorted(texts) for prefix in ("", " ")]


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Construct the tokenizer from a sample of the corpus.

    Whole words that the corpus uses often enter the vocabulary directly (``ignore_merges``); a few merges and
    the 256 bytes cover everything else, so any text survives a round trip.
    """
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    vocabulary, merges = _subwords(counts)
    answers = [splitter.pre_tokenize_str(word)[0][0] for word in answer_words()]
    frequent = [piece for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    for piece in answers + frequent:
        if len(vocabulary) < VOCABULARY:
            vocabulary.setdefault(piece, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    bos_id = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos_id)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )


def _subwords(counts: Counter[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Special tokens, bytes and a few merges learned from the counted words."""
    learner = Tokenizer(models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIAL) + len(alphabet) + MERGES,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    # Types, not tokens: the merges serve words that are not in the vocabulary.
    learner.train_from_iterator([word for word in sorted(counts) if counts[word] > 2], trainer)
    learned = _model_of(learner)
    return dict(sorted(learned["vocab"].items(), key=lambda item: item[1])), [tuple(m) for m in learned["merges"]]


def _model_of(tokenizer: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model
