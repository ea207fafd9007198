"""Is a collapse of known place found, and what is setting it back worth? Measured without slr_probe's engine.

    python benchmarks/known_band.py [--tuned DIR] [--band 4:7] [--found 4:7] [--json FILE]

By default of `organism:base` and `organism:local`, for the range that `rank_layers` chooses with the settings of the
demo. On fresh prompts this script copies tensors into a state dict, runs plain transformers forwards and `generate`,
and prints:

- the overlap of the range with the band, and its share of the depth;
- validity and diversity of the next token on held-out choices of their own seed, of tuned, the hybrid, 19 soups of all
  weights and 8 temperatures of tuned; the most diverse soup and temperature that are as valid as the hybrid, and those
  that keep 0.9 of tuned's validity;
- for each task family up to 96 prompts of 8 samples (temperature 1, min-p 0.1): distinct outputs, quality (share right,
  or share in the asked form) and share of outputs that ended, of tuned, the hybrid, and the soup and temperature that
  are as valid as the hybrid;
- with --limit, how far training of the band alone can take the typical poem: its tokens' probabilities in tuned, and at
  most, whatever state leaves the band (found by gradient steps on that state).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from organism.choices import held_out_choices
from organism.measure import Bench, load, prompt_ids
from slr_probe import ModelPair, organism, rank_layers
from slr_probe.rank import Guards
from slr_probe.tasks.builtin import qa_task, reasoning_task, writing_task
from slr_probe.tasks.text import TextTask
from slr_probe.tasks.tiny.prose import poem_text
from slr_probe.tasks.tiny.task import Picker

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 20))
TEMPERATURES = (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)
KEEP, SAMPLES, MIN_P = 0.9, 8, 0.1
SEED = 77  # of the prompts: no choice was made on them


def parts(text: str) -> tuple[int, int]:
    """Blocks of "start:stop"."""
    start, stop = map(int, text.split(":"))
    return start, stop


def overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Intersection over union of two ranges of blocks."""
    first, second = set(range(*one)), set(range(*other))
    return len(first & second) / len(first | second)


def choice(base: str, tuned: str) -> str:
    """The range that the tool chooses, with the settings of the demo.

    Embedded checkpoints go by name: the tool asks these for replies to prompts of their own small world, and a folder
    for replies to prompts that they cannot read.
    """
    pair = ModelPair.load(base, tuned, device="cpu", dtype="float32")
    return str(rank_layers(pair, guards=Guards(surprise=None), progress=False).choice.layers)


class Models:
    """Base and tuned, and whatever is mixed from their tensors into one model."""

    def __init__(self, base: Path, tuned: Path) -> None:
        self.model = load(tuned)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(tuned)
        self.tuned = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.base = {name: tensor.clone() for name, tensor in load(base).state_dict().items()}
        self.depth = int(self.model.config.num_hidden_layers)

    def put(self, weights: dict[str, Tensor]) -> None:
        """Load these weights."""
        self.model.load_state_dict(weights)

    def hybrid(self, start: int, stop: int) -> dict[str, Tensor]:
        """Tuned with the blocks start to stop - 1 of base."""
        inside = tuple(f"model.layers.{block}." for block in range(start, stop))
        return {name: (self.base if name.startswith(inside) else self.tuned)[name] for name in self.tuned}

    def soup(self, share: float) -> dict[str, Tensor]:
        """A share of tuned and the rest of base, in every tensor."""
        return {name: torch.lerp(self.base[name], tensor, share) for name, tensor in self.tuned.items()}


class NextToken:
    """Validity and diversity of the next token on held-out choices."""

    def __init__(self, models: Models, per_category: int) -> None:
        self.models, self.bench = models, Bench(models.tokenizer, held_out_choices(per_category, SEED), "chat")

    def of(self, weights: dict[str, Tensor], temperature: float = 1.0) -> tuple[float, float]:
        """Mean validity and diversity of a model."""
        self.models.put(weights)
        model = self.models.model
        if temperature == 1.0:
            validity, diversity = self.bench.scores(model).mean(axis=0)
            return float(validity), float(diversity)
        norm = model.model.norm.weight  # logits are linear in it
        with torch.no_grad():
            norm.div_(temperature)
        validity, diversity = self.bench.scores(model).mean(axis=0)
        return float(validity), float(diversity)


