"""Is slr_probe right and fast on this GPU? One command, no checkpoints, one table.

    python benchmarks/gpu.py [--parts exact,copies,sweep,replies,write,lens] [--shape 8b|1b|tiny] [--json FILE]

exact    Tiny random pairs of six families: the sweep on the device against the sweep on the processor and against
         module swap + forward on the device, in float32.
copies   How often a sweep of one of them waits for the device, by line of code: each wait leaves the device idle.
sweep    Every contiguous range of a random pair built on the device, in bfloat16, on 40 prompts in two sets that each
         share their beginning, against module swap + forward of one padded batch (on some ranges, scaled).
replies  The same sweep with 24 replies of 48 tokens beside the questions, each read at its last and first tokens.
write    Text written by slr_probe against `generate` of transformers.
lens     Logit lens and activation patching of the same pair.

The last lines are one table. Rates are shares of the best rate that one large matrix product reaches here, measured in
the same run: for sweeps by the products that they need, for the rest by the products that they ran.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import statistics
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import LayerRange, ModelPair, restored
from slr_probe.generation import Sampling
from slr_probe.generation.decode import Request, write
from slr_probe.sweep import SweepResult, sweep
from slr_probe.tasks import Replies, Reply
from slr_probe.tasks.answers import Query

FAMILIES = ("llama", "qwen2", "qwen3", "gemma3_text", "olmo2", "mistral")
TINY = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
}
SHAPES = {  # of Llama 3.1 8B, Llama 3.2 1B, and one for a processor
    "8b": ("llama", 128_256, 4096, 14336, 32, 32, 8, 128),
    "1b": ("llama", 128_256, 2048, 8192, 16, 32, 8, 64),
    "tiny": ("llama", 1000, 128, 256, 6, 4, 2, 32),
}
END = 3
_ATTENTION = (
    torch.ops.aten._scaled_dot_product_flash_attention,
    torch.ops.aten._scaled_dot_product_efficient_attention,
    torch.ops.aten._scaled_dot_product_cudnn_attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
)
Timed = dict[str, Any]
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="exact,copies,sweep,replies,write,lens")
    parser.add_argument("--shape", default="8b", choices=list(SHAPES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--memory", default="24GB", help="what a sweep may use beside the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = torch.device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"{name}, torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "shape": args.shape}
    pair: ModelPair | None = None
    for part in args.parts.split(","):
        if part in _LARGE and pair is None:
            pair = large_pair(args.shape, device)
            found["rate"] = matmul_rate(pair)
            print(f"\nbfloat16 matrix product: {found['rate'] / 1e12:.1f} TFLOP/s", flush=True)
        try:
            found[part] = _LARGE[part](pair, args, found["rate"]) if part in _LARGE else _SMALL[part](device)
        except Exception:  # the other parts are wanted all the same
            traceback.print_exc()
            found[part] = traceback.format_exc()
        if args.json:
            args.json.write_text(json.dumps(found, indent=1))
    print(table(found))


def table(found: dict[str, Any]) -> str:
    """What was timed, a line each."""
    lines = [
        f"\n| {found['device']}, {found['shape']} | first s | median s | share of the matrix rate |",
        "| --- | ---: | ---: | ---: |",
    ]
    for part in ("sweep", "replies", "write", "lens"):
        rows = found.get(part, {})
        named = {part: rows} if "share_of_matrix_rate" in rows else rows
        if isinstance(named, dict):  # else what went wrong
            lines += [
                f"| {name} | {one['first']:.3f} | {statistics.median(one['seconds']):.3f} "
                f"| {one['share_of_matrix_rate']:.3f} |"
                for name, one in named.items()
            ]
    return "\n".join(lines)


# -- is it right --------------------------------------------------------------------------------------------------


def exact(device: torch.device) -> dict[str, Any]:
    """Largest differences of log-probabilities of answers, family by family."""
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"\n{'family':14}{'on processor':>14}{'swap + forward':>16}   largest difference of log-probabilities")
    rows = {}
    for family in FAMILIES:
        queries, here = questions(12, 400), tiny_pair(family, device)
        ours, theirs = (sweep(pair, None, queries, progress=False) for pair in (tiny_pair(family, CPU), here))
        plain = naive(here, LayerRange.all(5), queries).cpu()
        tokens = torch.tensor([answer[0] for answer in queries[0].answers])
        rows[family] = {
            "method": theirs.settings["method"],
            "processor": float(abs(ours.answer_logprobs - theirs.answer_logprobs).max()),
            "naive": float((torch.from_numpy(theirs.answer_logprobs[1:]) - plain[..., tokens]).abs().max()),
        }
        print(f"{family:14}{rows[family]['processor']:14.1e}{rows[family]['naive']:16.1e}   {rows[family]['method']}")
    return rows


def tiny_pair(family: str, device: torch.device) -> ModelPair:
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        models.append(AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **TINY)).eval().to(device))
    return ModelPair.load(*models)


def copies(device: torch.device) -> dict[str, int]:
    """Where a sweep waits for the device."""
    if device.type != "cuda":
        print("\ncopies: only a CUDA device counts them")
        return {}
    pair, queries = tiny_pair("llama", device), questions(12, 400)
    sweep(pair, None, queries, progress=False)
    places: collections.Counter[str] = collections.Counter()

    def seen(*_: Any, **__: Any) -> None:
        ours = [frame for frame in traceback.extract_stack() if "/slr_probe/" in frame.filename]
        at = ours[-1] if ours else traceback.extract_stack()[-3]
        places[f"{at.filename.partition('/slr_probe/')[2]}:{at.lineno} {at.line}"] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = seen
        torch.cuda.set_sync_debug_mode("warn")
        result = sweep(pair, None, queries, progress=False)
        torch.cuda.set_sync_debug_mode("default")
    print(f"\nwaits for the device in a sweep of {len(result.recipes)} recipes and {len(queries)} prompts:")
    for place, times in places.most_common():
        print(f"{times:8}  {place}")
    return dict(places)


# -- how fast it is -----------------------------------------------------------------------------------------------


def large_pair(shape: str, device: torch.device) -> ModelPair:
    """A random pair, built where it runs."""
    family, vocab, hidden, inner, blocks, heads, keys, size = SHAPES[shape]
    config = AutoConfig.for_model(
        family,
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        head_dim=size,
        eos_token_id=END,
    )
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with device:
            models.append(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval())
    return ModelPair.load(*models, tokenizer=ModelPair.load("organism:base", "organism:dpo").tokenizer)


def matmul_rate(pair: ModelPair) -> float:
    """Operations a second of the block's widest matrix at its best."""
    weight = max(pair.decoder.blocks[0].parameters(), key=torch.Tensor.numel).detach()
    x = torch.randn(8192, weight.shape[1], device=weight.device, dtype=weight.dtype)
    seconds = min(timed(lambda: x @ weight.T, weight.device)[0] for _ in range(20))
    return 2.0 * x.numel() * weight.shape[0] / seconds


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds until the device is done, and what the work gives."""
    wait(device)
    start = time.perf_counter()
    out = work()
    wait(device)
    return time.perf_counter() - start, out


def shared(what: str, work: Callable[[], Any], args: argparse.Namespace, device: torch.device, rate: float) -> Timed:
    """Seconds of some work, and the share of the rate at which its matrix products ran."""
    first = timed(work, device)[0]
    with FlopCounterMode(display=False, custom_mapping=dict.fromkeys(_ATTENTION, attention_flops)) as counter:
        work()
    seconds = [timed(work, device)[0] for _ in range(args.rounds)]
    share = counter.get_total_flops() / statistics.median(seconds) / rate
    print(
        f"{what}: {statistics.median(seconds):.3f} s (the first {first:.3f}), {share:.3f} of the matrix rate",
        flush=True,
    )
    return {"seconds": seconds, "first": first, "share_of_matrix_rate": share}


def attention_flops(query: Any, key: Any, *_: Any, **__: Any) -> int:
    """Operations of attention; torch's own count refuses fewer key heads than query heads."""
    batch, heads, length, size = query
    return int(4 * batch * heads * length * key[-2] * size)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def questions(count: int, vocab: int) -> list[Query]:
    """Prompts of 32 to 48 tokens in two sets; each set shares its first 24 tokens."""
    rng = random.Random(0)
    shared = [tuple(rng.choices(range(10, vocab), k=24)) for _ in range(2)]
    answers = tuple((token,) for token in range(4, 10))
    own = [tuple(rng.choices(range(10, vocab), k=rng.randint(8, 24))) for _ in range(count)]
    return [Query((1, *shared[i % 2], *ids), answers) for i, ids in enumerate(own)]


