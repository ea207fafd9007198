import pytest

from slr_probe.errors import StudyError
from slr_probe.study.explained import explained
from slr_probe.study.settings import PRESETS, Settings
from slr_probe.study.toml import read_change, read_toml, read_value, write_toml


def through_a_file(tables, folder):
    file = folder / "study.toml"
    file.write_text(write_toml(tables), encoding="utf-8")
    return read_toml(file)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_toml(name, tmp_path):
    settings = Settings.preset(name)
    assert Settings.from_dict(through_a_file(settings.to_dict(), tmp_path)) == settings


def test_text_survives_toml(tmp_path):
    odd = 'C:\\tasks "mine"\n\té☃'
    assert through_a_file({"rank": {"task": odd}}, tmp_path)["rank"]["task"] == odd


def test_malformed_toml_names_the_line(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("[rank]\nfloor = 0.9\nsoups = maybe\n")
    with pytest.raises(StudyError, match=r"study\.toml is not TOML: .*line 3"):
        read_toml(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="not UTF-8"):
        read_toml(file)
    with pytest.raises(StudyError, match=r"cannot read .*absent\.toml"):
        read_toml(tmp_path / "absent.toml")


def test_single_values():
    assert read_value("3") == 3
    assert read_value("1e-3") == pytest.approx(0.001)
    assert read_value('"3"') == "3"
    assert read_value("organism") == "organism"


def test_single_changes():
    assert read_change("rank.floor = 0.8") == {"rank": {"floor": 0.8}}
    assert read_change('validate.families=["qa"]') == {"validate": {"families": ["qa"]}}
    with pytest.raises(StudyError, match=r"is not TABLE\.KEY=VALUE"):
        read_change("floor=0.8")


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_is_explained_and_comments_change_nothing(name, tmp_path):
    settings = Settings.preset(name)
    notes = explained()
    keys = {table: [*values] for table, values in settings.to_dict().items()}
    assert keys == {table: [*values] for table, values in notes.items()}
    assert all(note.strip() for keys in notes.values() for note in keys.values())
    file = tmp_path / "study.toml"
    file.write_text(write_toml(settings.to_dict(), notes), encoding="utf-8")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert Settings.from_dict(read_toml(file)) == settings
    assert max(map(len, lines)) <= 160
    assert lines[lines.index("[rank]") + 1].startswith("# JSON or JSONL file of prompts")


def test_a_comment_cannot_become_a_setting():
    text = write_toml({"rank": {"floor": 0.9}}, {"rank": {"floor": "of tuned\n[mask]\nenabled = true"}})
    assert text == "[rank]\n# of tuned [mask] enabled = true\nfloor = 0.9\n"
