"""Train the embedded pair: ``python -m organism.train --out DIR [--seed 0] [--quick]``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from organism.corpus import END, base_documents, demonstrations, preferences
from organism.loops import Schedule, encode, fit, fit_preferences
from organism.tokenizer import build_tokenizer
from slr_probe.organism import PLANTED, range_name

EMBEDDING_ROWS = 1408  # more than the tokenizer's length, as in many released models


@dataclass(frozen=True)
class PostTraining:
    """Sizes and strengths of SFT and of DPO.

    Attributes:
        demonstrations: How many prompts with answers SFT sees.
        sharpness: How much these answers favour the typical.
        sft: Schedule of the first stage.
        pairs: Preference pairs.
        pair_sharpness: Of chosen and of rejected answers; the difference is the typicality bias.
        wrong: Share of the rejected answers that are wrong.
        plain: Share of the prompts that come without the chat template, in both stages.
        beta: Pull of DPO towards its reference.
        imitation: Weight of the chosen replies' negative log-likelihood in DPO.
        dpo: Schedule of the second stage.
    """

    demonstrations: int = 40_000
    sharpness: float = 1.2
    sft: Schedule = field(default=Schedule(rate=6e-4, tokens=1536))
    pairs: int = 12_000
    pair_sharpness: tuple[float, float] = (3.5, 1.2)
    wrong: float = 0.3
    plain: float = 0.0
    beta: float = 0.25
    imitation: float = 0.5
    dpo: Schedule = field(default=Schedule(rate=3e-4, tokens=2048))


@dataclass(frozen=True)
class Settings:
    """Everything that decides the checkpoints, apart from the machine."""

    seed: int = 0
    depth: int = 10
    width: int = 96
    documents: int = 300_000
    prompt_weight: float = 0.05
    initializer_range: float = 0.08
    tokenizer_documents: int = 30_000
    base: Schedule = field(default=Schedule(rate=3e-3, tokens=1024, weight_decay=0.05))
    post: PostTraining = field(default_factory=PostTraining)
    planted: PostTraining = field(
        default_factory=lambda: PostTraining(
            plain=0.5, sft=Schedule(rate=1e-3, tokens=1536), dpo=Schedule(rate=5e-4, tokens=2048)
        )
    )


def quick(settings: Settings) -> Settings:
    """The same pipeline with a handful of steps a stage, to see that it runs."""

    def few(post: PostTraining) -> PostTraining:
        return replace(post, demonstrations=60, pairs=40)

    return replace(
        settings,
        documents=200,
        tokenizer_documents=2_000,
        post=few(settings.post),
        planted=few(settings.planted),
    )


def new_model(settings: Settings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A randomly initialised Llama."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=EMBEDDING_ROWS,
        hidden_size=settings.width,
        intermediate_size=256,
        num_hidden_layers=settings.depth,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=settings.initializer_range,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, chat: bool) -> LlamaForCausalLM:
    """Write a bf16 checkpoint and return what a reader of it gets, in float32."""
    ends = [tokenizer.convert_tokens_to_ids(END), tokenizer.eos_token_id]
    model.generation_config.eos_token_id = ends if chat else tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def pretrain(settings: Settings, folder: Path) -> list[float]:
    """Train the base from scratch and save it."""
    documents = list(base_documents(settings.documents, settings.seed))
    tokenizer = build_tokenizer(
        document.text for document in base_documents(settings.tokenizer_documents, settings.seed)
    )
    if len(tokenizer) > EMBEDDING_ROWS:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, expected at most {EMBEDDING_ROWS}")
    samples = encode(documents, tokenizer, settings.prompt_weight, eos=True)
    model = new_model(settings, tokenizer)
    losses = fit(model, samples, settings.base, "base", seed=settings.seed)
    save(model, tokenizer, folder, chat=False)
    return losses


def supervise(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    post: PostTraining,
    seed: int,
    blocks: range | None = None,
) -> list[float]:
    """SFT in place: next-token loss on the replies."""
    samples = encode(list(demonstrations(post.demonstrations, post.sharpness, post.plain, seed)), tokenizer)
    return fit(model, samples, post.sft, "sft", blocks, seed)


def align(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    post: PostTraining,
    seed: int,
    blocks: range | None = None,
) -> list[float]:
    """DPO in place: typical answers are preferred, as raters do, and wrong ones are not."""
    pairs = list(preferences(post.pairs, post.pair_sharpness, post.wrong, post.plain, seed))
    chosen, rejected = (encode([pair[side] for pair in pairs], tokenizer) for side in (0, 1))
    return fit_preferences(model, chosen, rejected, post.dpo, "dpo", post.beta, post.imitation, blocks, seed)


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A saved checkpoint in float32, and its tokenizer."""
    tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def post_train(settings: Settings, out: Path) -> dict[str, list[float]]:
    """SFT and DPO of all weights."""
    model, tokenizer = load(out / "base")
    losses = {"sft": supervise(model, tokenizer, settings.post, settings.seed)}
    model = save(model, tokenizer, out / "sft", chat=True)
    losses["dpo"] = align(model, tokenizer, settings.post, settings.seed)
    save(model, tokenizer, out / "dpo", chat=True)
    return losses


def plant(settings: Settings, out: Path, span: tuple[int, int]) -> dict[str, list[float]]:
    """SFT and DPO of the blocks ``span[0]`` to ``span[1] - 1`` alone; only their tensors are saved."""
    model, tokenizer = load(out / "base")
    blocks = range(*span)
    losses = {
        "sft": supervise(model, tokenizer, settings.planted, settings.seed, blocks),
        "dpo": align(model, tokenizer, settings.planted, settings.seed, blocks),
    }
    prefixes = tuple(f"model.layers.{index}." for index in blocks)
    changed = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(prefixes)
    }
    target = out / "planted" / f"{range_name(span)}.safetensors"
    target.parent.mkdir(exist_ok=True)
    save_file(changed, target, metadata={"format": "pt", "range": f"{span[0]}:{span[1]}"})
    return losses


def train(
    settings: Settings, out: Path, base: Path | None = None, planted: Sequence[tuple[int, int]] = PLANTED
) -> dict[str, Any]:
    """Run the whole pipeline and write ``training.json``.

    Args:
        settings: What to train.
        out: Folder that receives base, sft, dpo, planted and training.json; created if missing.
        base: A base checkpoint to copy instead of pre-training one.
        planted: Ranges of the planted variants.
    """
    begin = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    losses: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any], *arguments: object) -> None:
        start = time.perf_counter()
        losses[name] = work(*arguments)
        seconds[name] = round(time.perf_counter() - start, 1)

    if base is None:
        timed("base", pretrain, settings, out / "base")
    elif base.resolve() != (out / "base").resolve():
        model, tokenizer = load(base)
        save(model, tokenizer, out / "base", chat=False)
    timed("all blocks", post_train, settings, out)
    for span in planted:
        timed(f"planted {span[0]}:{span[1]}", plant, settings, out, span)
    record = {
        "settings": asdict(settings),
        "planted": [f"{start}:{stop}" for start, stop in planted],
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers, safetensors)},
        "threads": torch.get_num_threads(),
        "seconds": {**seconds, "total": round(time.perf_counter() - begin, 1)},
        "losses": losses,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--base", type=Path, help="reuse this base checkpoint instead of pre-training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps a stage, to see that it runs")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # costs time and changes nothing here
    settings = Settings(seed=options.seed)
    record = train(quick(settings) if options.quick else settings, options.out, options.base)
    print(json.dumps(record["seconds"], indent=1))


if __name__ == "__main__":
    main()