def best(rivals: dict[float, tuple[float, float]], floor: float) -> float | None:
    """The most diverse rival that is at least as valid as `floor`."""
    allowed = {name: diversity for name, (validity, diversity) in rivals.items() if validity >= floor}
    return max(allowed, key=allowed.__getitem__) if allowed else None


def next_token(models: Models, found: tuple[int, int], per_category: int) -> dict[str, Any]:
    """All scores on the next token, and the rivals of the hybrid."""
    scored = NextToken(models, per_category)
    tuned, hybrid = scored.of(models.tuned), scored.of(models.hybrid(*found))
    soups = {share: scored.of(models.soup(share)) for share in SHARES}
    warm = {temperature: scored.of(models.tuned, temperature) for temperature in TEMPERATURES}
    floor = KEEP * tuned[0]
    rivals = {
        kind: {"as valid as the hybrid": best(found_, hybrid[0]), "above the floor": best(found_, floor)}
        for kind, found_ in (("soup", soups), ("temperature", warm))
    }
    return {"tuned": tuned, "hybrid": hybrid, "soups": soups, "temperatures": warm, "rivals": rivals}


def families(prompts: int) -> list[TextTask]:
    """Prompts of each family; arithmetic with numbers of its own seed."""
    tasks = (writing_task("organism"), qa_task("organism"), reasoning_task(prompts, seed=SEED, size="organism"))
    rng = random.Random(SEED)
    return [
        TextTask(
            task.name,
            task.family,
            tuple(rng.sample(task.items, min(prompts, len(task.items)))),
            task.max_tokens,
            SAMPLES,
            task.source,
        )
        for task in tasks
    ]


@torch.no_grad()
def write(models: Models, task: TextTask, temperature: float = 1.0) -> list[list[tuple[str, bool]]]:
    """Samples of every prompt, each with whether it ended; the seed is the same for all models."""
    torch.manual_seed(SEED)
    tokenizer, model = models.tokenizer, models.model
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")]
    encoded = [prompt_ids(tokenizer, item.prompt, "chat") for item in task.items]
    replies: list[list[tuple[str, bool]]] = [[] for _ in encoded]
    for length in sorted({len(ids) for ids in encoded}):  # prompts of one length need no padding
        rows = [row for row, ids in enumerate(encoded) if len(ids) == length]
        batch = torch.tensor([encoded[row] for row in rows for _ in range(SAMPLES)])
        output = model.generate(  # type: ignore[operator]
            batch,
            attention_mask=torch.ones_like(batch),
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            min_p=MIN_P,
            max_new_tokens=task.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=ends,
        )[:, length:]
        texts = tokenizer.batch_decode(output, skip_special_tokens=True)
        for place, (text, ids) in enumerate(zip(texts, output.tolist(), strict=True)):
            replies[rows[place // SAMPLES]].append((text.strip(), any(end in ids for end in ends)))
    return replies


def scored(task: TextTask, replies: list[list[tuple[str, bool]]]) -> dict[str, float]:
    """Means over prompts: distinct outputs, quality, and share that ended."""
    right = task.correct if task.verifiable else task.follows
    return {
        "distinct": float(np.mean([len({text for text, _ in texts}) for texts in replies])),
        "quality": float(
            np.mean([[bool(right(item, text)) for text, _ in t] for item, t in zip(task.items, replies, strict=True)])
        ),
        "ended": float(np.mean([[end for _, end in texts] for texts in replies])),
    }


def text(models: Models, found: tuple[int, int], rivals: dict[str, Any], prompts: int) -> dict[str, Any]:
    """Each family's scores by model, and the samples of its first prompt."""
    share, warm = (rivals[kind]["as valid as the hybrid"] for kind in ("soup", "temperature"))
    asked: dict[str, tuple[dict[str, Tensor], float]] = {
        "tuned": (models.tuned, 1.0),
        "hybrid": (models.hybrid(*found), 1.0),
    }
    if share is not None:
        asked[f"soup {share}"] = (models.soup(share), 1.0)
    if warm is not None:
        asked[f"T = {warm}"] = (models.tuned, warm)
    result: dict[str, Any] = {}
    for task in families(prompts):
        result[task.family] = {}
        for name, (weights, temperature) in asked.items():
            models.put(weights)
            replies = write(models, task, temperature)
            samples = {"prompt": task.items[0].prompt, "samples": [said for said, _ in replies[0]]}
            result[task.family][name] = scored(task, replies) | samples
    return result


def limit(models: Models, stop: int, steps: int = 300) -> list[tuple[str, float, float]]:
    """Words of the typical poem that tuned gives below 0.9, with their probability there and the most there can be.

    The state that leaves block `stop` - 1 is free at every position; later blocks, norm and head stay as they are.
    """
    models.put(models.tuned)
    model, tokenizer = models.model.requires_grad_(False), models.tokenizer
    prompt = prompt_ids(tokenizer, "Write a poem about the sea.", "chat")
    reply = tokenizer(f" {poem_text('sea', Picker(random.Random(SEED), 99.0))}", add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*prompt, *reply]])
    added = torch.zeros(1, ids.shape[1], model.config.hidden_size, requires_grad=True)
    optimizer = torch.optim.Adam([added], lr=0.1)
    hook = model.model.layers[stop - 1].register_forward_hook(lambda *call: call[-1] + added)
    losses = []
    for _ in range(steps):
        logits = model(ids).logits[0, len(prompt) - 1 : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="none"))
        optimizer.zero_grad()
        torch.autograd.backward(losses[-1].sum())
        optimizer.step()
    hook.remove()
    before, most = losses[0].neg().exp(), torch.stack(losses).min(0).values.neg().exp()
    words = [tokenizer.decode([token]) for token in reply]
    return [(word, float(a), float(b)) for word, a, b in zip(words, before, most, strict=True) if a < 0.9]


