"""A hybrid on the hub: all of it, and no path of this machine; somebody else verifies and rebuilds it."""

import json

import pytest
import yaml

from slr_probe import Recipe, restore, verify_hybrid
from slr_probe.errors import CheckpointError, OutputError, ValidationError
from slr_probe.sharing import apply_patch, publish, reproduce, save_patch
from slr_probe.show.card import measured
from slr_probe.show.words.validation import warmer
from tests.sharing.hub import Hub

IDS = {"base_id": "org/base", "tuned_id": "org/chat"}


@pytest.fixture
def hub(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    found = Hub()
    yield found
    found.close()


@pytest.fixture
def hybrid(pair_of, tmp_path):
    return restore(*pair_of("llama").folders, "1:3", tmp_path / "hybrid")


def _push(hub, hybrid, **options):
    return publish(hybrid, "me/hybrid", token="hf_x", endpoint=hub.address, **{**IDS, **options})


def test_all_of_it_is_there(hub, hybrid):
    address = _push(hub, hybrid, measured="| a | b |")
    assert address.endswith("/me/hybrid")
    assert hub.messages == ["Hybrid: restore 1:3 of 4"]
    pushed = hub.repos["me/hybrid"]
    assert set(pushed) == {str(file.relative_to(hybrid)) for file in hybrid.rglob("*") if file.is_file()}
    for name, data in pushed.items():
        assert (data == (hybrid / name).read_bytes()) == (name not in ("README.md", "recipe.json")), name


def test_the_card_says_what_it_is_made_of(hub, hybrid, pair_of):
    _push(hub, hybrid, measured="| task | EAD |")
    card = hub.repos["me/hybrid"]["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == ["org/base", "org/chat"]
    assert head["base_model_relation"] == "merge"
    assert {"merge", "slr_probe"} <= set(head["tags"])
    assert "| task | EAD |" in card
    assert "slr-probe reproduce recipe.json --out hybrid --download" in card  # whoever reads it has neither source


def test_no_path_of_this_machine_is_told(hub, hybrid, pair_of):
    _push(hub, hybrid)
    for name in ("README.md", "recipe.json"):
        text = hub.repos["me/hybrid"][name].decode()
        for place in (pair_of("llama").base, hybrid, hybrid.parent):
            assert str(place) not in text
    with pytest.raises(OutputError, match="would hold the path"):
        _push(hub, hybrid, measured=f"see {hybrid.resolve()}")


def test_somebody_else_verifies_and_rebuilds_it(hub, hybrid, pair_of, tmp_path):
    _push(hub, hybrid, measured="measured")
    got = tmp_path / "got"
    for name, data in hub.repos["me/hybrid"].items():
        (got / name).parent.mkdir(parents=True, exist_ok=True)
        (got / name).write_bytes(data)
    here = dict(zip(("base", "tuned"), pair_of("llama").folders, strict=True))
    assert verify_hybrid(got, **here).problems == ()
    assert reproduce(got, tmp_path / "again", **here).ok


def test_a_private_repository(hub, hybrid):
    _push(hub, hybrid, private=True)
    assert hub.private["me/hybrid"] in (True, "private")


def test_a_hybrid_that_a_patch_made_is_published(hub, pair_of, tmp_path):
    """It knows base and tuned by words that stand in every card, which were taken for paths of this machine."""
    base, tuned = pair_of("llama").folders
    patch = save_patch(base, tuned, "1:3", tmp_path / "patch.safetensors", base_id="base", tuned_id="tuned")
    hybrid = apply_patch(patch, tuned, tmp_path / "applied")
    record = json.loads((hybrid / "recipe.json").read_text())
    assert record["base"]["path"] == "base"
    _push(hub, hybrid)
    pushed = json.loads(hub.repos["me/hybrid"]["recipe.json"])
    assert {pushed[role]["source"] for role in ("base", "tuned")} == set(IDS.values())
    assert pushed["notes"] == record["notes"]
    with pytest.raises(CheckpointError, match=r"base was .base., which is not here; .*--base"):
        verify_hybrid(hybrid)


def test_sources_need_names_that_others_know(hybrid):
    with pytest.raises(CheckpointError, match="--base-id org/name"):
        publish(hybrid, "me/hybrid")
    with pytest.raises(CheckpointError, match="--tuned-id org/name"):
        publish(hybrid, "me/hybrid", base_id="org/base", tuned_id="/home/me/run")


def test_a_hybrid_that_was_edited_is_not_published(hybrid):
    (hybrid / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        publish(hybrid, "me/hybrid", **IDS)


def test_weights_that_were_edited_are_not_published(hybrid):
    for file in hybrid.glob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    with pytest.raises(CheckpointError, match="the weights"):
        publish(hybrid, "me/hybrid", **IDS)


def test_what_the_hub_refuses_is_one_error(hub, hybrid):
    hub.refuses = True
    with pytest.raises(OutputError, match="cannot publish to me/hybrid; to try again: slr-probe publish "):
        _push(hub, hybrid)
    with pytest.raises(OutputError, match="expected org/name"):
        publish(hybrid, "hybrid", **IDS)


def test_embedded_sources_are_known_to_all(hub, tmp_path):
    hybrid = restore("organism:base", "organism:dpo", "0:8", tmp_path / "hybrid")
    publish(hybrid, "me/hybrid", token="hf_x", endpoint=hub.address)
    record = json.loads(hub.repos["me/hybrid"]["recipe.json"])
    assert record["base"]["source"] == record["base"]["path"] == "organism:base"


@pytest.fixture
def validated(pair_of, tmp_path):
    """A validation of the hybrid, saved."""
    from slr_probe import ModelPair, validate
    from slr_probe.tasks.text import Item, TextTask

    task = TextTask("own (test)", "own", tuple(Item(f"w{i}", f"Write {i}") for i in range(4)), 6, 3, "test")
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    report = validate(pair, {"mine": "1:3", "other": "0:1"}, task, baselines=["temperature"], crc=False)
    return report, report.save(tmp_path / "report.npz")


def test_the_table_of_a_validation(validated):
    report, _ = validated
    text = measured(report, Recipe.restore("1:3", 4))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert [row[:2] for row in rows[2:]] == [["own", "EAD"], ["own", "follows the instruction (share)"]]
    at = report.at("own (test)", "mine", "ead")
    for cell, m in ((rows[2][2], 0), (rows[2][3], at[1])):
        assert float(cell.split()[0]) == pytest.approx(report.comparisons.mean.estimate[at[0], m, at[2]], abs=5e-3)
    assert "other" not in text
    assert f"- {warmer(report)[0]}" in text  # what speaks against it is said as well
    with pytest.raises(ValidationError, match="the validation is of mine, other"):
        measured(report, Recipe.restore("1:2", 4))


def test_restore_and_push_on_the_command_line(run, hub, pair_of, validated, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    build = ["restore", *pair_of("llama").folders, "--layers", "1:3", "--out", tmp_path / "out", "--quiet"]
    push = ["--push", "me/hybrid", "--measured", validated[1]]
    code, _, err = run(*build, *push)
    assert (code, "--base-id" in err) == (2, True)
    assert not (tmp_path / "out").exists()  # it is noticed before the work
    code, text, err = run(*build, *push, "--base-id", "org/base", "--tuned-id", "org/chat")
    assert code == 0, err
    assert "published:" in text
    assert "| own | EAD |" in hub.repos["me/hybrid"]["README.md"].decode()
    code, text, _ = run("publish", tmp_path / "out", "me/again", "--private")
    assert code == 0
    assert "recipe.json" in hub.repos["me/again"]


def test_what_is_for_publishing_needs_it(run, pair_of, tmp_path):
    code, _, err = run("restore", *pair_of("llama").folders, "--layers", "1:3", "--out", tmp_path / "out", "--private")
    assert (code, "--push" in err) == (2, True)
