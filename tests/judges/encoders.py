"""Tiny random encoders and classifiers, written to disk without a network."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *"the a sun moon sea sets rises is not red blue cat dog sings . ! ?".split(),
]
CONFIG = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "initializer_range": 0.4,
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, wrapped as BERT wraps a text or a pair of texts."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=24, model_input_names=inputs, **names)


def write_encoder(
    folder: Path,
    pool: str | None = "mean",
    *,
    extra: str | None = None,
    normalize: bool = True,
    lower: bool = False,
    prompt: str = "",
) -> Path:
    """A sentence encoder in the form of sentence-transformers; `pool=None` writes no modules.json."""
    torch.manual_seed(0)
    BertModel(BertConfig(**CONFIG)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if pool is not None:
        kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else []), *([extra] if extra else [])]
        paths = ["", "1_Pooling", "2_Normalize", "3_More"]
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "2_Normalize").mkdir()
        pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": pool == "cls"}
        pooling |= {"pooling_mode_mean_tokens": pool == "mean", "pooling_mode_max_tokens": pool == "max"}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12, "do_lower_case": lower}))
        prompts = {"prompts": {"q": prompt}, "default_prompt_name": "q"} if prompt else {}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def write_classifier(folder: Path, labels: tuple[str, ...] | None = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")) -> Path:
    """A random NLI model; without labels, transformers names its outputs LABEL_0 and so on."""
    torch.manual_seed(1)
    named = (
        {}
        if labels is None
        else {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    )
    model = BertForSequenceClassification(BertConfig(**CONFIG, num_labels=3, **named))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
