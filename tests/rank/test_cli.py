import json

import pytest
import torch

from slr_probe.rank import RangeRanking
from slr_probe.show.words.plain import advice
from slr_probe.tasks import CRCItem, CRCTask


@pytest.fixture(scope="module")
def folders(pair, tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    for side in ("base", "tuned"):
        getattr(pair, side).save_pretrained(root / side)
        pair.tokenizer.save_pretrained(root / side)
    return root / "base", root / "tuned"


def test_rank(run, folders, task, tmp_path):
    file = task.save(tmp_path / "task.json")
    asked = ["--task", file, "--floor", 0.5, "--quiet", "--device", "cpu", "--soups", "0"]
    written = ["--out", tmp_path / "out", "--json", tmp_path / "ranking.json"]
    code, out, _ = run("rank", *folders, *asked, *written)
    assert code == 0
    found = RangeRanking.load(tmp_path / "out" / "ranking.npz")
    assert (f"--layers {found.choice.layers}" in out) == (found.choice.layers is not None)
    assert "best " in out
    assert " ".join(advice(found, found.choice).split()) in " ".join(out.split())
    data = json.loads((tmp_path / "ranking.json").read_text())
    assert data == json.loads(json.dumps(found.to_dict()))
    assert {"tuned", "base", "best", "candidates"} <= data.keys()
    for record in [*data["candidates"], data["tuned"], data["base"], data["best"]]:
        assert 0 <= record["validity"] <= 1
        assert 0 <= record["diversity"] <= 1
        low, high = record["diversity_interval"]
        assert low <= record["diversity"] <= high
    assert [data["best"]["start"], data["best"]["stop"]] == [found.best.start, found.best.stop]
    assert {(c["start"], c["stop"]) for c in data["candidates"]} == {(r.start, r.stop) for r in found.ranges}
    assert (tmp_path / "out" / "ranking.pdf").stat().st_size > 5000
    assert (tmp_path / "out" / "ranking.png").stat().st_size > 5000


def test_two_equal_models_leave_nothing_to_restore(run, folders, task, tmp_path):
    file = task.save(tmp_path / "task.json")
    base, _ = folders
    code, out, _ = run(
        "rank", base, base, "--task", file, "--json", tmp_path / "ranking.json", "--quiet", "--soups", "0"
    )
    assert code == 0
    choice = json.loads((tmp_path / "ranking.json").read_text())["choice"]
    assert choice["layers"] is None
    assert not choice["confirmed"]
    assert "--layers" not in out
    assert choice["why"] in out


def test_where_no_range_passes_a_warmer_tuned_is_named(run, folders, pair, tmp_path):
    """Valid answers are what tuned is likeliest to say, which no hybrid of random models says as often."""
    items = []
    for i, prompt in enumerate(f"Say {word}." for word in ("one", "two", "three", "four", "five", "six")):
        ids = torch.tensor([pair.prompts(prompt, "chat")])
        likely = [pair.tokenizer.decode([token]) for token in pair.tuned(ids).logits[0, -1].topk(20).indices]
        answers = [text for text in likely if text.isalnum() and len(text) == 1][:2]
        items.append(CRCItem(prompt, tuple(answers), "letters", False, "held_out" if i % 2 else "selection"))
    file = CRCTask.of(items).save(tmp_path / "task.json")
    asked = ["--task", file, "--floor", 0.95, "--quiet", "--device", "cpu", "--soups", "0"]
    code, out, _ = run("rank", *folders, *asked, "--out", tmp_path / "out")
    assert code == 0
    found = RangeRanking.load(tmp_path / "out" / "ranking.npz")
    assert found.choice.layers is None
    assert found.warmest.diversity.mean() > found.means("diversity")[found.tuned]
    said = " ".join(out.split())
    assert f"Use temperature: tuned at {found.warmest.temperature:.2f} reaches" in said
    assert "--layers" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "magic"], "unknown method 'magic'"),
        (["--floor", "0"], "floor must lie above 0"),
        (["--task", "absent.json"], "cannot read absent.json"),
        (["--memory", "lots"], "memory must be a size"),
        (["--method", "attribution", "--temperature", "-1"], "temperature must be above 0"),
        (["--min-p", "1"], "no probability (min_p=1)"),
    ],
)
def test_bad_input_is_one_line(run, folders, task, tmp_path, arguments, message):
    file = task.save(tmp_path / "task.json")
    code, _, err = run("rank", *folders, "--quiet", "--task", file, *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
