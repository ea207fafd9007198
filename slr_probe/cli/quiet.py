"""`--quiet`: nothing on standard error unless something fails, for every verb in one way."""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any, cast

import typer

_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no warnings, on a terminal or in a log.")]
_BARS = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # ours and tqdm's; those of the hub and transformers


class Verbs(typer.Typer):
    """An application whose verbs all take `--quiet`."""

    def command(self, *named: Any, **options: Any) -> Callable[[Any], Any]:
        """Add a verb, as `typer.Typer.command` does."""
        add = super().command(*named, **options)

        def decorate(verb: Any) -> Any:
            add(_quietable(verb))
            return verb

        return decorate


@contextmanager
def hushed() -> Iterator[None]:
    """Run something without progress, warnings, or what libraries log below errors; child processes likewise."""
    before = {name: os.environ.get(name) for name in _BARS}
    level = logging.root.manager.disable
    os.environ.update(_BARS)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _quietable(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb that takes `--quiet` too."""

    def run(*, quiet: bool, **options: Any) -> None:
        with hushed() if quiet else nullcontext():
            verb(**options)

    own = inspect.signature(verb, eval_str=True)
    taken = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Quiet)
    shown = [one.replace(kind=one.KEYWORD_ONLY) for one in own.parameters.values()]
    run.__signature__ = own.replace(parameters=[*shown, taken])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = verb.__name__, verb.__doc__
    del run.__annotations__
    return cast("Callable[..., None]", run)
