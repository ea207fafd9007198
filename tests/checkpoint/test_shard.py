from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import _TYPES, save_file

from slr_probe.checkpoint.shard import DTYPES, Shard, read_bytes, read_chunks, read_tensor
from slr_probe.errors import CheckpointError

SHAPES = {"matrix": (5, 7), "vector": (11,), "scalar": (), "empty": (0, 3), "deep": (2, 1, 3)}


def random_tensor(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random bits of a dtype: every NaN, subnormal and infinity included."""
    count = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    highest = 2 if dtype == torch.bool else 256
    bits = torch.randint(highest, (count,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return bits.view(dtype).reshape(shape)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    flat = [t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other)]
    return (one.dtype, one.shape) == (other.dtype, other.shape) and torch.equal(*flat)


def write_raw(path: Path, header: Any, data: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {name: random_tensor(torch.float32, shape, i) for i, (name, shape) in enumerate(SHAPES.items())}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    return tmp_path / "x.safetensors"


def test_every_dtype_of_safetensors_is_known() -> None:
    assert set(DTYPES) >= set(_TYPES)
    for name, (attribute, size) in DTYPES.items():
        dtype = getattr(torch, attribute)
        assert torch.empty(0, dtype=dtype).element_size() == size
        assert _TYPES.get(name, dtype) == dtype


@pytest.mark.parametrize("name", DTYPES)
def test_reading_equals_safetensors_own_reader(name: str, tmp_path: Path) -> None:
    dtype = getattr(torch, DTYPES[name][0])
    tensors = {key: random_tensor(dtype, shape, i) for i, (key, shape) in enumerate(SHAPES.items())}
    path = tmp_path / "x.safetensors"
    save_file(tensors, path)
    shard = Shard.open(path)
    with safe_open(path, "pt") as reader:
        assert {info.name for info in shard.tensors} == set(reader.keys()) == set(tensors)
        for info in shard.tensors:
            expected = reader.get_tensor(info.name)
            assert same_bits(read_tensor(info), expected)
            assert (info.dtype, info.shape) == (name, tuple(expected.shape))
            assert info.nbytes == expected.nbytes == expected.numel() * info.itemsize
            for chunk in (8, 16, 1 << 20):
                pieces = [piece.clone() for piece in read_chunks(info, chunk)]
                joined = torch.cat(pieces) if pieces else torch.empty(0, dtype=dtype)
                assert same_bits(joined.reshape(info.shape), expected)
                assert b"".join(bytes(piece) for piece in read_bytes(info, chunk)) == raw_bytes(expected)
                assert all(piece.nbytes <= chunk for piece in pieces)


def raw_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_a_read_tensor_is_fresh_memory(file: Path) -> None:
    before = file.read_bytes()
    info = next(info for info in Shard.open(file).tensors if info.name == "matrix")
    read_tensor(info).fill_(3.0)
    assert file.read_bytes() == before


def test_the_header_is_kept(file: Path) -> None:
    shard = Shard.open(file)
    assert shard.metadata == {"format": "pt"}
    assert shard.header_size == 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert [info.start for info in shard.tensors] == sorted(info.start for info in shard.tensors)


def test_a_file_cut_anywhere_is_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in {*range(40), *range(0, len(whole), 7), *range(len(whole) - 20, len(whole))}:
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            Shard.open(cut)
    cut.write_bytes(whole)
    assert len(Shard.open(cut).tensors) == len(SHAPES)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="corrupt"):
        Shard.open(cut)


def test_truncation_is_called_truncation(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(
        CheckpointError, match=f"is truncated: its header describes {len(whole)} bytes, the file has {len(whole) - 1}"
    ):
        Shard.open(file)


def test_random_damage_to_the_header_never_passes_what_safetensors_refuses(file: Path, tmp_path: Path) -> None:
    whole = bytearray(file.read_bytes())
    end = 8 + int.from_bytes(whole[:8], "little")
    draw = random.Random(0)
    damaged = tmp_path / "damaged.safetensors"
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(end)] = draw.choice([draw.randrange(256), ord(draw.choice('0123456789[]{}",:'))])
        damaged.write_bytes(data)
        try:
            with safe_open(damaged, "pt") as reader:
                expected = set(reader.keys())
        except (SafetensorError, OSError):
            expected = None
        try:
            found = {info.name for info in Shard.open(damaged).tensors}
        except CheckpointError:
            found = None
            refused += 1
        assert found is None or found == expected
    assert refused > 150


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        [],
        3,
        None,
        {"a": None},
        {"a": {"dtype": "F32"}},
        {"a": entry(dtype="F31")},
        {"a": entry(dtype=["F32"])},
        {"a": entry(shape=[-1, -2])},
        {"a": entry(shape=["a", "b"])},
        {"a": entry(shape=[[2]])},
        {"a": entry(shape=2)},
        {"a": entry(shape=[2.0])},
        {"a": entry(shape=[3])},
        {"a": entry(offsets=[0])},
        {"a": entry(offsets=["0", "8"])},
        {"a": entry(offsets=[0.0, 8.0])},
        {"a": entry(offsets=[8, 0])},
        {"a": entry(offsets=[0, 16])},
        {"a": entry(offsets=[-8, 0])},
        {"a": entry(), "b": entry()},
        {"a": entry(), "b": entry(offsets=[4, 12])},
        {"a": entry(), "b": entry(offsets=[9, 17])},
        {"a": entry(offsets=[1, 9])},
    ],
    ids=lambda header: repr(header)[:60],
)
def test_a_header_that_lies_is_refused(header: Any, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "lie.safetensors", header, bytes(8))
    with pytest.raises(CheckpointError, match=r"lie\.safetensors") as caught:
        Shard.open(path)
    assert len(str(caught.value)) < 400
    with pytest.raises((SafetensorError, OSError)), safe_open(path, "pt"):
        pass


def test_overlapping_tensors_are_named(tmp_path: Path) -> None:
    header = {"a": entry(), "b": entry(offsets=[4, 12])}
    with pytest.raises(CheckpointError, match=r"tensor 'b' \[2\] F32 needs 8 bytes at .*, the header gives 8 at"):
        Shard.open(write_raw(tmp_path / "x", header, bytes(12)))


def test_a_header_that_claims_more_than_the_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="it has 10 bytes but its header alone claims 4611686018427387904"):
        Shard.open(path)


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        Shard.open(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="directory"):
        Shard.open(tmp_path)


def test_a_file_that_shrinks_after_its_header_was_read_is_noticed(file: Path) -> None:
    info = max(Shard.open(file).tensors, key=lambda info: info.stop)
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=f"ended inside tensor '{info.name}'"):
        read_tensor(info)
    with pytest.raises(CheckpointError, match=f"ended inside tensor '{info.name}'"):
        list(read_chunks(info))


@pytest.mark.parametrize("metadata", [{"format": 1}, {"a": ["b"]}, "text"], ids=str)
def test_a_header_that_safetensors_refuses_is_refused(metadata: Any, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.safetensors", {"__metadata__": metadata, "x": entry()}, bytes(8))
    with pytest.raises(CheckpointError):
        Shard.open(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_header_in_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.safetensors", json.dumps({"x": entry()}).encode(encoding), bytes(8))
    with pytest.raises(CheckpointError):
        Shard.open(path)
