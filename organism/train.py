"""Train the embedded pairs: ``python -m organism.train --out DIR [--only local] [--seed 0] [--quick]``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from organism.corpus import END, base_documents, demonstrations, preferences
from organism.loops import encode, fit, fit_preferences
from organism.settings import PostTraining, Settings, quick
from organism.tokenizer import build_tokenizer
from slr_probe.organism import BAND, PLANTED, range_name
from slr_probe.organism.difference import write_difference

EMBEDDING_ROWS = 1408  # more than the tokenizer's length, as in many released models


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
    pairs = list(preferences(post.pairs, post.pair_sharpness, post.wrong, post.plain, seed, post.mix))
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
    keep(load_file(out / "sft" / "model.safetensors"), out, "sft")
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
        name: tensor.detach().to(torch.bfloat16)
        for name, tensor in model.state_dict().items()
        if name.startswith(prefixes)
    }
    keep(changed, out, f"planted/{range_name(span)}")
    return losses


def keep(changed: dict[str, torch.Tensor], out: Path, name: str) -> None:
    """Write tensors as the package keeps them: as differences from base."""
    target = out / f"{name}.npz"
    target.parent.mkdir(exist_ok=True)
    write_difference(target, load_file(out / "base" / "model.safetensors"), changed)


def localise(settings: Settings, out: Path, span: tuple[int, int] = BAND) -> dict[str, list[float]]:
    """SFT of all weights on answers as diverse as base's, then two rounds of DPO of the blocks of ``span`` alone.

    A checkpoint of an earlier stage that is there already, of a call that was cut short, is taken as it is.
    """
    first, again, seed = settings.local, settings.again, settings.seed
    stages: dict[str, Callable[[LlamaForCausalLM, PreTrainedTokenizerFast], list[float]]] = {
        "local-sft": lambda model, tokenizer: supervise(model, tokenizer, first, seed),
        "local-dpo": lambda model, tokenizer: align(model, tokenizer, first, seed, range(*span)),
        "local": lambda model, tokenizer: align(model, tokenizer, again, seed + 1, range(*span)),
    }
    losses, before = {}, "base"
    for name, stage in stages.items():
        if not (out / name / "model.safetensors").is_file():
            model, tokenizer = load(out / before)
            losses[name] = stage(model, tokenizer)
            save(model, tokenizer, out / name, chat=True)
        before = name
    keep(load_file(out / "local" / "model.safetensors"), out, "local")
    return losses


def train(
    settings: Settings,
    out: Path,
    base: Path | None = None,
    planted: Sequence[tuple[int, int]] = PLANTED,
    only: str = "",
) -> dict[str, Any]:
    """Run the whole pipeline and write ``training.json``.

    Args:
        settings: What to train.
        out: Folder that receives base, sft, dpo, planted, local and training.json; created if missing.
        base: A base checkpoint to copy instead of pre-training one.
        planted: Ranges of the planted variants.
        only: "natural", "planted" or "local": post-train this alone.
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
    if only in ("", "natural"):
        timed("all blocks", post_train, settings, out)
    for span in planted if only in ("", "planted") else ():
        timed(f"planted {span[0]}:{span[1]}", plant, settings, out, span)
    if only in ("", "local"):
        timed(f"local {BAND[0]}:{BAND[1]}", localise, settings, out)
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
    parser.add_argument("--only", choices=("natural", "planted", "local"), default="", help="post-train this alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps a stage, to see that it runs")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # costs time and changes nothing here
    settings = Settings(seed=options.seed)
    record = train(quick(settings) if options.quick else settings, options.out, options.base, only=options.only)
    print(json.dumps(record["seconds"], indent=1))


if __name__ == "__main__":
    main()
