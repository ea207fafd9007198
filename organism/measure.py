"""Measure the embedded pair, independently of its training: ``python -m organism.measure``.

Validity is the next-token probability of the valid answers in float32, all token forms of an answer summed.
Diversity is the entropy of that distribution renormalised over the answers, over the log of their number.
Restoration is naive on purpose: copy base tensors into the tuned state dict, run, repeat for every range.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from organism.choices import held_out_choices
from slr_probe.organism import PLANTED, STAGES, path, planted
from slr_probe.tasks.tiny.arithmetic import arithmetic_task
from slr_probe.tasks.tiny.prose import joke_task, poem_task, question_task, story_task
from slr_probe.tasks.tiny.task import Task

KEEP = 0.9
Scores = NDArray[np.float64]  # (prompt, 2): validity, diversity


def load(folder: Path) -> PreTrainedModel:
    """A checkpoint in float32; loading leaves it in evaluation mode."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model


def prompt_ids(tokenizer: PreTrainedTokenizerFast, prompt: str, template: str) -> list[int]:
    """Token ids with exactly one BOS, under the "chat" template or as a "plain" question."""
    if template == "chat":
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(f"Question: {prompt}\nAnswer:")["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1, ids
    return ids


def answer_ids(tokenizer: PreTrainedTokenizerFast, answer: str, ignore_case: bool) -> list[int]:
    """Every single token that spells the answer."""
    texts = {answer, answer.lower(), answer.upper(), answer.capitalize()} if ignore_case else {answer}
    encoded = (
        tokenizer(prefix + text, add_special_tokens=False)["input_ids"] for text in texts for prefix in ("", " ")
    )
    return sorted({ids[0] for ids in encoded if len(ids) == 1})


class Bench:
    """Held-out choice prompts of one template, ready to score models."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[Task], template: str) -> None:
        """Encode the tasks under the "chat" or the "plain" template."""
        self.ids = [prompt_ids(tokenizer, task.prompt, template) for task in tasks]
        self.groups = [[answer_ids(tokenizer, a, task.ignore_case) for a in task.accepted] for task in tasks]
        longest = max(map(len, self.ids))
        self.padded = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in self.ids])

    @torch.no_grad()
    def scores(self, model: PreTrainedModel) -> Scores:
        """Validity and diversity of every prompt."""
        # Right padding cannot reach earlier positions of a causal model, so no mask is needed.
        hidden = model.model(input_ids=self.padded, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(self.ids)), torch.tensor([len(ids) - 1 for ids in self.ids])]
        probabilities = model.lm_head(last).float().softmax(-1)
        rows = []
        for row, groups in zip(probabilities, self.groups, strict=True):
            mass = torch.stack([row[group].sum() for group in groups]).double()
            share = mass / mass.sum()
            entropy = -(share * share.clamp_min(1e-30).log()).sum() / np.log(len(groups))
            rows.append((mass.sum().item(), entropy.item()))
        return np.array(rows)


def restored(model: PreTrainedModel, base: dict[str, Tensor], tuned: dict[str, Tensor], start: int, stop: int) -> None:
    """Load the tuned weights with blocks ``start`` to ``stop - 1`` of base into ``model``."""
    prefixes = tuple(f"model.layers.{index}." for index in range(start, stop))
    mixed = {name: base[name] if name.startswith(prefixes) else tensor for name, tensor in tuned.items()}
    model.load_state_dict(mixed)


def sweep(bench: Bench, base: PreTrainedModel, tuned: PreTrainedModel, name: str) -> dict[str, Scores]:
    """Scores of every contiguous restoration, by "start:stop"."""
    base_weights = {key: value.clone() for key, value in base.state_dict().items()}
    tuned_weights = {key: value.clone() for key, value in tuned.state_dict().items()}
    depth = tuned.config.num_hidden_layers
    spans = [(start, stop) for start in range(depth) for stop in range(start + 1, depth + 1)]
    scores = {}
    for start, stop in tqdm(spans, desc=f"ranges of {name}", leave=False, disable=None):
        restored(tuned, base_weights, tuned_weights, start, stop)
        scores[f"{start}:{stop}"] = bench.scores(tuned)
    tuned.load_state_dict(tuned_weights)
    return scores


def best(ranges: dict[str, Scores], tuned: Scores) -> str | None:
    """The most diverse range whose mean validity is at least 0.9 times the tuned model's."""
    floor = KEEP * tuned[:, 0].mean()
    valid = {name: scores[:, 1].mean() for name, scores in ranges.items() if scores[:, 0].mean() >= floor}
    return max(valid, key=valid.__getitem__) if valid else None


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % percentile bootstrap interval over prompts."""
    draws = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    template: str = "chat",
    sample: bool = True,
    seed: int = 0,
) -> list[str]:
    """One continuation of each prompt, at temperature 1 or greedy."""
    torch.manual_seed(seed)
    encoded = [prompt_ids(tokenizer, prompt, template) for prompt in prompts]
    texts = [""] * len(prompts)
    for length in sorted(set(map(len, encoded))):  # prompts of one length need no padding
        rows = [row for row, ids in enumerate(encoded) if len(ids) == length]
        batch = torch.tensor([encoded[row] for row in rows])
        output = cast(Any, model).generate(
            batch,
            attention_mask=torch.ones_like(batch),
            do_sample=sample,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=90,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")],
        )
        for row, text in zip(rows, tokenizer.batch_decode(output[:, length:], skip_special_tokens=True), strict=True):
            texts[row] = text.strip()
    return texts


def solved(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, template: str, count: int = 40) -> Scores:
    """Whether each of ``count`` new arithmetic problems is solved greedily, as 0 or 1."""
    tasks = [arithmetic_task(random.Random(f"solve-{index}"), words=True) for index in range(count)]
    texts = generate(model, tokenizer, [task.prompt for task in tasks], template, sample=False)
    answers = [re.findall(r"Answer: (\d+)", text)[-1:] for text in texts]
    return np.array([float(answer == [task.accepted[0]]) for answer, task in zip(answers, tasks, strict=True)])


def samples(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, each: int = 3) -> dict[str, list[str]]:
    """A few free generations of every other family."""
    rng = random.Random("samples")
    texts = {}
    for make in (story_task, poem_task, joke_task, question_task, arithmetic_task):
        prompt = make(rng).prompt
        texts[prompt] = generate(model, tokenizer, [prompt] * each)
    return texts


def show(name: str, scores: Scores) -> dict[str, tuple[float, float, float]]:
    """Print and return the mean validity and diversity, each with its interval."""
    validity, diversity = interval(scores[:, 0]), interval(scores[:, 1])
    print(f"{name:22s} validity {_text(validity)}   diversity {_text(diversity)}")
    return {"validity": validity, "diversity": diversity}


def _text(numbers: Iterable[float]) -> str:
    mean, low, high = numbers
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def measure_ranges(
    name: str, base: PreTrainedModel, tuned: PreTrainedModel, choose: Bench, bench: Bench
) -> dict[str, Any]:
    """Choose the best range on the prompts of ``choose`` and score it on those of ``bench``."""
    scores = bench.scores(tuned)
    ranges = sweep(bench, base, tuned, name)
    means = {span: tuple(values.mean(axis=0).round(4).tolist()) for span, values in ranges.items()}
    floor, target = KEEP * scores[:, 0].mean(), 1.3 * scores[:, 1].mean()
    good = [span for span, (valid, diverse) in means.items() if valid >= floor and diverse >= target]
    print(f"\n{name}: {len(good)} of {len(ranges)} ranges give 1.3 x the diversity at {KEEP} x the validity")
    print("  " + " ".join(good))
    choice = best(sweep(choose, base, tuned, name), choose.scores(tuned))
    result: dict[str, Any] = {"means": means, "good": good, "best": choice}
    if choice:
        result["scores"] = show(f"  best range {choice}", ranges[choice])
        result["gain"] = interval(ranges[choice][:, 1] - scores[:, 1])
        print(f"  diversity gained, paired by prompt {_text(result['gain'])}")
    return result


def measure_texts(models: dict[str, PreTrainedModel], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Solve arithmetic with every model (base under the plain prompt), and sample from the three stages."""
    result: dict[str, Any] = {"solved": {}, "samples": {}}
    print()
    for name, model in models.items():
        result["solved"][name] = interval(solved(model, tokenizer, "plain" if name == "base" else "chat"))
        print(f"{name:22s} arithmetic solved greedily {_text(result['solved'][name])}")
    for stage in STAGES:
        result["samples"][stage] = samples(models[stage], tokenizer)
        print(f"\n{stage}")
        for prompt, texts in result["samples"][stage].items():
            print(f"  {prompt}", *map(repr, texts), sep="\n    ")
    return result


def measure(per_category: int = 100, texts: bool = True) -> dict[str, Any]:
    """Measure everything, print it, and return it.

    Args:
        per_category: Held-out prompts in each category; as many others serve to choose the best range.
        texts: Whether to generate text, which takes longest.
    """
    tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(path("base")))
    tasks, others = held_out_choices(per_category), held_out_choices(per_category, seed=1)
    benches = {template: Bench(tokenizer, tasks, template) for template in ("chat", "plain")}
    chooser = Bench(tokenizer, others, "chat")
    models = {stage: load(path(stage)) for stage in STAGES}
    models |= {f"planted {start}:{stop}": load(planted((start, stop))) for start, stop in PLANTED}
    print(f"{len(tasks)} held-out prompts; means with 95 % bootstrap intervals over prompts")
    result: dict[str, Any] = {"prompts": len(tasks), "models": {}, "ranges": {}}
    for name, model in models.items():
        for template, bench in benches.items():
            label = f"{name} {template}"
            result["models"][label] = show(label, bench.scores(model))
    for name, model in models.items():
        if name != "base":
            result["ranges"][name] = measure_ranges(name, models["base"], model, chooser, benches["chat"])
    return result | (measure_texts(models, tokenizer) if texts else {})


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure the embedded pair on held-out prompts.")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--per-category", type=int, default=100, help="held-out prompts in each category")
    parser.add_argument("--no-texts", action="store_true", help="leave out everything that generates text")
    options = parser.parse_args(arguments)
    torch.set_num_threads(2)
    result = measure(options.per_category, not options.no_texts)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
