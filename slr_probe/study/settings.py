"""What a study measures and how much of it: one frozen dataclass a stage, and presets.

A setting that a function takes as well has its name, its default and its explanation there.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from slr_probe.defaults import ENDING, MIN_P, QUICK_PROMPTS, QUICK_SOUPS, SURPRISE
from slr_probe.errors import StudyError, one_line
from slr_probe.signature import parameters

_DELTA = parameters("probes.weights.measure:weight_delta")
_PATCHING = parameters("probes.patching.patch:patch_activations")
_RANK = parameters("rank.search:rank_layers")
_VALIDATE = parameters("validation.run:validate")
_REPORT = parameters("study.report.page:write_report")


@dataclass(frozen=True)
class Common:
    """What all stages share: `seed`, `level` and `memory` of `rank_layers` and of every other stage.

    Attributes:
        dtype: Dtype that models are loaded in; empty for each checkpoint's own.
        format: `"chat"`, `"plain"`, or empty for chat where there is a chat template.
    """

    seed: int = _RANK["seed"].default
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    format: Literal["", "chat", "plain"] = ""
    level: float = _RANK["level"].default
    memory: str = _RANK["memory"].default


@dataclass(frozen=True)
class DeltaSettings:
    """Weight change: what `weight_delta` takes.

    Attributes:
        enabled: Whether to measure it.
    """

    enabled: bool = True
    spectral: Literal["auto", "all", "none"] = _DELTA["spectral"].default


@dataclass(frozen=True)
class LensSettings:
    """Logit lens; holds both models in memory.

    Attributes:
        enabled: Whether to read it.
        prompts: Selection prompts a category; 0 for all.
    """

    enabled: bool = True
    prompts: int = 0


@dataclass(frozen=True)
class PatchingSettings:
    """Cross-model activation patching, which holds both models in memory: what `patch_activations` takes.

    Attributes:
        enabled: Whether to patch.
        prompts: Selection prompts a category; 0 for all.
    """

    enabled: bool = True
    prompts: int = 10
    components: tuple[Literal["resid", "attn", "mlp"], ...] = _PATCHING["components"].default
    window: int = _PATCHING["window"].default
    positions: Literal["answer", "all"] = _PATCHING["positions"].default
    controls: bool = _PATCHING["controls"].default


@dataclass(frozen=True)
class RankSettings:
    """The exhaustive sweep and the choice of the range: what `rank_layers` takes.

    Attributes:
        task: JSON or JSONL file of prompts with answer sets; empty for the built-in CRC task.
        prompts: Prompts a category and split; 0 for all.
        guards: Whether a range must also treat tuned's replies nearly as tuned does, within the two bounds below.
        ending: Least and most probability of ending the turn where tuned did, as shares of tuned's own.
        surprise: Most surprise at tuned's replies, as a share of tuned's own; 0 for no bound.
    """

    task: str = ""
    prompts: int = 0
    floor: float = _RANK["floor"].default
    guards: bool = _RANK["guards"].default
    ending: tuple[float, ...] = ENDING
    surprise: float = SURPRISE
    objective: Literal["crc", "spread", "both"] = _RANK["objective"].default
    candidates: tuple[Literal["ranges", "attention", "mlp", "half"], ...] = _RANK["candidates"].default
    held_out: int = _RANK["held_out"].default
    soups: int = _RANK["soups"].default
    temperature: float = _RANK["temperature"].default
    min_p: float = _RANK["min_p"].default
    resamples: int = _RANK["resamples"].default


@dataclass(frozen=True)
class MaskSettings:
    """The learned layer mask: fewer `steps` than `learn_layer_mask` takes by itself.

    Attributes:
        enabled: Whether to learn one.
    """

    enabled: bool = False
    steps: int = 60


@dataclass(frozen=True)
class RestoreSettings:
    """Which hybrid is built.

    Attributes:
        layers: Blocks to restore, such as `"8:14"`, whatever the ranking says; empty for the best range.
    """

    layers: str = ""


@dataclass(frozen=True)
class ValidateSettings:
    """Generation on task families, hybrid against tuned and baselines: what `validate` and its `Sampling` take.

    Attributes:
        enabled: Whether to generate at all.
        families: Some of `"writing"`, `"qa"`, `"reasoning"`, and files of prompts.
        prompts: Prompts a family; 0 for all.
        stories: Prompts of the family `"writing"`; 0 for two thirds of `prompts`.
        samples: Outputs a prompt; 0 for what each family asks for.
        max_tokens: Tokens an output may have; 0 for what each family asks for.
        embedder: Sentence encoder (name or folder), which adds embedding distance; empty for none.
    """

    enabled: bool = True
    families: tuple[str, ...] = ("writing", "qa", "reasoning")
    prompts: int = 20
    stories: int = 0
    samples: int = 16
    max_tokens: int = 0
    baselines: tuple[str, ...] = ("early", "late", "soup", "temperature", "hybrid_temperature", "base_plain")
    temperatures: tuple[float, ...] = _VALIDATE["temperatures"].default
    temperature: float = 1.0
    min_p: float = MIN_P
    embedder: str = ""


@dataclass(frozen=True)
class ReportSettings:
    """The report: what `write_report` takes."""

    prompts: int = _REPORT["prompts"].default
    samples: int = _REPORT["samples"].default


@dataclass(frozen=True)
class Settings:
    """All settings of a study, by table of the TOML file.

    Examples:
        >>> Settings.preset("quick").rank.prompts
        10
        >>> Settings.from_dict({"rank": {"floor": 0.8}}).rank.floor
        0.8
    """

    common: Common = field(default_factory=Common)
    delta: DeltaSettings = field(default_factory=DeltaSettings)
    lens: LensSettings = field(default_factory=LensSettings)
    patching: PatchingSettings = field(default_factory=PatchingSettings)
    rank: RankSettings = field(default_factory=RankSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    report: ReportSettings = field(default_factory=ReportSettings)

    @classmethod
    def preset(cls, name: str) -> Settings:
        """Settings by name: one of `PRESETS`.

        Raises:
            StudyError: There is no such preset.
        """
        if name not in PRESETS:
            raise StudyError(f"unknown preset {name!r}; expected one of {', '.join(PRESETS)}")
        return cls().override(PRESETS[name])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """The defaults, or those of `data["preset"]`, with what `data` says.

        Raises:
            StudyError: An unknown preset, table or key, or a value of another type.
        """
        rest = dict(data)
        return cls.preset(str(rest.pop("preset", "standard"))).override(rest)

    def override(self, data: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced; `data` maps tables to keys and values.

        Raises:
            StudyError: An unknown table or key, or a value of another type.
        """
        tables = [f.name for f in fields(self)]
        changed: dict[str, Any] = {}
        for table, values in data.items():
            if table not in tables:
                raise StudyError(f"unknown table [{table}] in the settings; allowed: preset, {', '.join(tables)}")
            if not isinstance(values, Mapping):
                raise StudyError(f"[{table}] must be a table of settings; got {values!r}")
            changed[table] = _override(getattr(self, table), table, values)
        return replace(self, **changed)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain data, which `from_dict` reads."""
        return asdict(self)


_DEMO: dict[str, dict[str, Any]] = {
    "common": {"dtype": "float32"},  # in bfloat16 the processor's rounding chooses among ranges that are nearly equal
    "patching": {"prompts": 5},
    "validate": {"prompts": 16, "samples": 12, "baselines": ("early", "late", "soup", "temperature", "base_plain")},
    "report": {"samples": 6},
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {
        "lens": {"prompts": 10},
        "patching": {"prompts": 4, "controls": False},
        "rank": {"prompts": QUICK_PROMPTS, "soups": QUICK_SOUPS},
        "validate": {"prompts": 8, "samples": 8, "max_tokens": 40, "baselines": ("early", "temperature", "base_plain")},
        "report": {"prompts": 1},
    },
    "standard": {},
    "full": {
        "patching": {"prompts": 0},
        "validate": {"prompts": 0, "samples": 0, "baselines": ("all",)},
        "report": {"prompts": 3},
    },
    "demo": _DEMO,
    # This tuned model knows few replies by heart: whatever is diverse is surprised by them.
    "local": _DEMO | {"rank": {"surprise": 0.0}},
}
"""What each preset changes of the defaults, which are `"standard"`."""

_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_MOST = {"common.seed": 2**63 - 1}
_LEAST = {"rank.held_out": 1, "rank.resamples": 100, "patching.window": 1, "report.samples": 1}


def _override(section: Any, table: str, values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(type(section))
    unknown = [key for key in values if key not in hints]
    if unknown:
        raise StudyError(f"unknown setting '{unknown[0]}' in [{table}]; allowed: {', '.join(hints)}")
    return replace(section, **{key: _read(f"{table}.{key}", value, hints[key]) for key, value in values.items()})


def _read(name: str, value: Any, kind: Any) -> Any:
    """A value of the kind that a setting has; lists become tuples, whole numbers floats."""
    if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        return _read_list(name, value, typing.get_args(kind)[0])
    if typing.get_origin(kind) is Literal:
        return _read_choice(name, value, typing.get_args(kind))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise StudyError(f"{name} must be {_KINDS.get(kind, 'a list')}; got {value!r}")
    _check_limits(name, value)
    return value


def _read_list(name: str, values: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    if not values:
        raise StudyError(f"{name} must not be empty")
    return tuple(_read(name, value, kind) for value in values)


def _read_choice(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise StudyError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def _check_limits(name: str, value: Any) -> None:
    least, most = _LEAST.get(name, 0), _MOST.get(name, 1_000_000)
    if type(value) is int and not least <= value <= most:
        raise StudyError(f"{name} must be from {least} to {most}; got {one_line(value, 30)}")
    if name == "common.level" and not 0 < value < 1:
        raise StudyError(f"{name} must lie between 0 and 1; got {value}")
    if name == "rank.floor" and not 0 < value <= 1:
        raise StudyError(f"{name} must lie above 0 and not above 1; got {value}")
