"""The directive `verb`: what `slr-probe VERB --help` prints, as it is in this version."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from typer.testing import CliRunner


class Verb(Directive):
    """`.. verb:: rank`; without a name, the help of the program."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The help as a literal block."""
        from slr_probe.cli import program

        arguments = [*self.arguments, "--help"]
        found = CliRunner().invoke(program(), arguments, prog_name="slr-probe", terminal_width=84, max_content_width=84)
        if found.exit_code:
            raise ExtensionError(f"slr-probe {' '.join(arguments)} failed: {found.output}")
        block = nodes.literal_block(found.output.strip("\n"), found.output.strip("\n"))
        block["language"] = "none"
        return [block]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("verb", Verb)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
