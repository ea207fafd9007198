"""What watching CRC costs: one measurement against fifty steps of training.

    python benchmarks/training.py [MODEL] [--tokens 2048] [--rounds 5]

MODEL is a folder or `organism:sft` (default). A step is forward, backward and AdamW on a batch of random tokens; steps
and measurements take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from slr_probe import ModelPair
from slr_probe.training import LiveCRC


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="organism:sft")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a batch, in rows of 128")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    pair = ModelPair.load(args.model, args.model, dtype="float32")
    model, crc = pair.tuned.train(), LiveCRC(pair.tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)
    ids = torch.randint(4, len(pair.tokenizer), (max(1, args.tokens // 128), 128), device=model.device)

    def step() -> None:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    step(), crc(model)
    times = {"step": [], "crc": []}
    for _ in range(args.rounds):
        times["step"].append(seconds(step))
        times["crc"].append(seconds(lambda: crc(model)))
    one, measured = (statistics.median(times[name]) for name in ("step", "crc"))
    print(
        f"a step of {ids.numel()} tokens {one:.3f} s; CRC on {len(crc.prompts)} prompts {measured:.3f} s, "
        f"{measured / one:.2f} of a step: every 50 steps {measured / one / 50:.1%} of the time"
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
