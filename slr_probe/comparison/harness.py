"""`evaluate`: the installed lm-eval run on each model, its sample logs compared prompt by prompt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from slr_probe.checkpoint import AdapterCheckpoint, identity, open_checkpoint, resolve
from slr_probe.comparison.outputs import OutputComparison, compare, first
from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import OutputError, ValidationError, one_line
from slr_probe.files import digest, safe_name, write_json
from slr_probe.progress import progress_bar, silenced
from slr_probe.restoration.extras import hash_file


@dataclass(frozen=True)
class HarnessRun:
    """How lm-eval is asked, alike for every model.

    Attributes:
        tasks: Names of its tasks.
        include: Folder with task files (YAML) of your own; None for lm-eval's own tasks alone.
        limit: Documents a task; None for all.
        fewshot: Worked examples before each question; None for what the task says.
        chat: Whether questions go through the model's chat template.
        batch: Batch size, or `"auto"`.
        dtype: Dtype of the models; None for the stored one.
        device: Device; None for what lm-eval chooses.
        download: Let datasets and models be fetched over the network.
        trust_remote_code: Let Python code that comes with a checkpoint run.
        seed: Seed of lm-eval's random numbers.

    Raises:
        ValidationError: A number is out of range, or `include` is no folder.
    """

    tasks: tuple[str, ...]
    include: str | None = None
    limit: int | None = None
    fewshot: int | None = None
    chat: bool = False
    batch: str = "auto"
    dtype: str | None = None
    device: str | None = None
    download: bool = False
    trust_remote_code: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.include is not None and not Path(self.include).is_dir():
            raise ValidationError(f"include is a folder with task files (YAML); {self.include} is none")
        for name, least in (("limit", 1), ("fewshot", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValidationError(f"{name} is a whole number of at least {least}; got {value!r}")
        if not re.fullmatch(r"auto(:[1-9][0-9]*)?|[1-9][0-9]*", self.batch):
            raise ValidationError(f"batch is a number of rows or 'auto'; got {self.batch!r}")

    def command(self, model: Path, out: Path) -> list[str]:
        """The command line of lm-eval for one model."""
        given = {"pretrained": model, "dtype": self.dtype, "trust_remote_code": self.trust_remote_code or None}
        pairs = ",".join(f"{name}={value}" for name, value in given.items() if value is not None)
        options: dict[str, object] = {
            "--tasks": ",".join(self.tasks),
            "--include_path": self.include,
            "--limit": self.limit,
            "--num_fewshot": self.fewshot,
            "--batch_size": self.batch,
            "--device": self.device,
            "--seed": self.seed,
            "--output_path": out,
        }
        named = [str(part) for item in options.items() if item[1] is not None for part in item]
        flags = ["--log_samples", *(["--apply_chat_template"] if self.chat else [])]
        return [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", pairs, *named, *flags]

    def record(self) -> dict[str, Any]:
        """What scores depend on: all of it, with the content of the task files and the version of lm-eval."""
        own = None if self.include is None else _contents(Path(self.include))
        return {**vars(self), "include": own, "lm_eval": version("lm-eval")}


def evaluate(
    models: Mapping[str, str | os.PathLike[str]],
    tasks: Sequence[str],
    out: str | os.PathLike[str],
    *,
    reference: str | None = None,
    include: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    fewshot: int | None = None,
    chat: bool = False,
    batch: str = "auto",
    dtype: str | None = None,
    device: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: bool | None = None,
) -> OutputComparison:
    """Run EleutherAI's lm-evaluation-harness on several models and compare its scores, paired by document.

    lm-eval must be installed (`pip install "slr-probe[harness]"`); it runs in a process of its own, one model after the
    other. What it writes is kept in `out`, a folder for each model and way of asking, and is not run again: a later
    call may add models. Each comparison has a folder there, too; see `comparison_folder`.

    Args:
        models: Checkpoints by name: folders such as hybrids, hub ids, `"organism:dpo"`.
        tasks: Names of lm-eval's tasks, such as `"gsm8k"`, or of those in `include`.
        out: Folder for logs, table and figure.
        reference: The model that the others are compared with; default: the first.
        include: Folder with task files (YAML) of your own.
        limit: Documents a task; default: all.
        fewshot: Worked examples before each question; default: what the task says.
        chat: Put questions through the model's chat template.
        batch: Batch size, or `"auto"`.
        dtype: Dtype of the models; default: the stored one.
        device: Device; default: what lm-eval chooses.
        download: Let models and datasets be fetched over the network.
        trust_remote_code: Let Python code that comes with a checkpoint run.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over documents.
        seed: Seed of lm-eval, bootstrap and tests.
        progress: Whether to show a bar and lm-eval's own messages.

    Raises:
        ValidationError: lm-eval is not installed or failed, or there are fewer than two models or no tasks.
        CheckpointError: A model is missing or corrupt.
    """
    if len(models) < 2 or not tasks:
        raise ValidationError("an evaluation needs two models or more and at least one task of lm-eval")
    if reference is not None and reference not in models:
        raise ValidationError(f"reference={reference!r} is none of the models: {', '.join(models)}")
    own = None if include is None else str(Path(include).resolve())
    asked = HarnessRun(tuple(tasks), own, limit, fewshot, chat, batch, dtype, device, download, trust_remote_code, seed)
    places = {name: _folder(source, download, trust_remote_code) for name, source in models.items()}
    if find_spec("lm_eval") is None:
        raise ValidationError("lm-eval is not installed; pip install 'slr-probe[harness]'")
    record, logs = asked.record(), dict[str, str | os.PathLike[str]]()
    with progress_bar(len(models), "lm-eval", unit="model", show=progress) as bar:
        for name, place in places.items():
            logs[name] = _logs(name, place, asked, record, Path(out), quiet=silenced(progress))
            bar.update()
    order = list(first(models, reference))
    folder = _comparison(out, {"models": order, "level": level, "resamples": resamples, "asked": record})
    return compare(
        logs, reference=reference, out=folder, level=level, resamples=resamples, seed=seed, asked={"lm_eval": record}
    )


def comparison_folder(out: str | os.PathLike[str], found: OutputComparison) -> Path:
    """Where `evaluate` keeps a comparison: a folder for each choice of models, tasks and way of asking."""
    numbers = {"level": found.level, "resamples": found.resamples}
    return _comparison(out, {"models": list(found.models), **numbers, "asked": found.settings["lm_eval"]})


def _comparison(out: str | os.PathLike[str], what: Mapping[str, Any]) -> Path:
    return Path(out) / f"comparison-{digest(what)[:8]}"


def _contents(folder: Path) -> str:
    """A hash of task files and what they read, so that none is taken for what it was before it was edited."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return digest({str(file.relative_to(folder)): hash_file(file) for file in files})


