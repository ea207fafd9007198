"""`Recording`: recorded activations, and `ActivationComparison`: how two models differ in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from slr_probe.errors import ResultError
from slr_probe.files import read_json
from slr_probe.output_folder import output_folder
from slr_probe.probes.activations.likeness import cosine, linear_cka, relative_distance
from slr_probe.probes.activations.store import FILE, Store, Stored, file_bytes, writing
from slr_probe.result import Result, Shown

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int
    from torch import Tensor

DESCRIPTION = "recording.json"
_KIND = "slr_probe.Recording/1"


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Shown):
    """Activations of several models at the same tokens; a row is one position of one prompt.

    Attributes:
        base: What the pair's base is.
        tuned: What its tuned side is.
        models: `"base"`, `"tuned"` and names of hybrids.
        points: Recorded points, such as `"resid_post"`.
        blocks: Recorded blocks.
        labels: A short text for each prompt.
        prompt: Prompt of each row.
        position: Its position in the prompt.
        token: The token id there.
        store: Where the activations lie.
    """

    view: ClassVar[str] = "recording"

    base: str
    tuned: str
    models: tuple[str, ...]
    points: tuple[str, ...]
    blocks: tuple[int, ...]
    labels: tuple[str, ...]
    prompt: Int[np.ndarray, " row"]
    position: Int[np.ndarray, " row"]
    token: Int[np.ndarray, " row"]
    store: Store

    def read(self, model: str, point: str, block: int) -> Float[Tensor, "row hidden"]:
        """Activations of one model at one point of one block, on the CPU, in the dtype they were computed in.

        From disk they are read at each call.

        Raises:
            ResultError: They were not recorded.
        """
        request = {"model": (model, self.models), "point": (point, self.points), "block": (block, self.blocks)}
        for what, (value, known) in request.items():
            if value not in known:
                raise ResultError(f"no {what} {value!r} in this recording; it has {', '.join(map(str, known))}")
        return self.store.read(tensor_name(model, point, block))

    def compare(self, one: str = "base", other: str = "tuned") -> ActivationComparison:
        """Cosine, relative distance and linear CKA between two recorded models, per point and block.

        Raises:
            ResultError: One of them was not recorded.
        """
        shape = (len(self.points), len(self.blocks))
        cosines, distances = (np.empty((*shape, len(self.prompt))) for _ in range(2))
        cka = np.empty(shape)
        for i, point in enumerate(self.points):
            for j, block in enumerate(self.blocks):
                x, y = self.read(one, point, block), self.read(other, point, block)
                cosines[i, j], distances[i, j] = cosine(x, y).numpy(), relative_distance(x, y).numpy()
                cka[i, j] = linear_cka(x, y)
        return ActivationComparison(
            one, other, self.points, np.array(self.blocks), self.prompt, cosines, distances, cka
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a model, point and block: number of rows and their mean norm; reads everything once."""
        import pandas as pd

        rows = []
        for model, point, block in product(self.models, self.points, self.blocks):
            norms = torch.linalg.vector_norm(self.read(model, point, block).double(), dim=1)
            place = {"model": model, "point": point, "block": block}
            rows.append({**place, "rows": len(self.prompt), "norm": float(norms.mean())})
        return pd.DataFrame(rows)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the recording to a new folder, which appears complete or not at all.

        Raises:
            OutputError: The folder is not empty, in use, or the disk is full.
        """
        folder = Path(out)
        first = self.read(self.models[0], self.points[0], self.blocks[0])
        shape = (first.shape[0], first.shape[1])
        shapes = {tensor_name(m, p, b): shape for m in self.models for p in self.points for b in self.blocks}
        with output_folder(folder, {"recording": id(self)}, needed=file_bytes(shapes, first.dtype)) as work:
            with writing(work, shapes, first.dtype) as store:
                for name in shapes:
                    store.write(name, 0, self.store.read(name))
            write_description(work, {f.name: getattr(self, f.name) for f in fields(self) if f.name != "store"})
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Recording:
        """Open a folder that `record(out=...)` or `save` wrote; activations are read when they are asked for.

        Raises:
            ResultError: The folder does not hold a recording.
        """
        path = Path(folder)
        try:
            data: dict[str, Any] = read_json(path / DESCRIPTION)
            kind = data.pop("kind")
            if kind == _KIND:
                given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
                given |= {key: np.array(data[key], dtype=np.int64) for key in ("prompt", "position", "token")}
                return cls(**given, store=Stored(path / FILE))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultError(f"{path} is not a saved recording: {error}") from error
        raise ResultError(f"{path} holds '{kind}', expected '{_KIND}'")


@dataclass(frozen=True, eq=False, repr=False)
class ActivationComparison(Result):
    """How the activations of two models differ at the same tokens.

    Attributes:
        one: First model.
        other: Second model.
        points: Points.
        block: Blocks.
        prompt: Prompt of each row.
        cosine: Cosine between the two, in [-1, 1].
        distance: `||other - one|| / ||one||`.
        cka: Linear CKA over all rows, in [0, 1]; see `likeness.linear_cka` for its bias with few rows.
    """

    kind: ClassVar[str] = "slr_probe.ActivationComparison/1"
    view: ClassVar[str] = "activations"

    one: str
    other: str
    points: tuple[str, ...]
    block: Int[np.ndarray, " block"]
    prompt: Int[np.ndarray, " row"]
    cosine: Float[np.ndarray, "point block row"]
    distance: Float[np.ndarray, "point block row"]
    cka: Float[np.ndarray, "point block"]

    def to_dataframe(self) -> pd.DataFrame:
        """One row a point and block; cosine and distance are means over rows."""
        import pandas as pd

        columns = {
            "point": np.repeat(self.points, len(self.block)),
            "block": np.tile(self.block, len(self.points)),
            "cosine": self.cosine.mean(2).ravel(),
            "distance": self.distance.mean(2).ravel(),
            "cka": self.cka.ravel(),
        }
        return pd.DataFrame(columns)


def tensor_name(model: str, point: str, block: int) -> str:
    """Name of one recorded tensor."""
    return f"{model}/{point}/{block}"


def write_description(folder: Path, described: Mapping[str, Any]) -> None:
    """Write what a recording is, beside its activations."""
    plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in described.items()}
    (folder / DESCRIPTION).write_text(json.dumps({"kind": _KIND, **plain}) + "\n", encoding="utf-8")
