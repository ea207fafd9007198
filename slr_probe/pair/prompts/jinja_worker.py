"""Renders chat templates in a process of its own, whose memory is bounded and which its parent ends when time is up.

Run as a script by `slr_probe.pair.prompts.template`: a JSON request a line on standard input, a JSON reply a line on
standard output. jinja's sandbox keeps a template from files and from Python's insides; it does not keep it from a
loop without end or a text of a gigabyte. Filters, globals and the handling of blanks are those of transformers, so
that a template renders as it does there; the date is the one that is asked for.
"""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


class _Generation(Extension):
    """`{% generation %}`, which marks what the assistant writes: here a block like any other."""

    tags = {"generation"}  # noqa: RUF012  (as jinja declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Dict:
    """`dict` for templates, without the attributes of the type."""

    def __call__(self, *args: Any, **options: Any) -> dict[Any, Any]:
        return dict(*args, **options)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Names(Namespace):
    """`namespace` for templates, without names that begin with an underscore."""

    def __init__(*args: Any, **options: Any) -> None:  # as jinja does it, so that `namespace(self=1)` works
        self, rest = args[0], args[1:]
        found = dict(*rest, **options)
        for name in found:
            _check_name(name)
        Namespace.__init__(self, found)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template may not set {name!r} on a namespace")


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


@lru_cache(maxsize=64)
def _compiled(template: str, today: str) -> Any:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    day = datetime.fromisoformat(today)
    strftime: Callable[[str], str] = day.strftime
    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": _refuse, "strftime_now": strftime, "dict": _Dict(), "namespace": _Names}
    return environment.from_string(template)


def render(request: dict[str, Any], longest: int) -> dict[str, str]:
    """The reply to one request: `{"text": ...}`, or `{"error": ...}` in words.

    Args:
        request: `template`, `today` (ISO date), and the `values` that the template sees.
        longest: Most characters that a rendered text may have.
    """
    random.seed(0)  # for the filter of that name: a prompt is the same text each time
    try:
        text = _compiled(request["template"], request["today"]).render(**request["values"])
    except Exception as error:  # a template may run into an error of any kind
        told = str(error).partition("\n")[0][:300]
        return {"error": told if type(error) is TemplateError else f"{type(error).__name__}: {told}"}
    if len(text) > longest:
        return {"error": f"it renders {len(text):,} characters; at most {longest:,} are taken"}
    return {"text": text}


def main(memory: int, longest: int) -> None:
    """Answer requests until the parent closes the pipe; more than `memory` bytes are not to be had."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limits, and a lower one may stand already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    print(json.dumps({"text": "ready"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(render(json.loads(line), longest)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
