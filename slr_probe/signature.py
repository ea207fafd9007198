"""What a function takes, as its own signature and docstring say it: names, defaults and explanations of options.

Settings files and the command line read it here, so that an option is named and explained once. Functions are read
from their source: importing them would load torch, and help must come at once.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from slr_probe import defaults


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function, or one attribute of a class.

    Attributes:
        name: Its name.
        type: Its annotation as it is written; empty for an attribute.
        value: Its default as it is written; empty where it has none.
        help: What the docstring says of it.
        unset: What the docstring says of None (`...; default: all prompts.`).
        choices: What it may be, where its type is a name of such a list.
    """

    name: str
    type: str
    value: str
    help: str
    unset: str
    choices: tuple[str, ...] = ()

    @property
    def default(self) -> Any:
        """Its default: a literal, or a name of `slr_probe.defaults`."""
        return getattr(defaults, self.value) if hasattr(defaults, self.value) else ast.literal_eval(self.value)


@cache
def parameters(place: str) -> Mapping[str, Parameter]:
    """Parameters of a function or method, or attributes of a class, by name.

    Args:
        place: Its module inside the package, and its name.

    Examples:
        >>> found = parameters("probes.patching.patch:patch_activations")
        >>> found["window"].type, found["window"].default
        ('int', 1)
    """
    module, _, name = place.partition(":")
    source = _source(module)
    head = _head(source, name)
    explained = explanations(ast.get_docstring(head) or "")
    declared = _declared(head.args) if isinstance(head, ast.FunctionDef) else dict.fromkeys(explained, ("", ""))
    found = {}
    for name, (kind, value) in declared.items():
        text = explained.get(name, "")
        unset = re.search(r"; default: (.*?)\.(?= |$)", text)
        help = text.replace(unset[0], ".") if unset else text
        found[name] = Parameter(name, kind, value, help, unset[1] if unset else "", _choices(source, kind))
    return MappingProxyType(found)


def explanations(docstring: str) -> dict[str, str]:
    r"""The entries of a Google docstring's `Args` or `Attributes`, each on one line.

    Examples:
        >>> explanations("Draw.\n\nArgs:\n    n: How many\n        samples.\n    seed: First seed.\n")
        {'n': 'How many samples.', 'seed': 'First seed.'}
    """
    section = re.search(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?)+)", docstring, re.MULTILINE)
    entries = re.split(r"^ {4}(?=\w+: )", section[1], flags=re.MULTILINE)[1:] if section else []
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries)
    return {name: text for name, _, text in pairs}


def plain(text: str) -> str:
    """An explanation without the marks of code, for a terminal.

    Examples:
        >>> plain('`"sweep"` measures every range that `rank_layers` knows.')
        'sweep measures every range that rank_layers knows.'
    """
    return re.sub(r'`"?|"?`', "", text)


def _source(module: str) -> str:
    *folders, file = module.split(".")
    return resources.files("slr_probe").joinpath(*folders, f"{file}.py").read_text(encoding="utf-8")


def _head(source: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    """A function or class up to the end of its docstring."""
    start = rf"^ *(?:def|class) {name.rpartition('.')[2]}\b"
    head = re.search(rf'{start}(?:(?!""").)*""".*?"""$', source, re.MULTILINE | re.DOTALL)
    if head is None:
        raise LookupError(f"{name} is not there, or has no docstring")
    parsed = ast.parse(textwrap.dedent(head[0])).body[0]
    assert isinstance(parsed, (ast.FunctionDef, ast.ClassDef))
    return parsed


def _choices(source: str, kind: str) -> tuple[str, ...]:
    """What a type such as `Granularity = Literal["matrix", "block"]` allows; empty for other types."""
    if not re.fullmatch(r"[A-Z]\w+", kind):
        return ()
    if found := re.search(rf"^{kind} = Literal(\[.*\])$", source, re.MULTILINE):
        return tuple(ast.literal_eval(found[1]))
    home = re.search(rf"^from slr_probe\.([\w.]+) import [^(\n]*\b{kind}\b", source, re.MULTILINE)
    return _choices(_source(home[1]), kind) if home else ()


def _declared(arguments: ast.arguments) -> dict[str, tuple[str, str]]:
    """Annotation and default of each parameter, as they are written."""
    positional = [*arguments.posonlyargs, *arguments.args]
    without = [None] * (len(positional) - len(arguments.defaults))
    values = [*without, *arguments.defaults, *arguments.kw_defaults]
    named = zip([*positional, *arguments.kwonlyargs], values, strict=True)
    return {one.arg: (_written(one.annotation), _written(value)) for one, value in named if one.arg != "cls"}


def _written(expression: ast.expr | None) -> str:
    return "" if expression is None else ast.unparse(expression)