@torch.no_grad()
def naive(pair: ModelPair, ranges: list[LayerRange], queries: list[Query]) -> torch.Tensor:
    """Log-probabilities by module swap and forward, all prompts in one left-padded batch."""
    longest = max(len(query.token_ids) for query in queries)
    pad = [longest - len(query.token_ids) for query in queries]
    device = pair.tuned.device
    ids = torch.tensor([[0] * n + list(q.token_ids) for n, q in zip(pad, queries, strict=True)], device=device)
    mask = torch.tensor([[0] * n + [1] * (longest - n) for n in pad], device=device)
    out = []
    for layers in ranges:
        with restored(pair, layers) as hybrid:
            logits = hybrid(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1).logits[:, -1]
            out.append(logits.float().log_softmax(-1))
    return torch.stack(out)


def speed(pair: ModelPair, args: argparse.Namespace, rate: float) -> dict[str, Any]:
    """The whole sweep, its share of the matrix rate, and swap + forward."""
    queries = questions(40, 900)
    return measured("sweep", pair, queries, None, args, rate)


def replies(pair: ModelPair, args: argparse.Namespace, rate: float) -> dict[str, Any]:
    """The sweep with replies beside the questions."""
    rng = random.Random(1)
    prompts = [query.token_ids for query in questions(12, 900)]
    texts = [(*rng.choices(range(10, 900), k=47), END) for _ in range(24)]
    read = (0, 1, 2, 3, 47)
    given = Replies(tuple(Reply(prompts[i // 2], text, read) for i, text in enumerate(texts)), (END,))
    return measured("sweep with replies", pair, questions(40, 900), given, args, rate)


def measured(
    what: str, pair: ModelPair, queries: list[Query], given: Replies | None, args: argparse.Namespace, rate: float
) -> dict[str, Any]:
    device = pair.tuned.device
    plan = sweep(pair, None, queries, replies=given, memory=args.memory, dry_run=True)
    print(f"\n{plan}", flush=True)

    def ours() -> SweepResult:
        return sweep(pair, None, queries, replies=given, memory=args.memory, progress=False)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    seconds = [timed(ours, device)[0] for _ in range(args.rounds)]
    peak = torch.cuda.max_memory_allocated(device) - before if device.type == "cuda" else 0
    settings = ours().settings
    block = sum(p.numel() for p in pair.decoder.blocks[0].parameters() if p.ndim == 2)
    work = 2.0 * block * plan.tokens * settings["block_evaluations"]
    median = statistics.median(seconds)
    some = LayerRange.all(pair.depth)[:: max(1, len(LayerRange.all(pair.depth)) // 6)]
    naive(pair, some[:1], queries)  # its shapes are new to the libraries once; ours have run by now
    plain = timed(lambda: naive(pair, some, queries), device)[0] * len(LayerRange.all(pair.depth)) / len(some)
    share = work / median / rate
    print(
        f"{what}: {median:.2f} s (the first {seconds[0]:.2f}), {settings['block_evaluations']} block "
        f"evaluations of {plan.tokens} tokens, {share:.2f} of the matrix rate; {peak / 1e9:.1f} GB beside the weights "
        f"({args.memory} allowed); swap + forward of the questions alone {plain:.1f} s ({plain / median:.1f} times)",
        flush=True,
    )
    return {
        "seconds": seconds,
        "first": seconds[0],
        "share_of_matrix_rate": share,
        "block_evaluations": settings["block_evaluations"],
        "tokens": plan.tokens,
        "peak_bytes": peak,
        "naive_seconds": plain,
        "settings": settings,
    }


@torch.no_grad()
def written(pair: ModelPair, args: argparse.Namespace, rate: float) -> dict[str, Timed]:
    """Tokens a second, of slr_probe and of transformers."""
    ids, samples, length = [query.token_ids for query in questions(8, 900)], 16, 64
    requests = [Request(str(i), row, tuple(range(samples))) for i, row in enumerate(ids)]
    sampling, device = Sampling(temperature=1.0, min_p=0.1, max_tokens=length), pair.tuned.device

    def ours(sampling: Sampling = sampling) -> int:
        parts = write(pair.tuned, requests, sampling, ends=(END,), batch_tokens=16_384)
        return sum(len(one.tokens) for part in parts for one in part)

    def theirs(length: int = length) -> int:
        longest = max(map(len, ids))
        rows = torch.tensor([[0] * (longest - len(row)) + list(row) for row in ids], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=device)
        options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.1}
        out = pair.tuned.generate(
            rows, attention_mask=mask, num_return_sequences=samples, max_new_tokens=length, pad_token_id=0, **options
        )
        return (out.shape[1] - longest) * len(out)

    ours(replace(sampling, max_tokens=4)), theirs(4)  # so that the first round of neither loads libraries
    works: dict[str, Callable[[], int]] = {"text by slr_probe": ours, "text by transformers": theirs}
    rows = {name: shared(name, work, args, device, rate) for name, work in works.items()}
    for name, work in works.items():
        rows[name]["tokens_per_second"] = work() / statistics.median(rows[name]["seconds"])
        print(f"{name}: {rows[name]['tokens_per_second']:.0f} tokens/s", flush=True)
    return rows


def lens(pair: ModelPair, args: argparse.Namespace, rate: float) -> dict[str, Timed]:
    """A logit lens and patching of some blocks' outputs."""
    from slr_probe import logit_lens, patch_activations

    queries, device = questions(8, 900), pair.tuned.device
    blocks = list(range(0, pair.depth, max(1, pair.depth // 8)))
    works: dict[str, Callable[[], Any]] = {
        "logit lens": lambda: logit_lens(pair, queries, progress=False),
        "patching": lambda: patch_activations(pair, queries, blocks=blocks, progress=False),
    }
    rows = {}
    for name, work in works.items():
        try:
            rows[name] = shared(f"{name} of {len(queries)} prompts", work, args, device, rate)
        except ImportError as error:
            print(f"{name}: not measured ({error})")
    return rows


_SMALL = {"exact": exact, "copies": copies}
_LARGE = {"sweep": speed, "replies": replies, "write": written, "lens": lens}

if __name__ == "__main__":
    main()
