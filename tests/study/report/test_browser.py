"""The report in a real browser; skipped only where there is none (set CHROME to name one)."""

import csv
import itertools
import re

import pytest

from slr_probe.study.folder import Findings
from slr_probe.study.report.ranges import score_table
from tests.study.report.browser import Browser, find

pytestmark = pytest.mark.skipif(find() is None, reason="no Chromium, Chrome or Edge on this machine")

SECTIONS = ("verdict", "samples", "range", "maps", "tradeoff", "free", "depth", "text", "terms", "provenance")


@pytest.fixture(scope="module")
def browser():
    try:
        opened = Browser(find())
        opened.run("document.body.append('some text'), document.body.getBoundingClientRect().height")
    except (RuntimeError, OSError) as error:  # no fonts, or libraries that are missing
        pytest.skip(f"the browser of this machine does not run: {error}")
    yield opened
    opened.close()


@pytest.fixture
def page(browser, done):
    """`page(390)`: the report in a window of that width."""

    def load(width, **options):
        browser.open(done / "report.html", width, **options)
        return browser

    return load


def middle(browser, selector):
    """Scroll an element into view and return its middle."""
    return browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center', behavior: "
        "'instant'}); return new Promise(done => setTimeout(() => { const r = e.getBoundingClientRect(); "
        "done([r.left + r.width / 2, r.top + r.height / 2]); }, 80)); })()"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 800, 1400])
def test_it_loads_without_complaints_and_without_other_files(page, width, dark):
    browser = page(width, dark=dark)
    assert browser.errors == []
    asked = [address for address in browser.requests if not address.startswith("data:image/png;base64,")]
    assert [address.split(":")[0] for address in asked] == ["file"]
    shown = browser.run("[...document.querySelectorAll('section')].filter(s => s.offsetHeight > 60).map(s => s.id)")
    assert tuple(shown) == SECTIONS
    assert browser.run("document.querySelectorAll('svg.plot').length") >= 5


@pytest.mark.parametrize("width", [320, 390, 800])
def test_nothing_is_wider_than_the_window(page, width):
    browser = page(width, touch=width < 500)
    assert browser.run("document.documentElement.scrollWidth") <= width
    plots = browser.run(
        "[...document.querySelectorAll('svg.plot')].map(s => { const r = s.getBoundingClientRect(); "
        "return [r.left, r.right]; })"
    )
    assert all(left >= 0 and right <= width for left, right in plots)


def test_the_first_column_of_a_table_stays_in_view_on_a_phone(page):
    browser = page(390, touch=True)
    moved = browser.run(
        "(() => { const s = [...document.querySelectorAll('.scroll')].find(s => s.scrollWidth > s.clientWidth + 50); "
        "s.scrollLeft = 50; return [s.scrollLeft, s.querySelector('tbody th').getBoundingClientRect().left - "
        "s.getBoundingClientRect().left]; })()"
    )
    assert moved == [50, 0]


@pytest.mark.parametrize(("width", "shown"), [(390, "narrow"), (1400, "wide")])
def test_differences_lie_below_each_other_on_a_phone(page, width, shown):
    browser = page(width, touch=width < 500)
    seen = browser.run("[...document.querySelectorAll('svg.forest')].map(s => s.getBoundingClientRect().width > 0)")
    assert seen == [shown == "wide", shown == "narrow"]


def test_text_in_figures_can_be_read_on_a_phone(page):
    browser = page(390, touch=True)
    sizes = browser.run(
        "[...document.querySelectorAll('svg.plot')].filter(s => s.getBoundingClientRect().width).flatMap(s => "
        "[...s.querySelectorAll('text')].map(t => "
        "parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"
    )
    assert min(sizes) > 7.9


def test_pointing_at_a_cell_shows_its_values_and_lights_the_range_up_elsewhere(page, done):
    browser = page(1400)
    ranking = Findings(done).ranking
    layers = str(ranking.ranges[12])
    browser.move(*middle(browser, f'[id="validity-{layers}"]'))
    tip = browser.run("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent")
    assert tip.startswith(f"blocks {layers}")
    assert f"validity {ranking.mean_validity[12]:.3f}" in tip
    assert f"diversity {ranking.mean_diversity[12]:.3f}" in tip
    lit = set(browser.run("[...document.querySelectorAll('.lit')].map(m => m.id)"))
    assert {f"validity-{layers}", f"diversity-{layers}", f"trade-off-{layers}"} <= lit
    start, stop = map(int, layers.split(":"))
    blocks = {f"weights-{block}:{block + 1}" for block in range(start, stop)}  # of the range, in the profile
    assert {name for name in lit if name.startswith("weights")} == blocks
    assert {name.rsplit("-", 1)[1] for name in lit} <= {layers, *(name.split("-")[1] for name in blocks)}
    box = browser.run(
        "(() => { const r = document.getElementById('tip').getBoundingClientRect(); "
        "return [r.left, r.right, r.top]; })()"
    )
    assert box[0] >= 0
    assert box[1] <= 1400
    assert box[2] >= 0
    browser.move(3, 3)
    assert browser.run("document.getElementById('tip').hidden")


def test_touching_a_point_shows_its_values(page):
    browser = page(390, touch=True)
    browser.tap(*middle(browser, "[id^='trade-off-tuned']"))
    tip = browser.run("document.getElementById('tip').textContent")
    assert re.match(r"tuned\nvalidity 0\.\d+ \[", tip)
    assert not browser.run("document.getElementById('tip').hidden")


def test_keys_walk_over_a_heat_map(page):
    browser = page(1400)
    browser.run("document.querySelector('.heat').focus()")
    read = "document.getElementById('tip').textContent.split('\\n')[0]"
    first = browser.run(read)
    assert first.startswith("blocks 0:1")
    browser.press("ArrowRight")
    assert browser.run(read).startswith("blocks 0:2")
    browser.press("ArrowDown")
    assert browser.run(read).startswith("blocks 1:2")
    browser.press("Escape")
    assert browser.run("document.getElementById('tip').hidden")


def test_a_table_is_saved_as_csv(page, done):
    browser = page(1400)
    saved = browser.run(
        "(async () => { let blob; URL.createObjectURL = b => { blob = b; return '#'; }; "
        "HTMLAnchorElement.prototype.click = () => 0; "
        "document.querySelector('#range .scroll + button').click(); return await blob.text(); })()"
    )
    lines = list(csv.reader(saved.lstrip("\ufeff").splitlines()))
    shown = score_table(Findings(done).ranking, Findings(done).ranking.choice)
    assert [line[0] for line in lines] == [*shown.columns[:1], *(row.cells[0] for row in shown.rows)]
    assert {len(line) for line in lines} == {len(shown.columns)}
    assert browser.run("[...document.querySelectorAll('table')].every(t => t.parentNode.nextSibling.type === 'button')")


def test_names_for_screen_readers(page):
    browser = page(1400)
    assert browser.run(
        "[...document.querySelectorAll('svg.plot')].every(s => s.getAttribute('aria-label').length > 20)"
    )
    assert browser.run("[...document.querySelectorAll('table')].every(t => t.caption && t.querySelector('th[scope]'))")
    assert browser.run("document.documentElement.lang") == "en"
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_it_prints_on_a_few_pages(page, tmp_path):
    browser = page(1400)
    browser.pdf(tmp_path / "report.pdf")
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
