"""Options of the command line: named, typed and explained as the functions say that they are for."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_type_hints

import typer

from slr_probe.signature import Parameter, parameters, plain

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

Verb = TypeVar("Verb", bound=Callable[..., None])

PAIR = "pair.pair:ModelPair.load"
LENS = "probes.lens.lens:logit_lens"
PATCH = "probes.patching.patch:patch_activations"
MASK = "probes.mask.learn:learn_layer_mask"
RANK = "rank.search:rank_layers"
GUARDS = "rank.guards.bounds:Guards"
RESTORE = "restoration.disk:restore"
SAVE_PATCH = "sharing.patch:save_patch"
APPLY_PATCH = "sharing.patch:apply_patch"
PUBLISH = "sharing.publish:publish"
REPRODUCE = "sharing.reproduce:reproduce"
VERIFY = "restoration.verify:verify_hybrid"
SAMPLING = "generation.sampling:Sampling"
VALIDATE = "validation.run:validate"
COMPARE = "comparison.outputs:compare"
COMPARE_MODELS = "comparison.models:compare_models"
EVALUATE = "comparison.harness:evaluate"
LINEAGE = "lineage.trace:trace_lineage"
OUTPUTS = "lineage.scores:lineage_from_outputs"
STUDY = "study.run:run_study"
TABLE = "study.many.run:run_table"

_Choice: Any = Literal
_TYPES = {"bool": bool, "int": int, "float": float, "Sequence": list[str], "Iterable": list[str]}


def like(place: str, name: str, *flags: str, before: str = "", after: str = "") -> Any:
    """An option that is explained as a parameter of a function is.

    Args:
        place: The function; see `slr_probe.signature.parameters`.
        name: The parameter.
        flags: How the option is spelled; default: like the verb's own parameter.
        before: What to say before the explanation.
        after: What to say after it.
    """
    parameter = parameters(place)[name]
    text = plain(parameter.help)
    if before:
        text = f"{before} {text[:1].lower()}{text[1:]}"
    if after:
        text = f"{text} {after}"
    return typer.Option(*flags, help=text, show_default=plain(parameter.unset) or True)


def takes(place: str, names: str, **flags: str) -> Callable[[Verb], Verb]:
    """Let a verb take options of a function in its `**options`, as the function types and explains them.

    Args:
        place: The function; see `slr_probe.signature.parameters`.
        names: Its parameters, in the order in which help lists them.
        flags: Spelling of options that are not spelled like their parameters.
    """

    def decorate(verb: Verb) -> Verb:
        own = inspect.signature(verb, eval_str=True)
        declared = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        needed = [one for one in declared if one.default is one.empty]
        taken = [_taken(place, name, flags.get(name, "")) for name in names.split()]
        shown = [*needed, *taken, *declared[len(needed) :]]
        verb.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[one.replace(kind=one.KEYWORD_ONLY) for one in shown]
        )
        return verb

    return decorate


def revisions(verb: Verb) -> Verb:
    """Let a verb that takes a pair take a revision of each side, which becomes part of the side's name."""
    roles = ("base", "tuned")

    def at(**options: Any) -> None:
        from slr_probe.checkpoint import at_revision

        for role in roles:
            options[role] = at_revision(options[role], options.pop(f"{role}_revision"))
        verb(**options)

    own = inspect.signature(verb, eval_str=True)
    taken = [_taken(PAIR, f"{role}_revision", f"--{role}-revision") for role in roles]
    at.__signature__ = own.replace(parameters=[*own.parameters.values(), *taken])  # type: ignore[attr-defined]
    at.__name__, at.__doc__ = verb.__name__, verb.__doc__
    return cast("Verb", at)


def grouped(verb: Verb) -> Verb:
    """Let a verb take groups of options: a parameter whose type is a group stands for the fields of that group."""
    own = inspect.signature(verb, eval_str=True)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in own.parameters.items() if is_dataclass(one.annotation)
    }

    def apart(**options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(**{one.name: options.pop(one.name) for one in fields(group)})
        verb(**options)

    shown = [part for one in own.parameters.values() for part in _fields(one)]
    apart.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
    apart.__name__, apart.__doc__ = verb.__name__, verb.__doc__
    return cast("Verb", apart)


def _fields(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """The options that a parameter stands for: itself, or the fields of its group."""
    group = parameter.annotation
    if not is_dataclass(group):
        named = parameter.kind is not parameter.VAR_KEYWORD
        return [parameter.replace(kind=parameter.KEYWORD_ONLY) if named else parameter]
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(one.name, parameter.KEYWORD_ONLY, default=one.default, annotation=types[one.name])
        for one in fields(group)
    ]


def _taken(place: str, name: str, flags: str) -> inspect.Parameter:
    parameter = parameters(place)[name]
    option = like(place, name, *flags.split())
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[_type(parameter), option]
    )


def _type(parameter: Parameter) -> Any:
    """How the command line reads it: text where it is neither a choice, a number, yes or no, nor a list."""
    if parameter.choices:
        return _Choice[parameter.choices]
    found = _TYPES.get(parameter.type.split(" ")[0].split("[")[0], str)
    return found | None if parameter.default is None else found


def _possible(name: str) -> str:
    """Refuse what cannot be a checkpoint before torch is loaded, which takes seconds."""
    from slr_probe.checkpoint import possible

    return possible(name)


Base = Annotated[str, typer.Argument(help="Pre-trained checkpoint.", show_default=False, callback=_possible)]
Tuned = Annotated[
    str,
    typer.Argument(help="Post-trained checkpoint of the same architecture.", show_default=False, callback=_possible),
]
Dtype = Annotated[str | None, like(PAIR, "dtype")]
Device = Annotated[str | None, like(PAIR, "device")]
Download = Annotated[bool, like(PAIR, "download", "--download")]
Trust = Annotated[bool, like(PAIR, "trust_remote_code", "--trust-remote-code")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the result and its figure.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the result to this JSON file.")]


@dataclass(frozen=True)
class Loading:
    """How models are loaded: a group of options, see `grouped`.

    Attributes:
        dtype: As `ModelPair.load` takes it.
        device: Likewise.
        download: Likewise.
        trust: As `trust_remote_code` there.
    """

    dtype: Dtype = None
    device: Device = None
    download: Download = False
    trust: Trust = False

    @property
    def options(self) -> dict[str, Any]:
        """What functions take."""
        return {
            "dtype": self.dtype,
            "device": self.device,
            "download": self.download,
            "trust_remote_code": self.trust,
        }

    def pair(self, base: str, tuned: str) -> ModelPair:
        """The pair of a verb."""
        from slr_probe.pair import ModelPair
        from slr_probe.pair.notes import doubt

        pair = ModelPair.load(base, tuned, **self.options)
        said = doubt(pair.base_side, pair.tuned_side, pair.notes)
        if said:
            warnings.warn(said, stacklevel=2)
        return pair


PromptFile = Annotated[Path | None, typer.Option(help="Prompts of your own: JSON list, or a text a line.")]
TaskFile = Annotated[
    str, typer.Option(help="crc (built in), or a JSON or JSONL file of such prompts with answer sets.")
]
Answers = Annotated[list[str] | None, like(LENS, "answers", "--answer", before="With --prompts:")]
