"""`logit_lens` at every block against TransformerLens, tuned-lens and a plain stack, in one run.

    python benchmarks/lens.py --model FOLDER [--prompts 16] [--length 48] [--repeat 5] [--threads 2]
                              [--tuned-lens PYTHON] [--json FILE]

Each way is a worker process that has its model loaded and warm; rounds are interleaved. Reported are medians of wall
time, of processor time, and of peak resident memory above the loaded model (the kernel's own high-water mark, reset
before each round), and ratios to `logit_lens`. All ways give entropy and the top 5 tokens of every block at the answer
position, ours also the KL to the last block.

Without `--model`, a random Llama of about Gemma 3 270M's size with Llama 3's vocabulary is made, as tuned-lens supports
neither Gemma nor Qwen. tuned-lens is run only with `--tuned-lens`, the interpreter of an environment that has it;
without it, a plain [block, position, vocabulary] stack is built in its place, one prompt at a time as tuned-lens does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOP = 5


def ours(model: Any, prompts: list[list[int]]) -> Callable[[], Any]:
    from transformers import PreTrainedTokenizerFast

    from slr_probe.pair import ModelPair
    from slr_probe.probes.lens.lens import logit_lens
    from slr_probe.tasks.answers import Query

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_no_tokenizer())
    pair = ModelPair.load(model, model, tokenizer=tokenizer)
    queries = [Query(tuple(ids), ()) for ids in prompts]
    return lambda: logit_lens(pair, queries, models=["tuned"], top_k=TOP, progress=False).entropy[0]


def transformer_lens(model: Any, prompts: list[list[int]]) -> Callable[[], Any]:
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import logit_lens
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_no_tokenizer())
    tokenizer.add_special_tokens({"bos_token": "a", "eos_token": "b", "pad_token": "c"})
    tokenizer.save_pretrained(folder := tempfile.mkdtemp())
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    bridge = TransformerBridge.boot_transformers("model", hf_model=model, tokenizer=tokenizer, device="cpu")
    tokens, depth = torch.tensor(prompts), int(bridge.cfg.n_layers)
    return lambda: logit_lens(bridge, tokens, layers=range(1, depth + 1), top_k=TOP).readout.entropy


def tuned_lens(model: Any, prompts: list[list[int]]) -> Callable[[], Any]:
    sys.modules["transformer_lens"] = None  # type: ignore[assignment]  # tuned-lens asks for a class that 4.x lacks
    import numpy as np
    from tuned_lens.nn.lenses import LogitLens
    from tuned_lens.plotting import PredictionTrajectory

    lens = LogitLens.from_model(model)

    def run() -> Any:
        found = []
        for ids in prompts:
            log_p = PredictionTrajectory.from_lens_and_model(lens, model, ids).log_probs[1:, -1]
            np.argpartition(log_p, -TOP)  # its own entropy() would add all other positions
            found.append(-(np.exp(log_p) * log_p).sum(-1))
        return np.stack(found, axis=1)

    return run


def plain_stack(model: Any, prompts: list[list[int]]) -> Callable[[], Any]:
    import torch

    norm = model.base_model.norm

    @torch.no_grad()
    def run() -> Any:
        found = []
        for ids in prompts:
            out = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
            streams = torch.cat([*map(norm, out.hidden_states[1:-1]), out.hidden_states[-1]])
            log_p = model.lm_head(streams).log_softmax(-1)  # [block, position, vocabulary]
            log_p[:, -1].topk(TOP)
            found.append(-(log_p.exp() * log_p).sum(-1)[:, -1])
        return torch.stack(found, dim=1)

    return run


WAYS = {"slr_probe": ours, "TransformerLens": transformer_lens, "tuned-lens": tuned_lens, "plain stack": plain_stack}


def _no_tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    return Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))


def work(way: str, folder: str, prompts: str, threads: int) -> None:
    """Load, then run once for each line on standard input and answer with a line of JSON."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    run = WAYS[way](model, json.loads(prompts))
    for _ in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")
        before, busy, start = _memory("VmRSS"), time.process_time(), time.perf_counter()
        entropy = run()
        row = [time.perf_counter() - start, time.process_time() - busy, _memory("VmHWM") - before]
        print(json.dumps([*row, [[float(x) for x in block] for block in entropy]]), flush=True)


def _memory(field: str) -> float:
    """MiB."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) / 1024


def make_llama(folder: str) -> None:
    """A random Llama that is small but for its vocabulary."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=640,
        intermediate_size=2048,
        num_hidden_layers=18,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256,
        vocab_size=128256,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--length", type=int, default=48)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tuned-lens", metavar="PYTHON")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    folder = args.model or tempfile.mkdtemp()
    if args.model is None:
        make_llama(folder)
    prompts = [[2, *((37 * i + 101 * j) % 5000 + 10 for j in range(args.length - 1))] for i in range(args.prompts)]
    ways = [way for way in WAYS if way != ("plain stack" if args.tuned_lens else "tuned-lens")]
    workers = {}
    for way in ways:
        python = args.tuned_lens if way == "tuned-lens" else sys.executable
        call = f"from benchmarks.lens import work; work({way!r}, {folder!r}, {json.dumps(prompts)!r}, {args.threads})"
        workers[way] = subprocess.Popen(
            [python, "-c", call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
    runs: dict[str, list[list[Any]]] = {way: [] for way in ways}
    for turn in range(args.repeat + 1):  # the first round warms up
        for way, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
            if not answer:
                raise SystemExit(f"the worker of {way} failed")
            runs[way] += [json.loads(answer)] if turn else []
    for worker in workers.values():
        worker.terminate()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, {args.prompts} prompts of "
        f"{args.length} tokens, medians of {args.repeat}"
    )
    print(f"{'':18}{'seconds':>9}{'x ours':>8}{'CPU s':>8}{'x ours':>8}{'peak MiB':>10}{'x ours':>8}{'gap (nats)':>12}")
    rows = []
    for way in ways:
        mine, found = ([statistics.median(run[i] for run in runs[w]) for i in range(3)] for w in ("slr_probe", way))
        gap = max(
            abs(a - b)
            for x, y in zip(runs["slr_probe"][0][3], runs[way][0][3], strict=True)
            for a, b in zip(x, y, strict=True)
        )
        rows.append({"way": way, "seconds": found[0], "cpu_seconds": found[1], "peak_mib": found[2], "gap_nats": gap})
        print(
            f"{way:18}{found[0]:9.2f}{found[0] / mine[0]:8.2f}{found[1]:8.2f}{found[1] / mine[1]:8.2f}"
            f"{found[2]:10.0f}{found[2] / mine[2]:8.2f}{gap:12.1e}"
        )
    if args.json:
        args.json.write_text(json.dumps({"arguments": {**vars(args), "json": str(args.json)}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
