import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser

import pytest

from slr_probe.errors import StudyError
from slr_probe.show.words.format import typeset
from slr_probe.study.folder import Findings
from slr_probe.study.report import write_report
from slr_probe.study.report.page import verdict
from slr_probe.study.report.ranges import asked
from slr_probe.tasks.crc import CRCTask

PAPER = "https://arxiv.org/abs/2602.06665"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """Collects addresses and ids, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.addresses, self.ids, self.open, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [
            found[name] for name in ("src", "href", "data", "action", "poster", "srcset") if name in found
        ]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def spaced(text):
    return " ".join(typeset(text).split())


@pytest.fixture(scope="module")
def page(done):
    return (done / "report.html").read_text(encoding="utf-8")


def test_it_is_whole_and_needs_no_other_file(page):
    reader = read(page)
    others = [address for address in reader.addresses if not address.startswith("data:image/png;base64,")]
    others.remove(PAPER)  # a link is followed by readers, not by the page
    assert all(address.startswith("#") and address[1:] in reader.ids for address in others)
    assert len(set(reader.ids)) == len(reader.ids)
    assert not re.search(r"@import|url\((?!#)|<link|<iframe|<object|<embed|fetch\(|XMLHttpRequest|import\(", page)
    rest = page.replace("http://www.w3.org/2000/svg", "").replace(f'<a href="{PAPER}">', "")
    assert not re.search(r"https?://|//cdn", rest)
    assert len(page) < 1_000_000


def test_it_says_what_was_found(page, done):
    found = Findings(done)
    text = " ".join(" ".join(read(page).text).split())  # no-break spaces are spaces here
    for sentence in verdict(found):
        assert spaced(sentence) in text
    assert spaced(found.validation.verdicts[0][1:]) in text
    assert f"Blocks {found.ranking.best} of 10: the most diverse of the" in text
    for record in found.run["stages"].values():
        if record["stage"] != "report":
            assert spaced(record["summary"]) in text
    assert found.run["versions"]["torch"] in text
    assert "[rank]" in text


def test_the_same_study_gives_the_same_report(page, done, tmp_path):
    copy = shutil.copytree(done, tmp_path / "study")
    again = write_report(copy, prompts=2, samples=4).read_text(encoding="utf-8")
    # The stage `report` itself was not finished when the first one was written.
    cut = re.compile(r'<table class="stages">.*?</table>', re.DOTALL)
    assert cut.sub("", again) == cut.sub("", page)


def test_text_of_models_and_names_is_escaped(done, tmp_path):
    copy = shutil.copytree(done, tmp_path / "study")
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    outputs = sorted((copy / "validate" / "outputs").rglob("*.jsonl"))
    assert outputs
    for file in outputs:
        file.write_text(re.sub(r'"text": ?"(?:[^"\\]|\\.)*"', lambda _: f'"text": "{evil}"', file.read_text()))
    run = (copy / "run.json").read_text().replace("organism:dpo", "<b>bold</b> & co")
    (copy / "run.json").write_text(run)
    page = write_report(copy).read_text()
    assert evil not in page
    assert "<b>bold</b>" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page
    read(page)


def test_what_was_not_done_is_left_out(done, tmp_path):
    copy = shutil.copytree(done, tmp_path / "study")
    run = (copy / "run.json").read_text()
    for name in ("delta", "lens", "patching", "validate", "rank"):
        run = re.sub(rf'("stage": "{name}",\s*"key": "[^"]*",\s*"status": )"done"', r'\1"skipped"', run)
    (copy / "run.json").write_text(run)
    reader = read(write_report(copy).read_text())
    assert "provenance" in reader.ids
    assert not {"range", "maps", "tradeoff", "depth", "text", "samples"} & set(reader.ids)
    assert "not ranked" in " ".join(reader.text)


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no run of slr-probe"):
        write_report(tmp_path)


def test_three_prompts_of_the_choice_are_shown(done):
    kept = json.loads((done / "rank" / "prompts.json").read_text(encoding="utf-8"))
    answers = {item.prompt: len(item.answers) for item in CRCTask.default().selection.items}
    assert len(kept) == 3
    assert all(answers[one["prompt"]] == one["answers"] for one in kept)
    page = unescape(Findings(done).report.read_text(encoding="utf-8"))
    assert all(f"“{one['prompt']}” ({one['answers']} right answers)" in page for one in kept)


def test_a_study_without_kept_prompts_shows_none():
    assert asked([]) == ""
