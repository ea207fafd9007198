"""The directive `glossary-of-reports`: the terms that reports explain, in alphabetical order."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class Glossary(Directive):
    """`.. glossary-of-reports::`."""

    def run(self) -> list[nodes.Node]:
        """A definition list."""
        from slr_probe.study.report.terms import glossary

        entries = []
        for term, words in sorted(glossary().items(), key=lambda entry: entry[0].casefold()):
            said = nodes.definition("", nodes.paragraph(words, words))
            entries.append(nodes.definition_list_item("", nodes.term(term, term), said))
        return [nodes.definition_list("", *entries)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("glossary-of-reports", Glossary)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