def _folder(source: str | os.PathLike[str], download: bool, code: bool) -> Path:
    """The folder of a model that lm-eval can load."""
    path = resolve(source, download=download, code=code)
    if isinstance(open_checkpoint(path), AdapterCheckpoint):
        raise ValidationError(f"{source} is an adapter; merge it with PEFT first, or evaluate the folder of a hybrid")
    if "," in str(path) or "=" in str(path):
        raise ValidationError(f"lm-eval cannot be given the path {path}: a comma or '=' separates its settings")
    return path


def _logs(name: str, model: Path, asked: HarnessRun, record: Mapping[str, Any], out: Path, *, quiet: bool) -> Path:
    """Sample logs of one model: found, or made; they appear together or not at all."""
    key = digest({"model": identity(open_checkpoint(model)), **record})[:8]
    done = out / f"{safe_name(name)}-{key}"
    if done.is_dir():
        return done
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix=".lm-eval-") as work:
        _run(name, asked, model, Path(work), quiet)
        found = [file for file in Path(work).rglob("*") if file.is_file() and file.suffix in (".json", ".jsonl")]
        if not any(file.suffix == ".jsonl" for file in found):
            raise ValidationError(f"lm-eval wrote no samples of {name}; see whether its tasks log any")
        part = Path(work) / "whole"
        part.mkdir()
        for file in found:
            shutil.move(file, part / file.name)
        write_json(part / "asked.json", {"model": str(model), **record, "include": asked.include})
        try:
            part.rename(done)
        except OSError as fault:
            raise OutputError(f"cannot write {done}: {fault.strerror}") from fault
    return done


def _run(name: str, asked: HarnessRun, model: Path, work: Path, quiet: bool) -> None:
    offline = {} if asked.download else {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    with subprocess.Popen(
        asked.command(model, work),
        env={**os.environ, **offline},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line.strip() or last
            if not quiet:
                print(line, end="", file=sys.stderr)
    if process.returncode:
        said = f"lm-eval failed on {name} (exit {process.returncode}): {one_line(last)}"
        raise ValidationError(said + _advice(last, asked))


def _advice(said: str, asked: HarnessRun) -> str:
    """What to do where lm-eval's last line tells what is wrong."""
    if "Tasks not found" in said:
        return "; `lm-eval ls tasks` lists its own, and include= (--include) names a folder with yours"
    absent = ("offline", "couldn't reach", "couldn't find cache")
    if not asked.download and any(word in said.lower() for word in absent):
        return "; datasets are read from the local cache: pass download=True (--download) to fetch them"
    return ""
