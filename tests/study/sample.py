"""A small study of the embedded pair, made once a session and shared by the tests of study, report and command line."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from slr_probe.study import Settings, run_study

PAIR = ("organism:base", "organism:dpo")
SMALL = {
    "common": {"dtype": "float32"},  # numbers and texts are then the same on every processor, up to rounding
    "lens": {"prompts": 2},
    "patching": {"prompts": 1, "components": ["resid"], "controls": False},
    "rank": {"prompts": 5, "soups": 0, "resamples": 200},
    "validate": {"families": ["qa"], "prompts": 4, "samples": 3, "max_tokens": 8, "baselines": ["early", "base_plain"]},
}
NO_TEXT = {**SMALL, "validate": {"enabled": False}}


@functools.cache
def small_study() -> Path:
    """Folder of the finished study; tests copy it before they change anything."""
    root = Path(tempfile.mkdtemp(prefix="slr_probe-study-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    run_study(*PAIR, root / "study", Settings.from_dict(SMALL), device="cpu", progress=False)
    return root / "study"
