"""Weight deltas against plain float64 NumPy, for folders, loaded models, adapters and pieces of any size."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from slr_probe import ModelPair
from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint
from slr_probe.checkpoint.names import address_tensors
from slr_probe.cli import program
from slr_probe.errors import CheckpointError, OutputError, ResultError, SlrProbeError
from slr_probe.probes.weights import measure as weights
from slr_probe.probes.weights import stream as weights_stream
from slr_probe.probes.weights.measure import WeightDelta, weight_delta
from slr_probe.probes.weights.spectral import EXACT_BELOW, spectral_norm
from slr_probe.show.weights import lines
from tests.tiny import FAMILIES, Pair, load, read_all, rewrite_tensor, write_checkpoint


def as_numpy(folder: Path) -> dict[str, Any]:
    return {name: tensor.double().numpy() for name, tensor in read_all(folder).items()}


def expected(base: Any, tuned: Any) -> dict[str, float]:
    """The measures of one tensor, written out."""
    delta = tuned - base
    norm = np.sqrt((delta**2).sum())
    top = np.linalg.norm(delta.reshape(-1, delta.shape[-1]) if delta.ndim > 1 else delta[None], 2)
    return {
        "delta_norm": norm,
        "base_norm": np.sqrt((base**2).sum()),
        "tuned_norm": np.sqrt((tuned**2).sum()),
        "relative": norm / np.sqrt((base**2).sum()),
        "cosine": (base * tuned).sum() / np.sqrt((base**2).sum() * (tuned**2).sum()),
        "changed": (base != tuned).mean(),
        "spectral_norm": top,
        "stable_rank": norm**2 / top**2 if top else math.nan,
    }


def check(delta: WeightDelta, base: dict[str, Any], tuned: dict[str, Any]) -> None:
    for i, row in delta.to_dataframe().iterrows():
        want = expected(base[row["name"]], tuned[row["name"]])
        loose = {"spectral_norm": row["spectral_error"] + 1e-6, "stable_rank": 2 * row["spectral_error"] + 2e-6}
        for key, value in want.items():
            assert row[key] == pytest.approx(value, rel=loose.get(key, 1e-12), abs=1e-14, nan_ok=True), (
                row["name"],
                key,
            )
        assert delta.shape[i] == base[row["name"]].shape


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_numpy_in_float64(family: str, pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of(family)
    delta = weight_delta(pair.base, pair.tuned)
    base, tuned = as_numpy(pair.base), as_numpy(pair.tuned)
    assert sorted(delta.name) == sorted(tuned)
    check(delta, base, tuned)
    addresses = address_tensors(tuned, pair.depth)
    for name, block, group, component in zip(delta.name, delta.block, delta.group, delta.component, strict=True):
        assert (addresses[name].block if block >= 0 else None) == addresses[name].block
        assert (group, component) == (addresses[name].group, addresses[name].component)
    assert list(delta.block[delta.block >= 0]) == sorted(delta.block[delta.block >= 0])
    assert delta.notes == ()


@pytest.mark.parametrize("dtypes", [(torch.bfloat16,) * 2, (torch.float16,) * 2, (torch.float32, torch.bfloat16)])
def test_dtypes(dtypes: tuple[torch.dtype, torch.dtype], tmp_path: Path) -> None:
    base, tuned = (write_checkpoint(tmp_path / str(i), "qwen2", seed=i, dtype=d) for i, d in enumerate(dtypes))
    check(weight_delta(base, tuned), as_numpy(base), as_numpy(tuned))


def test_tiny_changes_are_not_lost(own_pair: Callable[..., Pair]) -> None:
    """A change of one part in 10^12 cannot be got from the norms of base and tuned."""
    pair = own_pair("llama")
    name = "model.layers.1.mlp.up_proj.weight"
    weight = read_all(pair.base)[name].double()
    moved = weight.clone()
    moved[3, 4] += 1e-11
    for folder, value in ((pair.base, weight), (pair.tuned, moved)):
        rewrite_tensor(folder, name, lambda _, value=value: value)
    delta = weight_delta(pair.base, pair.tuned)
    row = delta.to_dataframe().set_index("name").loc[name]
    assert row["delta_norm"] == pytest.approx(float((moved - weight).norm()), rel=1e-12)
    assert row["changed"] == 1 / weight.numel()
    assert row["stable_rank"] == pytest.approx(1.0)


def test_zeros_of_either_sign_are_equal(own_pair: Callable[..., Pair]) -> None:
    pair, name = own_pair("llama"), "model.layers.0.mlp.up_proj.weight"
    rewrite_tensor(pair.base, name, torch.zeros_like)
    rewrite_tensor(pair.tuned, name, lambda tensor: -torch.zeros_like(tensor))
    row = weight_delta(pair.base, pair.tuned).to_dataframe().set_index("name").loc[name]
    assert (row["delta_norm"], row["changed"], row["spectral_norm"]) == (0, 0, 0)
    assert all(math.isnan(row[key]) for key in ("relative", "cosine", "stable_rank"))


def test_a_model_against_itself_is_zero(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of("gemma2")
    delta = weight_delta(pair.base, pair.base)
    assert not delta.delta_norm.any()
    assert not delta.changed.any()
    assert (delta.cosine == 1).all()
    assert "0.00%" in repr(delta)


def test_pieces_of_any_size_give_the_same(pair_of: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    pair = pair_of("phi3")
    whole = weight_delta(pair.base, pair.tuned)
    for module, name, value in ((weights_stream, "PIECE", 100), (weights_stream, "READ", 700), (weights, "_PART", 333)):
        monkeypatch.setattr(module, name, value)
    for spectral in ("none", "auto"):
        parts = weight_delta(pair.base, pair.tuned, spectral=spectral)  # type: ignore[arg-type]
        for key in ("delta_norm", "base_norm", "tuned_norm"):
            np.testing.assert_allclose(getattr(parts, key), getattr(whole, key), rtol=1e-13)
        assert np.array_equal(parts.changed, whole.changed)
    assert np.isnan(weight_delta(pair.base, pair.tuned, spectral="none").spectral_norm).all()


def test_matrices_too_large_to_hold_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_checkpoint(tmp_path / "base", "llama", seed=1)
    tuned = write_checkpoint(tmp_path / "tuned", "llama", seed=1)
    generator = torch.Generator().manual_seed(4)
    name = "model.layers.2.mlp.down_proj.weight"

    def change(tensor: torch.Tensor) -> torch.Tensor:  # a spectrum that falls by half at every step
        u, v = (torch.linalg.qr(torch.randn(n, 20, generator=generator))[0] for n in tensor.shape)
        return tensor + 1e-2 * (u * 0.5 ** torch.arange(20.0)) @ v.T

    rewrite_tensor(tuned, name, change)
    held = weight_delta(base, tuned)
    monkeypatch.setattr(weights_stream, "HELD", 100)
    monkeypatch.setattr(weights, "HELD", 100)
    again = weight_delta(base, tuned).to_dataframe().set_index("name").loc[name]
    assert again["spectral_norm"] == pytest.approx(1e-2, rel=1e-3)
    assert 0 < again["spectral_error"] < 1e-3
    assert again["spectral_norm"] == pytest.approx(held.spectral_norm[held.name.index(name)], rel=1e-3)
    assert math.isnan(weight_delta(base, base, spectral="auto").spectral_norm[0]) is False  # zero is known for free


def test_large_parts_outside_the_blocks_are_left_out_unless_asked_for(
    pair_of: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = pair_of("llama")
    monkeypatch.setattr(weights, "HELD", 4000)
    monkeypatch.setattr(weights_stream, "HELD", 4000)
    auto, everything = (weight_delta(pair.base, pair.tuned, spectral=s) for s in ("auto", "all"))
    left_out = [name for name, value in zip(auto.name, auto.spectral_norm, strict=True) if math.isnan(value)]
    assert left_out == ["model.embed_tokens.weight", "lm_head.weight"]
    assert np.isfinite(everything.spectral_norm).all()


# -- other sources -----------------------------------------------------------------------------------------------


TIED = ("llama_tied", "gemma3", "gpt2")


@pytest.mark.parametrize("family", ["llama", "llama_tied", "gemma3", "mixtral", "gpt2"])
def test_loaded_models_give_what_folders_give(family: str, pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of(family)
    disk = weight_delta(pair.base, pair.tuned)
    loaded = weight_delta(load(pair.base), load(pair.tuned))
    mixed = weight_delta(load(pair.base), pair.tuned)
    order = ["block", "group", "component", "delta_norm"]
    total = float((disk.delta_norm**2).sum())
    assert float((loaded.delta_norm**2).sum()) == pytest.approx(total, rel=1e-12)
    if family == "mixtral":  # loaded experts are fused into one tensor
        assert any("experts.0.w2.weight' is only in tuned" in note for note in mixed.notes)
    else:
        assert float((mixed.delta_norm**2).sum()) == pytest.approx(total, rel=1e-12)
        one, other = (d.to_dataframe().sort_values(order)[order].reset_index(drop=True) for d in (disk, loaded))
        assert one.round(9).equals(other.round(9))
    assert loaded.notes == (("'lm_head.weight' is tied to a tensor that is compared already",) * (family in TIED))


def test_a_pair_is_taken_as_it_is(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of("llama")
    one, other = weight_delta(ModelPair.load(pair.base, pair.tuned)), weight_delta(pair.base, pair.tuned)
    assert one.rows() == other.rows()
    with pytest.raises(SlrProbeError, match="a ModelPair holds both"):
        weight_delta(ModelPair.load(pair.base, pair.tuned), pair.tuned)
    with pytest.raises(SlrProbeError, match="needs two checkpoints"):
        weight_delta(pair.base)
    with pytest.raises(SlrProbeError, match="unknown spectral='some'"):
        weight_delta(pair.base, pair.tuned, spectral="some")  # type: ignore[arg-type]


def write_adapter(folder: Path, shapes: dict[str, tuple[int, int]], *, rank: int = 3, **config: Any) -> dict[str, Any]:
    """A LoRA adapter for modules of these `(out, in)` sizes; returns its dense deltas in float64, unscaled."""
    folder.mkdir()
    generator, tensors, dense = torch.Generator().manual_seed(9), {}, {}
    for module, (rows, columns) in shapes.items():
        a, b = torch.randn(rank, columns, generator=generator), torch.randn(rows, rank, generator=generator)
        b[1] = 0  # one row of the weight does not change
        tensors[f"base_model.model.{module}.lora_A.weight"], tensors[f"base_model.model.{module}.lora_B.weight"] = a, b
        dense[f"{module}.weight"] = (b.double() @ a.double()).numpy()
    save_file(tensors, folder / "adapter_model.safetensors")
    fields = {"peft_type": "LORA", "r": rank, "lora_alpha": 6, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    return dense


@pytest.mark.parametrize(
    ("family", "shapes", "config", "scaling"),
    [
        ("llama", {"model.layers.1.mlp.down_proj": (32, 48), "model.layers.3.self_attn.q_proj": (32, 32)}, {}, 2.0),
        ("llama", {"model.layers.1.mlp.up_proj": (48, 32)}, {"use_rslora": True}, 6 / math.sqrt(3)),
        ("gpt2", {"transformer.h.2.attn.c_attn": (96, 32)}, {"fan_in_fan_out": True}, 2.0),
    ],
)
def test_adapters_are_measured_without_merging(
    family: str,
    shapes: Any,
    config: Any,
    scaling: float,
    pair_of: Callable[[str], Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base_folder = pair_of(family).base
    dense = write_adapter(tmp_path / "adapter", shapes, **config)
    monkeypatch.setattr("slr_probe.checkpoint.adapter.LowRank.delta", None)  # the product must not be formed
    monkeypatch.setattr(weights_stream, "READ", 200)
    delta = weight_delta(base_folder, tmp_path / "adapter")
    base = as_numpy(base_folder)
    tuned = {
        name: value + scaling * (dense[name].T if config.get("fan_in_fan_out") else dense[name])
        if name in dense
        else value
        for name, value in base.items()
    }
    table = delta.to_dataframe().set_index("name")
    assert set(table.index[table["delta_norm"] > 0]) == set(dense)
    for name in dense:
        want = expected(base[name], tuned[name])
        for key, value in want.items():
            # cosine: base passes in float32
            assert table.loc[name, key] == pytest.approx(
                value, rel=1e-7 if key in ("cosine", "tuned_norm") else 1e-10
            ), key
        assert table.loc[name, "spectral_error"] == 0
    assert not delta.notes


def test_tensors_that_an_adapter_carries_whole(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base_folder = pair_of("llama").base
    write_adapter(tmp_path / "adapter", {"model.layers.1.mlp.up_proj": (48, 32)}, modules_to_save=["lm_head"])
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    head = torch.randn(128, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    both = torch.randn(48, 32, generator=torch.Generator().manual_seed(3))
    name = "model.layers.1.mlp.up_proj.weight"  # replaced, and then changed at low rank
    whole = {"base_model.model.lm_head.weight": head, f"base_model.model.{name}": both}
    save_file({**read_adapter(file), **whole}, file)
    delta = weight_delta(base_folder, tmp_path / "adapter")
    merged = AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base_folder))
    tensors = {key: merged.read(key).double().numpy() for key in merged.tensors}
    assert np.array_equal(tensors["lm_head.weight"], head.float().double().numpy())  # in the dtype of base
    assert not np.array_equal(tensors[name], both.double().numpy())
    check(delta, as_numpy(base_folder), tensors)


def read_adapter(file: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


def test_tensors_of_one_side_only_are_named(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("llama_tied")
    file = pair.tuned / "model.safetensors"
    save_file({**read_adapter(file), "lm_head.weight": torch.ones(128, 32)}, file, metadata={"format": "pt"})
    delta = weight_delta(pair.base, pair.tuned)
    assert "lm_head.weight" not in delta.name
    assert [note for note in delta.notes if "lm_head.weight" in note]


def test_the_embedded_pair() -> None:
    from slr_probe import organism

    delta = weight_delta("organism:base", "organism:dpo")
    base, tuned = as_numpy(organism.path("base")), as_numpy(organism.path("dpo"))
    assert set(delta.name) == set(tuned)
    assert delta.delta_norm[list(delta.block).index(4)] > 0
    for row in delta.to_dataframe().to_dict(orient="records"):
        one, other = base[row["name"]], tuned[row["name"]]
        assert row["delta_norm"] == pytest.approx(np.linalg.norm(other - one), rel=1e-12)
        assert row["changed"] == (one != other).mean()


@pytest.mark.skipif("SLR_PROBE_PAIR" not in os.environ, reason="needs the real pair")
def test_the_real_pair() -> None:
    folder = Path(os.environ["SLR_PROBE_PAIR"])
    delta = weight_delta(folder / "base", folder / "tuned")
    name = "model.layers.9.mlp.down_proj.weight"
    base, tuned = (read_all(folder / side)[name].double().numpy() for side in ("base", "tuned"))
    row = delta.to_dataframe().set_index("name").loc[name]
    for key, value in expected(base, tuned).items():
        assert row[key] == pytest.approx(value, rel=1e-3 if key in ("spectral_norm", "stable_rank") else 1e-12), key


# -- tables, files, figure ---------------------------------------------------------------------------------------


def test_tables_by_block_and_group_sum_up(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of("gemma3_text")
    delta = weight_delta(pair.base, pair.tuned)
    base, tuned = as_numpy(pair.base), as_numpy(pair.tuned)

    def joined(inside: Callable[[str], bool]) -> dict[str, float]:
        one, other = (np.concatenate([t[n].ravel() for n in sorted(t) if inside(n)]) for t in (base, tuned))
        return {
            k: v for k, v in expected(one, other).items() if k not in ("spectral_norm", "stable_rank", "tuned_norm")
        }

    blocks = delta.to_dataframe(by="block").set_index("block")
    assert list(blocks.index) == [0, 1, 2, 3]
    want = joined(lambda n: n.startswith("model.layers.2.") and base[n].ndim > 1)
    for key, value in want.items():
        assert blocks.loc[2, key] == pytest.approx(value, rel=1e-12), key
    groups = delta.to_dataframe(by="group").set_index(["block", "group"])
    want = joined(lambda n: n.startswith("model.layers.1.self_attn"))
    for key, value in want.items():
        assert groups.loc[(1, "attention"), key] == pytest.approx(value, rel=1e-12), key
    inside = (delta.block == 2) & np.array([len(shape) > 1 for shape in delta.shape])
    assert blocks.loc[2, "spectral_norm"] == delta.spectral_norm[inside].max()
    assert (-1, "embedding") in groups.index
    with pytest.raises(ValueError, match="'matrix', 'block' or 'group'"):
        delta.to_dataframe(by="layer")  # type: ignore[arg-type]


def test_saves_and_loads_without_pickle(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    pair = pair_of("llama")
    delta = weight_delta(pair.base, pair.tuned, spectral="none")
    file = delta.save(tmp_path / "new" / "delta")
    assert [p.name for p in file.parent.iterdir()] == ["delta.npz"]
    back = WeightDelta.load(tmp_path / "new" / "delta")
    assert back.rows() == delta.rows()
    assert back.shape == delta.shape
    assert repr(back) == repr(delta)
    assert "<table" in back._repr_html_()
    with np.load(file, allow_pickle=False) as stored:
        assert stored["delta_norm"].dtype == np.float64


def test_files_that_hold_something_else(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    pair = pair_of("llama")
    file = weight_delta(pair.base, pair.tuned, spectral="none").save(tmp_path / "delta.npz")
    whole = file.read_bytes()
    for damage in (whole[:-200], b"not a zip", b""):
        file.write_bytes(damage)
        with pytest.raises(ResultError, match="not a saved result"):
            WeightDelta.load(file)
    np.savez(file, x=np.array([{}], dtype=object))
    with pytest.raises(ResultError, match="not a saved result"):
        WeightDelta.load(file)
    with pytest.raises(ResultError, match="cannot read"):
        WeightDelta.load(tmp_path / "absent.npz")


def test_a_full_disk_leaves_the_old_file(
    pair_of: Callable[[str], Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = pair_of("llama")
    delta = weight_delta(pair.base, pair.tuned, spectral="none")
    file = delta.save(tmp_path / "delta.npz")
    before = file.read_bytes()

    def full(handle: Any, **arrays: Any) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match="no space left on the disk; nothing was left behind"):
        delta.save(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_figure_shows_every_block_and_component(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of("llama")
    delta = weight_delta(pair.base, pair.tuned)
    left, right, _ = delta.plot().axes
    attention = left.get_lines()[0]
    groups = delta.to_dataframe(by="group")
    matrices = groups[groups["group"] == "attention"]
    assert [text.get_text() for text in right.get_yticklabels()] == ["q", "k", "v", "o", "gate", "up", "down"]
    cells = right.get_images()[0].get_array()
    assert cells.shape == (7, 4)
    table = delta.to_dataframe().set_index(["block", "component"])["relative"]
    assert [cells[4, 2]] == table.loc[[(2, "gate")]].tolist()
    assert attention.get_xdata().tolist() == [0, 1, 2, 3] == matrices["block"].tolist()


# -- bad weights, threads, command line --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_names_a_tensor_that_is_not_finite(side: str, value: float, own_pair: Callable[..., Pair]) -> None:
    pair, name = own_pair("llama"), "model.layers.1.self_attn.k_proj.weight"

    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        tensor[0, 0] = value
        return tensor

    rewrite_tensor(getattr(pair, side), name, spoil)
    with pytest.raises(CheckpointError, match=rf"{side} \(.*\): tensor '{name}' has NaN or infinite weights"):
        weight_delta(pair.base, pair.tuned)


def test_threads_are_left_as_they_were(pair_of: Callable[[str], Pair], own_pair: Callable[..., Pair]) -> None:
    pair, before = pair_of("llama"), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        one = weight_delta(pair.base, pair.tuned)
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
        torch.set_num_threads(1)
        assert weight_delta(pair.base, pair.tuned).rows() == one.rows()
    finally:
        torch.set_num_threads(before)


def test_command_line(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    pair = pair_of("llama")
    out, rows = tmp_path / "out", tmp_path / "rows.json"
    found = CliRunner().invoke(
        program(), ["delta", str(pair.base), str(pair.tuned), "--out", str(out), "--json", str(rows), "--quiet"]
    )
    assert found.exit_code == 0, found.output
    data = json.loads(rows.read_text())
    reference = weight_delta(pair.base, pair.tuned)
    assert data == json.loads(json.dumps(reference.rows()))
    assert len(data) == len(reference.name)
    assert {"block", "component", "delta_norm", "base_norm", "relative"} <= data[0].keys()
    assert [row["block"] for row in data if row["component"] == "down"] == [0, 1, 2, 3]
    assert sorted(p.name for p in out.iterdir()) == [f"weight_delta.{kind}" for kind in ("csv", "npz", "pdf", "png")]
    assert WeightDelta.load(out / "weight_delta.npz").rows() == reference.rows()
    plain = CliRunner().invoke(program(), ["delta", str(pair.base), str(pair.tuned), "--no-spectral"])
    assert plain.exit_code == 0
    assert "nan" not in plain.output
    columns, cells = lines(weight_delta(pair.base, pair.tuned, spectral="none"))
    assert {row[columns.index("spectral")] for row in cells} == {""}


# -- singular values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 300), (300, 1), (7, 5), (EXACT_BELOW, 500), (EXACT_BELOW + 1, 500), (500, 300), (300, 1000)]
)
@pytest.mark.parametrize("kind", ["noise", "low rank", "two equal values", "tiny"])
def test_spectral_norm(shape: tuple[int, int], kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == "low rank":
        matrix = matrix[:, :1] @ matrix[:1] + 1e-4 * matrix
    elif kind == "two equal values":
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        s[: min(2, len(s))] = s[0]
        matrix = (u * s) @ v
    elif kind == "tiny":
        matrix *= 1e-30
    value, error = spectral_norm(matrix.float())
    top = float(torch.linalg.matrix_norm(matrix.float().double(), 2))
    assert error <= 1e-3
    assert (error == 0) == (min(shape) <= EXACT_BELOW)
    assert top * (1 - max(error, 1e-6)) <= value <= top * (1 + 1e-5)
    assert spectral_norm(torch.zeros(shape)) == (0, 0)