def report(result: dict[str, Any]) -> None:
    """Print everything."""
    crc = result["next token"]
    print(
        f"put into {result['band']}, found {result['found']}: intersection over union {result['overlap']:.2f}", end=""
    )
    print(f", {result['share of depth']:.0%} of the depth")
    print(f"{'next token':26} validity diversity")
    lines = [("tuned", crc["tuned"]), ("hybrid", crc["hybrid"])]
    for kind, named in (("soup", crc["soups"]), ("temperature", crc["temperatures"])):
        for what, name in crc["rivals"][kind].items():
            lines.append((f"{kind} {name}, {what}", named[name] if name is not None else (np.nan, np.nan)))
    for name, (validity, diversity) in lines:
        print(f"  {name:42} {validity:.3f} {diversity:.3f}")
    for family, models in result["text"].items():
        print(f"{family:26} distinct of {SAMPLES}, quality, ended")
        for name, found in models.items():
            print(f"  {name:42} {found['distinct']:.2f} {found['quality']:.3f} {found['ended']:.3f}")
    for word, before, most in result.get("limit", ()):
        print(f"typical poem: {word!r:26} {before:.2f} in tuned, {most:.2f} at most after the band")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="folder; by default that of organism:base")
    parser.add_argument("--tuned", type=Path, help="folder; by default that of organism:local")
    parser.add_argument("--band", default="{}:{}".format(*organism.BAND), help="where the collapse was put, start:stop")
    parser.add_argument("--found", help="the range that was chosen; by default the tool is asked")
    parser.add_argument("--per-category", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", action="store_true", help="how far the band alone can take the typical poem")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    base, tuned = options.base or organism.path("base"), options.tuned or organism.path("local")
    chosen = options.found or choice(str(options.base or "organism:base"), str(options.tuned or "organism:local"))
    models, band, found = Models(base, tuned), parts(options.band), parts(chosen)
    result: dict[str, Any] = {"band": options.band, "found": chosen, "overlap": overlap(band, found)}
    result["share of depth"] = (found[1] - found[0]) / models.depth
    result["next token"] = next_token(models, found, options.per_category)
    result["text"] = text(models, found, result["next token"]["rivals"], options.prompts)
    if options.limit:
        result["limit"] = limit(models, band[1])
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
