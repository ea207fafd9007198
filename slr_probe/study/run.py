"""`run_study`: the whole investigation of one pair, stage by stage, each kept and none done twice."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import at_revision
from slr_probe.errors import SlrProbeError, StudyError
from slr_probe.executor import Executor, executes
from slr_probe.files import digest, write_json, write_text
from slr_probe.log import Log, check_log, tell
from slr_probe.pair.side import state_of
from slr_probe.progress import Cost, course, silenced, step
from slr_probe.rank.findings.points import points as ranking_points
from slr_probe.study.context import Context
from slr_probe.study.cost import study_cost
from slr_probe.study.explained import explained
from slr_probe.study.folder import Findings
from slr_probe.study.place import RUN, SETTINGS
from slr_probe.study.provenance import describe_pair, machine, versions
from slr_probe.study.records import FORMAT, Records, check_folder
from slr_probe.study.settings import Settings
from slr_probe.study.stage import Skipped, Stage
from slr_probe.study.stages import STAGES, check_settings
from slr_probe.study.toml import write_toml
from slr_probe.validation.points import points as validation_points
from slr_probe.version import __version__

Say = Callable[[str], None]


@executes
def run_study(
    base: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings | str | Mapping[str, Any] | None = None,
    *,
    only: str | None = None,
    start: str | None = None,
    force: bool = False,
    device: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    executor: Executor | str | None = None,
    log: Log | None = None,
    progress: bool | None = None,
    say: Say | None = None,
) -> Findings:
    """Investigate a pair from its headers to a report; finished stages are read back instead of run again.

    Args:
        base: Base checkpoint: folder, hub id or `"organism:base"`.
        tuned: Tuned checkpoint: the same, or the folder of a LoRA adapter over base.
        out: Folder of the study: new, or of an earlier run of the same pair.
        settings: What to measure: the name of a preset (`"quick"`, `"standard"`, `"full"`), tables of settings such as
            `{"rank": {"floor": 0.8}}`, or `Settings`; default: `"standard"`.
        only: Run this stage alone, again if it was done; the stages that it reads must be done.
        start: Run this stage and all after it again, and those before it where they are not done.
        force: Run again what was done.
        device: Where models run; default: CUDA where there is one, else CPU.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let a checkpoint's own Python code run.
        base_revision: Branch, tag or commit of base, where that is a hub id.
        tuned_revision: The same for tuned.
        executor: Who does sweeps: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`; default: this process,
            uncut. See `slr_probe.executor`.
        log: Called with numbers by name and a step as each stage ends or is found done: the place of the stage. See
            `slr_probe.log`.
        progress: Show progress bars; None shows them on a terminal and in Jupyter.
        say: Called with a line as each stage begins, and as it ends.

    Returns:
        What was found, read from the folder as it is asked for.

    Raises:
        StudyError: An unknown stage, a folder of something else, or a stage that failed; then what was finished is
            kept, and the same call goes on from there.
        CheckpointError: A side is missing, corrupt, or pickled.
        IncompatiblePairError: The two are not of one architecture.

    Examples:
        >>> study = run_study("organism:base", "organism:dpo", "study")  # doctest: +SKIP
        >>> study.choice().layers  # doctest: +SKIP
        LayerRange('3:9')
    """
    check_log(log)
    folder, settings = Path(out).expanduser(), _settings(settings)
    base, tuned = at_revision(base, base_revision), at_revision(tuned, tuned_revision)
    context = Context(base, tuned, folder, settings, device, download, trust_remote_code, executor, progress)
    stages = tuple(stage for stage in STAGES if stage.asked(context.settings))
    _check_names(stages, only, start)
    pair = describe_pair(context.pair)
    check_settings(context)
    check_folder(context.folder, pair)
    records = Records(context.folder)
    with records.locked():
        states = [state_of(side) for side in (context.pair.base_side, context.pair.tuned_side)]
        study = _Study(context, records, stages, pair, states, say or (lambda line: None), log)
        study.run(only, start, force)
    return context.found


@dataclass
class _Study:
    context: Context
    records: Records
    stages: tuple[Stage, ...]
    pair: dict[str, dict[str, str]]
    states: list[str]
    say: Say
    log: Log | None = None

    def run(self, only: str | None, start: str | None, force: bool) -> None:
        names = [stage.name for stage in self.stages]
        if only is not None:
            self._require(names[: names.index(only)], only)
        self._write()
        afresh = force or only is not None
        asked = [stage for stage in self.stages if only in (None, stage.name)]
        since = names.index(start) if start is not None else len(names)
        again = {stage.name for stage in asked if afresh or names.index(stage.name) >= since}
        left = [stage.name for stage in asked if stage.name in again or not self._done(stage.name)]
        cost = self._cost(left)
        with course("run", cost.parts, seconds=cost.seconds, show=self.context.progress):
            for stage in asked:
                with step(stage.name):
                    label = f"{names.index(stage.name) + 1:>2}/{len(names)}  {stage.name:<10}"
                    self._stage(stage, stage.name in again, label)
                    self._log(stage.name, names.index(stage.name) + 1)

    def _log(self, name: str, place: int) -> None:
        """Hand over how long a stage took, and the numbers of a ranking and a validation."""
        record = self._done(name) or {}
        numbers = {f"run/{name}/seconds": float(record.get("seconds", math.nan))}
        found = self.context.found if self.log is not None else None
        if found is not None and name == "rank" and found.ranking is not None:
            numbers |= ranking_points(found.ranking, found.choice())[0]
        if found is not None and name == "validate" and found.validation is not None:
            numbers |= validation_points(found.validation)[0]
        tell(self.log, [numbers], place)

    def _cost(self, stages: Sequence[str]) -> Cost:
        """What is left to do, told before it begins; nothing where nobody is to be told."""
        told = not silenced(self.context.progress) and {"rank", "validate"} & {*stages}
        if told:
            self.say("measuring how fast this machine is ...")
        cost = Cost.of(lambda: study_cost(self.context, stages)) if told else None
        if cost is None:
            return Cost(dict.fromkeys(stages, 1.0))
        self.say(f"takes {cost} on a quiet machine")
        if cost.long:
            self.say("for a first look in less time: --quick")
        return cost

    def _stage(self, stage: Stage, again: bool, label: str) -> None:
        key = self.key(stage)
        done = None if again else self._done(stage.name)
        if done is not None:
            self.say(f"{label}{done['summary']}  (kept)")
            return
        self.say(f"{label}{stage.what} ...")
        home = self.records.open(stage, key, afresh=again)
        began, clock = _now(), time.perf_counter()
        record: dict[str, Any] = {"stage": stage.name, "key": key, "status": "done", "started": began}
        try:
            record["summary"] = stage.run(self.context, home)
        except Skipped as reason:
            record |= {"status": "skipped", "summary": f"skipped: {reason}"}
        except KeyboardInterrupt:
            self._write({stage.name: {"status": "interrupted", "started": began}})
            raise
        except Exception as error:
            said = str(error) or type(error).__name__
            self._write({stage.name: {"status": "failed", "started": began, "error": said}})
            message = f"stage '{stage.name}' failed: {said}; {self._kept(stage)}"
            if isinstance(error, (SlrProbeError, OSError, MemoryError)):
                raise StudyError(message) from error
            self.say(message)  # a fault of ours: the traceback follows
            raise
        seconds = time.perf_counter() - clock
        self.records.close(stage, {**record, "seconds": round(seconds, 3), "slr_probe": __version__})
        self._write()
        self.say(f"{label}{record['summary']}  ({seconds:.1f} s)")

    def key(self, stage: Stage) -> str:
        """Hash of all that a stage's result follows from."""
        if stage.soft:
            read = {name: self.key(_named(name)) if self._done(name) else "" for name in stage.needs}
        else:
            read = {name: self.key(_named(name)) for name in stage.needs}
        prints = {role: side["contents"] for role, side in self.pair.items()}
        follows, files = stage.follows(self.context.settings), {"files": self.states}
        return digest({"slr_probe": __version__, "stage": stage.name, "pair": prints, **files, "from": read, **follows})

    def _done(self, name: str) -> dict[str, Any] | None:
        """The record of a stage that is done with the settings of this run."""
        record = self.records.read(name)
        stage = next((stage for stage in self.stages if stage.name == name), None)
        return record if record and stage and record.get("key") == self.key(stage) else None

    def _require(self, before: Sequence[str], only: str) -> None:
        stage = _named(only)
        missing = [name for name in stage.needs if name in before and not stage.soft and not self._done(name)]
        if missing:
            raise StudyError(
                f"--only {only} reads {', '.join(missing)}, not done in {self.context.folder} with these settings; "
                "run without --only first"
            )

    def _kept(self, failed: Stage) -> str:
        done = [stage.name for stage in self.stages if stage is not failed and self._done(stage.name)]
        kept = f"kept in {self.context.folder}: {', '.join(done)}" if done else "nothing was finished before it"
        return f"{kept}; the same command goes on from here"

    def _write(self, extra: dict[str, Any] | None = None) -> None:
        """Write `run.json` as things stand."""
        stages = {stage.name: self._done(stage.name) for stage in self.stages}
        context = self.context
        data = {
            "format": FORMAT,
            "pair": self.pair,
            "settings": context.settings.to_dict(),
            "versions": versions(),
            "machine": machine(context.pair),
            "stages": {name: record for name, record in stages.items() if record} | (extra or {}),
        }
        write_text(context.folder / SETTINGS, write_toml(context.settings.to_dict(), explained()))
        write_json(context.folder / RUN, data)


def _settings(asked: Settings | str | Mapping[str, Any] | None) -> Settings:
    """Settings, of which a preset or some tables may be all that was given.

    Raises:
        StudyError: There is no such preset, table or key, or it is something else.
    """
    if asked is None or isinstance(asked, Settings):
        return asked or Settings()
    if isinstance(asked, str):
        return Settings.preset(asked)
    if isinstance(asked, Mapping):
        return Settings.from_dict(asked)
    raise StudyError(f"settings are Settings, the name of a preset or a mapping of tables; got {type(asked).__name__}")


def _check_names(stages: Sequence[Stage], only: str | None, start: str | None) -> None:
    names = [stage.name for stage in stages]
    if only is not None and start is not None:
        raise StudyError("give --only or --from, not both")
    for name in (only, start):
        if name is not None and name not in names:
            off = " (its settings leave it out)" if name in {stage.name for stage in STAGES} else ""
            raise StudyError(f"unknown stage {name!r}{off}; expected one of {', '.join(names)}")


def _named(name: str) -> Stage:
    return next(stage for stage in STAGES if stage.name == name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
