"""What the analyses share: arguments, the study that results come from, and how a figure is written down."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from transformers.utils import logging

from slr_probe import ModelPair, SlrProbeError, __version__
from slr_probe.files import digest, save_figure, write_json, write_text
from slr_probe.study import Settings, run_study
from slr_probe.study.folder import RUN, Findings
from slr_probe.study.provenance import describe_pair, versions
from slr_probe.study.records import check_folder
from slr_probe.study.toml import read_change

BASE, TUNED = "organism:base", "organism:dpo"
WIDTH = 7.0
"""Inches of a paper's full width; figures are drawn at their true size."""
SETTINGS: dict[str, dict[str, Any]] = {
    "patching": {"prompts": 0},
    "validate": {
        "prompts": 24,
        "baselines": ("early", "late", "random", "soup", "temperature", "hybrid_temperature", "base_plain"),
    },
}
"""What differs from a study's standard preset where `--quick` is not given."""
STYLE = {
    **dict.fromkeys(("font.size", "axes.labelsize"), 8),
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 7.5),
    "axes.titlesize": 8.5,
    "figure.titlesize": 9,
    "axes.linewidth": 0.7,
    "pdf.fonttype": 42,
}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every analysis takes."""
    found = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("base", nargs="?", default=BASE, metavar="BASE", help=f"pre-trained checkpoint ({BASE})")
    found.add_argument("tuned", nargs="?", default=TUNED, metavar="TUNED", help=f"post-trained checkpoint ({TUNED})")
    results = (
        "folder of `slr-probe run` or of earlier analyses: what it has is read, the rest is computed (one in build/)"
    )
    found.add_argument("--results", type=Path, metavar="DIR", help=results)
    found.add_argument("--figures", type=Path, metavar="DIR", default=Path("figures"), help="where to write (figures)")
    found.add_argument("--quick", action="store_true", help="fewer prompts: the preset `quick` of `slr-probe run`")
    change = "a setting of the study, such as common.dtype=bfloat16; repeatable"
    found.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="changes", help=change)
    return found


class Analysis:
    """One run of a script: its arguments, the pair, and the folder of results.

    Args:
        args: What `parser` read.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        logging.disable_progress_bar()
        self.args = args
        self._sides = describe_pair(ModelPair.load(args.base, args.tuned))
        self.folder = args.results or Path("build") / "-".join(side["contents"][:8] for side in self._sides.values())
        check_folder(self.folder, self._sides)
        self.settings = self._settings()
        self.pair = ModelPair.load(args.base, args.tuned, dtype=self.settings.common.dtype or None)

    def study(self, *stages: str) -> Findings:
        """The study, after running those of the stages that were not done with these settings."""
        for stage in ("inspect", *stages):
            run = _read(self.folder / RUN)
            same = run.get("settings") == json.loads(json.dumps(self.settings.to_dict()))
            if not same or run["stages"].get(stage, {}).get("status") not in ("done", "skipped"):
                run_study(self.args.base, self.args.tuned, self.folder, self.settings, only=stage, say=print)
        return Findings(self.folder)

    def kept(self, name: str, kind: Any, asked: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """A result beside the study's: read where it was made from the same settings, else made and saved."""
        self.study()
        key = digest({"slr_probe": __version__, **asked})
        path = self.folder / "analyses" / f"{name}-{key[:12]}.npz"
        if path.exists():
            return kind.load(path)
        found = make()
        found.save(path)
        return found

    def write(
        self, name: str, figure: Any, table: Any, shows: str, settings: str, *, height: float, width: float = WIDTH
    ) -> None:
        """Write NAME.pdf, .png, .csv and .json (what it shows, command, settings), and the folder's README again."""
        figure.suptitle("").set_in_layout(False)  # a paper's caption says it
        figure.set_size_inches(width, height)
        folder = self.args.figures
        save_figure(figure, folder / name)
        write_table(table, folder / f"{name}.csv")
        used = {key: versions()[key] for key in ("slr-probe", "torch", "transformers")}
        pair = {"base": _shown(self.args.base), "tuned": _shown(self.args.tuned)}
        prints = {role: side["fingerprint"][:12] for role, side in self._sides.items()}
        said = {"shows": shows, "command": _command(), "settings": settings}
        write_json(folder / f"{name}.json", {**said, "pair": pair, "fingerprints": prints, "versions": used})
        write_readme(folder)
        print(f"{folder / name}.pdf, .png, .csv: {shows}")

    def _settings(self) -> Settings:
        args, run = self.args, _read(self.folder / RUN)
        if args.results and run and not args.quick and not args.changes:
            return Settings.from_dict(run["settings"])
        found = Settings.preset("quick") if args.quick else Settings().override(SETTINGS)
        for change in args.changes:
            found = found.override(read_change(change))
        return found


def write_table(table: Any, path: Path) -> None:
    """A table as CSV with six digits, whole or not at all."""
    write_text(path, table.to_csv(index=False, float_format="%.6g"))


def write_readme(folder: Path) -> None:
    """The list of figures in a folder, from the JSON beside each."""
    records = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    pairs = {(found["pair"]["base"], found["pair"]["tuned"]) for found in records.values()}
    origin = "; ".join(f"From `{base}` to `{tuned}`" for base, tuned in sorted(pairs))
    lines = ["# Figures", "", f"Written by the scripts in `analyses/`; all of them by `make figures`. {origin}.", ""]
    lines += ["| figure | command | settings |", "|---|---|---|"]
    for name, found in records.items():
        files = f"[{name}](#{name}): [pdf]({name}.pdf), [png]({name}.png), [csv]({name}.csv)"
        lines.append(f"| {files} | `{found['command']}` | {found['settings']} |")
    for name, found in records.items():
        lines += ["", f"## {name}", "", found["shows"], "", f"![{name}]({name}.png)"]
    write_text(folder / "README.md", "\n".join(lines) + "\n")


def span(value: Any, low: Any, high: Any, form: str = "+.3f") -> str:
    """A number with its interval, as text."""
    return f"{float(value):{form}} [{float(low):{form}}, {float(high):{form}}]"


def main(
    doc: str, run: Callable[[Analysis], None], more: Callable[[argparse.ArgumentParser], Any] | None = None
) -> None:
    """Read the arguments and run; errors that a user can mend are one line."""
    found = parser(doc)
    if more is not None:
        more(found)
    matplotlib.rcParams.update(STYLE)
    try:
        run(Analysis(found.parse_args()))
    except SlrProbeError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _command() -> str:
    """The command line, with the folder of $SLR_PROBE_PAIR by that name."""
    script = Path(sys.argv[0])
    return " ".join(["python", f"{script.parent.name}/{script.name}", *map(_shown, sys.argv[1:])])


def _shown(text: str) -> str:
    pair = os.environ.get("SLR_PROBE_PAIR", "").rstrip("/")
    return f"$SLR_PROBE_PAIR{text[len(pair) :]}" if pair and text.startswith(pair) else shlex.quote(text)
