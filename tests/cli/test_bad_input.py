"""Bad input on the command line: exit code 2, one clear line, and nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.restoration.test_bad_input import NORM, pickle_base, put_nan
from tests.tiny import Pair, snapshot, write_checkpoint

Damage = Callable[[Pair], None]


def fine(pair: Pair) -> None:
    pass


def other(family: str, **changes: Any) -> Damage:
    def damage(pair: Pair) -> None:
        shutil.rmtree(pair.base)
        write_checkpoint(pair.base, family, seed=1, **changes)

    return damage


def cut_shard(pair: Pair) -> None:
    shard = sorted(pair.base.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-9])


def garble_header(pair: Pair) -> None:
    shard = sorted(pair.tuned.glob("*.safetensors"))[0]
    data = bytearray(shard.read_bytes())
    data[8:40] = b"x" * 32
    shard.write_bytes(data)


def no_weights(pair: Pair) -> None:
    shutil.rmtree(pair.tuned)
    pair.tuned.mkdir()
    (pair.tuned / "config.json").write_text("{}")


def other_adapter(pair: Pair) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    wide = write_checkpoint(pair.tuned.parent / "wide", "llama", seed=1, hidden_size=48)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(wide), LoraConfig(target_modules=["q_proj"]))
    shutil.rmtree(pair.tuned)
    model.save_pretrained(pair.tuned)
    shutil.rmtree(wide)


CHECKPOINTS: dict[str, tuple[Damage, str]] = {
    "another architecture": (other("gpt2"), "base 'gpt2', tuned 'llama'"),
    "another depth": (other("llama", num_hidden_layers=3), "num_hidden_layers: base 3, tuned 4"),
    "a truncated shard": (cut_shard, ".safetensors"),
    "a corrupt header": (garble_header, "corrupt"),
    "a pickle": (pickle_base, "pickled weights"),
    "a folder without weights": (no_weights, "tuned"),
    "an adapter for another base": (other_adapter, "adapter"),
}


@pytest.mark.parametrize("verb", ["inspect", "delta", "lens", "patch", "mask", "rank", "restore", "validate", "run"])
@pytest.mark.parametrize("case", CHECKPOINTS)
def test_bad_checkpoints(run: Any, own_pair: Callable[..., Pair], tmp_path: Path, verb: str, case: str) -> None:
    damage, words = CHECKPOINTS[case]
    pair = own_pair()
    damage(pair)
    options = {"restore": ["--layers", "1:2"], "validate": ["--layers", "1:2"]}.get(verb, [])
    out = [] if verb == "inspect" else ["--out", tmp_path / "new" / "out"]
    before = snapshot(tmp_path)
    refused(run(verb, *pair.folders, *options, *out), words)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("verb", ["delta", "lens", "patch", "mask", "rank", "restore", "validate", "run"])
def test_weights_that_are_not_numbers(run: Any, own_pair: Callable[..., Pair], tmp_path: Path, verb: str) -> None:
    pair = own_pair()
    put_nan("base", NORM)(pair)
    files = write_files(tmp_path)
    options = {
        "rank": ["--task", files["TASK"]],
        "restore": ["--layers", "2:3"],
        "validate": ["--layers", "2:3", "--tasks", files["TEXTS"], "--samples", 2, "--max-tokens", 4],
        "mask": ["--data", files["TALKS"]],
        "run": ["--set", f"rank.task={files['TASK']}", "--set", "validate.enabled=false"],
    }
    found = run(verb, *pair.folders, *options.get(verb, []), "--quiet", "--out", tmp_path / "out")
    refused(found, f"tensor '{NORM}' has NaN")


ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "reversed range": (["restore", "PAIR", "--layers", "3:1", "--out", "OUT"], "reversed"),
    "empty range": (["restore", "PAIR", "--layers", "2:2", "--out", "OUT"], "empty"),
    "range out of bounds": (["restore", "PAIR", "--layers", "0:5", "--out", "OUT"], "has 4 decoder blocks"),
    "range with a dash": (["restore", "PAIR", "--layers", "1-3", "--out", "OUT"], "'1:3'"),
    "no number": (["validate", "PAIR", "--layers", "a:b", "--out", "OUT"], "a:b"),
    "neither range nor recipe": (["restore", "PAIR", "--out", "OUT"], "--layers"),
    "recipe of another depth": (["restore", "PAIR", "--recipe", "DEEP", "--out", "OUT"], "depth"),
    "recipe that is none": (["restore", "PAIR", "--recipe", "BROKEN", "--out", "OUT"], "recipe"),
    "folder that is not empty": (["restore", "PAIR", "--layers", "1:2", "--out", "FULL"], "is not empty"),
    "folder that is a file": (["restore", "PAIR", "--layers", "1:2", "--out", "BROKEN"], "broken.json"),
    "folder of something else": (["validate", "PAIR", "--layers", "1:2", "--out", "FULL"], "is not empty"),
    "file as a folder": (["delta", "PAIR", "--out", "BROKEN"], "broken.json"),
    "ranking onto a file": (["rank", "PAIR", "--task", "TASK", "--out", "BROKEN"], "is a file"),
    "outputs onto a file": (["validate", "PAIR", "--layers", "1:2", "--out", "BROKEN/x"], "is a file"),
    "JSON onto a folder": (["rank", "PAIR", "--task", "TASK", "--json", "FULL"], "is a folder"),
    "no prompts": (["lens", "PAIR", "--prompts", "EMPTY"], "has no prompts"),
    "prompt beyond the context": (["lens", "PAIR", "--prompts", "LONG", "--answer", "a"], "64"),
    "prompt of no tokens": (["lens", "PAIR", "--prompts", "BLANK", "--answer", "a"], "prompt"),
    "answer of several tokens": (["lens", "PAIR", "--prompts", "ONE", "--answer", "cat"], "becomes 3 tokens"),
    "unknown component": (["patch", "PAIR", "--prompts", "ONE", "--component", "qkv"], "unknown component 'qkv'"),
    "unknown block": (["patch", "PAIR", "--prompts", "ONE", "--blocks", "7"], "block 7"),
    "task that is not there": (["rank", "PAIR", "--task", "absent.json"], "absent.json"),
    "task without prompts": (["rank", "PAIR", "--task", "NO_ITEMS"], "holds no prompts"),
    "one answer": (["rank", "PAIR", "--task", "ONE_ANSWER"], "answer"),
    "the same answer twice": (["rank", "PAIR", "--task", "TWICE"], "duplicate answers"),
    "floor of zero": (["rank", "PAIR", "--task", "TASK", "--floor", "0"], "floor must lie above 0"),
    "floor above one": (["rank", "PAIR", "--task", "TASK", "--floor", "1.1"], "floor must lie above 0"),
    "memory below one state": (["rank", "PAIR", "--task", "TASK", "--memory", "9KB", "--stream"], "too little"),
    "not a hybrid": (["verify", "PAIR_TUNED"], "has no recipe.json"),
    "device that is not there": (["rank", "PAIR", "--device", "cuda:7"], "cuda"),
    "dtype that is none": (["lens", "PAIR", "--prompts", "ONE", "--dtype", "float17"], "float17"),
    "recipe and part": (["restore", "PAIR", "--recipe", "GOOD", "--only", "mlp", "--out", "OUT"], "--only narrows"),
    "prompts and task": (["lens", "PAIR", "--prompts", "ONE", "--task", "TASK"], "either --prompts"),
    "idle option": (
        ["lineage", "--stage", "base=GOOD", "--stage", "sft=GOOD", "--samples", "2"],
        "--samples",
    ),
    "seed below zero": (["lens", "PAIR", "--prompts", "ONE", "--seed", "-1"], "seed"),
    "seed of patching": (["patch", "PAIR", "--prompts", "ONE", "--seed", "-1"], "seed"),
    "seed of a mask": (["mask", "PAIR", "--data", "TALKS", "--seed", "-1"], "seed"),
    "seed of a ranking": (["rank", "PAIR", "--task", "TASK", "--seed", "-1"], "seed"),
    "seed of a validation": (["validate", "PAIR", "--layers", "1:2", "--seed", "-1"], "seed"),
    "too few to hold back": (["mask", "PAIR", "--data", "TALKS", "--rates"], "at least 4 conversations"),
    "folder under a file": (["run", "PAIR", "--out", "BROKEN/x"], "broken.json"),
    "result under a file": (["inspect", "PAIR", "--json", "BROKEN/x"], "broken.json"),
    "hub id": (["inspect", "nobody/nothing", "nobody/nothing-it"], "--download"),
    "malformed outputs": (["lineage", "--stage", "base=GOOD", "--stage", "sft=MALFORMED"], "malformed.jsonl, line 2"),
    "outputs that are not text": (["lineage", "--stage", "base=GOOD", "--stage", "sft=BYTES"], "bytes.jsonl, line 2"),
    "no outputs": (["lineage", "--stage", "base=GOOD", "--stage", "sft=EMPTY_ROWS"], "empty"),
    "one output a prompt": (["lineage", "--stage", "base=SINGLE", "--stage", "sft=SINGLE"], "2"),
    "other prompts": (["lineage", "--stage", "base=GOOD", "--stage", "sft=OTHER"], "same prompts"),
    "embedder that is not there": (["validate", "PAIR", "--layers", "1:2", "--embedder", "absent/encoder"], "absent"),
}


def write_files(folder: Path) -> dict[str, Path]:
    """What the arguments above name."""
    from slr_probe import Recipe

    def rows(*prompts: tuple[str, list[str]]) -> str:
        lines = []
        for name, texts in prompts:
            for i, text in enumerate(texts):
                lines.append(json.dumps({"id": name, "prompt": name, "sample": i, "text": text}) + "\n")
        return "".join(lines)

    def task(answer_sets: list[list[str]]) -> str:
        items = []
        for i, answers in enumerate(answer_sets):
            for split in ("selection", "held_out"):
                prompt = f"Pick {split} {i}."
                items.append({"prompt": prompt, "answers": answers, "split": split, "category": "letters"})
        return json.dumps({"name": "mine", "items": items})

    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    good = rows(("a", ["x y", "x z"]), ("b", ["u", "v"]))
    texts = {
        "DEEP": ("deep.json", Recipe.restore("1:2", 9).to_json()),
        "BROKEN": ("broken.json", "{"),
        "EMPTY": ("empty.txt", "\n\n"),
        "LONG": ("long.txt", "a " * 70),
        "BLANK": ("blank.json", '[""]'),
        "ONE": ("one.txt", "Pick one.\n"),
        "NO_ITEMS": ("no_items.json", '{"name": "mine", "items": []}'),
        "TASK": ("task.json", task([["a", "b"]] * 6)),
        "ONE_ANSWER": ("one_answer.json", task([["a"]] * 6)),
        "TWICE": ("twice.json", task([["a", "a"]] * 6)),
        "TEXTS": ("texts.jsonl", '{"id": "1", "prompt": "a"}\n{"id": "2", "prompt": "b"}\n'),
        "TALKS": ("talks.jsonl", json.dumps({"messages": talk}) + "\n"),
        "GOOD": ("good.jsonl", good),
        "MALFORMED": ("malformed.jsonl", good.splitlines()[0] + "\n{'id'\n"),
        "EMPTY_ROWS": ("empty.jsonl", ""),
        "SINGLE": ("single.jsonl", rows(("a", ["x"]), ("b", ["u"]))),
        "OTHER": ("other.jsonl", rows(("a", ["x y", "x z"]), ("c", ["u", "v"]))),
    }
    for name, text in texts.values():
        (folder / name).write_text(text)
    (folder / "bytes.jsonl").write_bytes(good.splitlines()[0].encode() + b"\n\xff\xfe\n")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("precious")
    found = {key: folder / name for key, (name, _) in texts.items()}
    return {**found, "BYTES": folder / "bytes.jsonl", "FULL": folder / "full", "OUT": folder / "new" / "out"}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments(run: Any, pair_of: Callable[[str], Pair], tmp_path: Path, case: str) -> None:
    arguments, words = ARGUMENTS[case]
    pair = pair_of("llama")
    files = {**write_files(tmp_path), "PAIR_TUNED": pair.tuned}
    given: list[object] = []
    for one in arguments:
        stem, equals, name = one.partition("=")
        if one == "PAIR":
            given += pair.folders
        elif one == "BROKEN/x":
            given.append(files["BROKEN"] / "x")
        else:
            given.append(f"{stem}={files[name]}" if equals else files.get(one, one))
    before = snapshot(tmp_path)
    refused(run(*given), words)
    assert snapshot(tmp_path) == before


def test_a_checkpoint_that_changes_between_two_runs(run: Any, own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    from tests.tiny import rewrite_tensor

    pair, task = own_pair(), write_files(tmp_path)["TASK"]
    command = ["rank", *pair.folders, "--task", task, "--soups", "0", "--quiet", "--out", tmp_path / "out"]
    assert run(*command)[0] == 0
    rewrite_tensor(pair.base, NORM, lambda tensor: tensor + 1)
    refused(run(*command), "base")


@pytest.mark.parametrize("arguments", [["rnak"], ["rank", "--flor", "0.5"]])
def test_a_slip_of_the_pen_shows_the_usage(run: Any, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("Usage: slr-probe")
    assert arguments[-2:][0] in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("restoration.stream._write", ["restore", "--layers", "1:2"]),
        ("files.write.os.fsync", ["delta"]),
        ("files.write.os.fsync", ["lens", "--prompts", "ONE"]),
        ("files.write.os.fsync", ["rank", "--task", "TASK"]),
    ],
)
def test_a_full_disk(
    run: Any,
    pair_of: Callable[[str], Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    arguments: list[str],
) -> None:
    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = write_files(tmp_path)
    monkeypatch.setattr(f"slr_probe.{place}", full)
    verb, *rest = (files.get(one, one) for one in arguments)
    refused(run(verb, *pair_of("llama").folders, *rest, "--quiet", "--out", tmp_path / "out"), "no space left")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def refused(found: tuple[int, str, str], words: str) -> None:
    """Exit code 2, and one line on the error stream that says what it is about."""
    code, _, err = found
    lines = err.strip().splitlines()
    assert (code, len(lines)) == (2, 1), err
    assert lines[0].startswith("error: ")
    assert words in lines[0]
