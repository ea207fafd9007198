"""`Judge`: anything that gives an output a number. `judge_all` asks it about many; `load` loads a model that scores."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.checkpoint import resolve
from slr_probe.errors import CheckpointError, JudgeError, foreign
from slr_probe.pair.offline import offline, with_own_code
from slr_probe.progress import progress_bar

_UNBOUNDED = 1 << 30  # tokenizers without a limit say 1e30


class Judge(Protocol):
    """Any callable of prompt and output that returns a number, higher is better, or None where it has no verdict."""

    def __call__(self, prompt: str, text: str, /) -> float | None:
        """The verdict on one output."""


def judge_all(
    judge: Judge, prompts: Sequence[str], texts: Sequence[str], *, workers: int = 1, progress: bool | None = None
) -> Float[ndarray, " text"]:
    """Ask a judge about every output; equal pairs of prompt and output are asked about once.

    Args:
        judge: The judge. What it raises is not caught.
        prompts: User message for each output.
        texts: The outputs.
        workers: Questions at a time, for judges that wait for a network.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        NaN where the judge has no verdict: missing, and to be counted as such.

    Raises:
        JudgeError: Numbers of prompts and texts differ, or a verdict is neither a number nor None.
    """
    if len(prompts) != len(texts):
        raise JudgeError(f"one prompt for each text: got {len(prompts)} prompts and {len(texts)} texts")
    if workers < 1:
        raise JudgeError(f"workers must be at least 1; got {workers}")
    unique = list(dict.fromkeys(zip(prompts, texts, strict=True)))
    verdicts: dict[tuple[str, str], float] = {}
    steps = progress_bar(len(unique), "judge", unit=" texts", show=progress)
    with steps as ticker, ThreadPoolExecutor(workers) as pool:
        ask = map if workers == 1 else pool.map
        for pair, verdict in zip(unique, ask(lambda pair: judge(*pair), unique), strict=True):
            verdicts[pair] = _number(verdict)
            ticker.update()
    return np.array([verdicts[pair] for pair in zip(prompts, texts, strict=True)], dtype=np.float64)


def _number(verdict: object) -> float:
    if verdict is None:
        return math.nan
    if isinstance(verdict, bool) or not isinstance(verdict, (int, float, np.integer, np.floating)):
        raise JudgeError(f"a judge returns a number, or None for no verdict; got {verdict!r}")
    number = float(verdict)
    return number if math.isfinite(number) else math.nan


def find_folder(name: str | os.PathLike[str], what: str, download: bool) -> Path:
    """The folder of a model.

    Raises:
        JudgeError: It is absent; the message says what to do.
    """
    try:
        return resolve(name, download=download, nested=True)
    except CheckpointError as error:
        raise JudgeError(f"the {what} {os.fspath(name)!r} cannot be found: {error}") from error


def load(auto: str, folder: Path, what: str, device: Any = None, **options: Any) -> tuple[Any, Any]:
    """Model (in evaluation mode, float32 unless said otherwise) and tokenizer of a folder.

    Args:
        auto: Which of transformers' auto classes.
        folder: Where.
        what: What it is for, in messages.
        device: Where to; default: CUDA where there is one, else CPU.
        options: Handed to `from_pretrained`.

    Raises:
        JudgeError: transformers cannot load it, or weights that it needs are missing.
    """
    import torch
    import transformers

    options = {"dtype": torch.float32, **options}
    with foreign(JudgeError, f"transformers cannot load the {what} from {folder}"), offline():
        config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        model, info = getattr(transformers, auto).from_pretrained(
            folder,
            config=with_own_code(config),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    missing = sorted(name for name in info["missing_keys"] if "position_ids" not in name and "pooler" not in name)
    if missing:
        raise JudgeError(f"the {what} in {folder} lacks {len(missing)} tensor(s) that it needs, first '{missing[0]}'")
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with foreign(JudgeError, f"the {what} cannot be put on device {str(where)!r}"):
        return model.to(where).eval(), tokenizer


def longest_input(model: Any, tokenizer: Any) -> int | None:
    """Tokens that an encoder has positions for, special ones included; None where its files set no bound."""
    bounds = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            # RoBERTa and its kind count positions from behind the padding token.
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            bounds.append(module.num_embeddings - unused)
    finite = [bound for bound in bounds if isinstance(bound, int) and 0 < bound < _UNBOUNDED]
    return min(finite, default=None)
