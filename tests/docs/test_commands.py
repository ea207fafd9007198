"""Commands in README and the manual have options that their verbs have, and links lead somewhere."""

import re
import shlex
from functools import cache

import pytest
from typer.testing import CliRunner

from slr_probe.cli import program
from tests.docs.test_snippets import PAGES, ROOT

PLACES = [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "api").glob("*.md"))]


def commands(page):
    """Calls of slr-probe in shell blocks, with lines that go on joined and comments left out."""
    for block in re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||<", line):
                words = shlex.split(part, comments=True)
                if words[:1] == ["slr-probe"]:
                    yield words[1:]


@cache
def options(verb):
    found = CliRunner().invoke(program(), [verb, "--help"], prog_name="slr-probe", terminal_width=200)
    assert found.exit_code == 0, f"no verb {verb}"
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", found.output))


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_options_in_the_manual_exist(page):
    for verb, *words in commands(page):
        given = {word.split("=")[0] for word in words if word.startswith("-")}
        assert given <= options(verb), f"slr-probe {verb}: no {given - options(verb)}"


def test_every_verb_is_in_the_reference():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    said = CliRunner().invoke(program(), ["--help"], prog_name="slr-probe", terminal_width=200).output
    verbs = set(re.findall(r"^  ([a-z-]+) {2,}\S", said.partition("Commands:")[2], re.MULTILINE))
    assert len(verbs) > 15
    assert verbs == set(re.findall(r"```\{verb\} (\S+)", page))
    assert verbs <= set(re.findall(r"`slr-probe ([\w-]+)", page))


def anchors(page):
    """Anchors of a page's headings, as GitHub and MyST make them."""
    for title in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PLACES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{link} leads nowhere"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{link}: no such heading"
