"""The whole job under bad luck: killed again and again, without a network, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slr_probe.study import Settings
from slr_probe.study.toml import write_toml
from tests.study.sample import PAIR, SMALL
from tests.study.test_run import again, ran, same_results

ROOT = Path(__file__).parents[2]
_KILLED = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
import matplotlib.pyplot, scipy.stats, transformers, slr_probe.cli, slr_probe.study.report, slr_probe.validation  # once
from slr_probe import CRCTask, ModelPair
from slr_probe.study import Settings, run_study
from slr_probe.sweep import sweep
from tests.study.sample import PAIR, SMALL

pair = ModelPair.load(*PAIR, device="cpu")
pair.base, pair.tuned, sweep(pair, "1:2", CRCTask.default().selection.queries(pair)[:2])  # what is imported late
folder, stages = sys.argv[1], [int(stage) for stage in sys.argv[2:]]
rng = random.Random(0)
for stage in stages:
    said, say = os.pipe()
    child = os.fork()
    if not child:
        tell = lambda line: os.write(say, b".")
        try:
            run_study(*PAIR, folder, Settings.from_dict(SMALL), device="cpu", progress=False, say=tell)
        finally:
            os._exit(0)
    os.close(say)
    for _ in range(stage):  # stages that are done before this one begins
        if not os.read(said, 1):
            sys.exit("the study ended before it could be killed")
    time.sleep(rng.uniform(0, 0.5))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(flush=True)
    sys.stdin.readline()  # until the test has looked at the folder
"""


def whole(path: Path) -> None:
    """Fail if a file is not a whole one of its kind."""
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    elif path.suffix == ".npz":
        assert zipfile.ZipFile(path).testzip() is None
        with np.load(path) as found:
            assert [found[name] is not None for name in found.files]
    elif path.suffix == ".pdf":
        assert data.startswith(b"%PDF")
        assert data.rstrip().endswith(b"%%EOF")
    elif path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".html":
        assert data.rstrip().endswith(b"</html>")
    elif path.suffix == ".csv":
        assert data.endswith(b"\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path, done: Path) -> None:
    """Each kill comes a random moment after a stage began: how fast the machine is does not matter."""
    folder = tmp_path / "study"
    names = "inspect delta lens patching rank restore verify validate report".split()
    kills = [0, 1, 2, 3, 4, 4, 5, 6, 7, 7]  # how many stages are done then
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _KILLED, str(folder), *map(str, kills)]
    reached, seen = set(), 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in process.stdout:
            seen += 1
            for path in folder.rglob("*"):
                if path.is_file():
                    whole(path)
            if (folder / "hybrid").exists():
                assert (folder / "hybrid" / "recipe.json").exists()
            reached |= {path.name for path in folder.iterdir()} if folder.exists() else set()
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    assert seen == len(kills) == 10
    assert set(names[: max(kills)]) <= reached
    again(folder)
    assert ran(again(folder)) == []
    same_results(folder, done)
    for name in ("model.safetensors", "config.json"):
        assert (folder / "hybrid" / name).read_bytes() == (done / "hybrid" / name).read_bytes()
    left = [path for path in folder.rglob("*") if "partial" in path.name or path.name.endswith((".started", ".part"))]
    assert not left


_CONFINED = """
import json, resource, sys
from pathlib import Path
asked = []
events = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
sys.addaudithook(lambda event, arguments: asked.append(f"{event} {arguments}") if event in events else None)
from slr_probe.cli import main

def run(*arguments):
    sys.argv = ["slr-probe", *map(str, arguments)]
    try:
        main()
    except SystemExit as done:
        return done.code or 0
    return 0

base, tuned, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
pair = (base, tuned)
prompts = out / "prompts.txt"
prompts.write_text("Pick one.\\n")
tasks = out / "tasks.jsonl"
tasks.write_text('{"id": "1", "prompt": "Say a."}\\n{"id": "2", "prompt": "Say b."}\\n')
few = ("--tasks", tasks, "--samples", 2, "--max-tokens", 4, "--quiet")
codes = {
    "inspect": run("inspect", *pair),
    "delta": run("delta", *pair, "--quiet", "--out", out / "delta"),
    "lens": run("lens", *pair, "--prompts", prompts, "--quiet", "--out", out / "lens"),
    "patch": run("patch", *pair, "--prompts", prompts, "--quiet", "--out", out / "patch"),
    "mask": run("mask", *pair, "--steps", 2, "--quiet", "--out", out / "mask"),
    "rank": run("rank", *pair, "--quick", "--soups", "0", "--no-guards", "--quiet", "--out", out / "rank"),
    "restore": run("restore", *pair, "--layers", "4:8", "--quiet", "--out", out / "hybrid"),
    "verify": run("verify", out / "hybrid", "--quiet"),
    "validate": run("validate", *pair, "--layers", "4:8", *few, "--baselines", "early", "--out", out / "validate"),
    "lineage": run("lineage", "--stage", f"base={base}", "--stage", f"dpo={tuned}", *few, "--out", out / "lineage"),
    "run": run("run", *pair, "--settings", out / "small.toml", "--quiet", "--out", out / "study"),
}
refused = run("inspect", "nobody/nothing", "nobody/nothing-it")
peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"codes": codes, "refused": refused, "asked": asked, "peak": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read the way Linux counts it")
def test_every_verb_works_without_network_in_two_gigabytes(tmp_path: Path) -> None:
    """On local folders, with nothing in the environment that forbids a network: no name or address is asked for."""
    from slr_probe import organism

    (tmp_path / "small.toml").write_text(write_toml(Settings.from_dict(SMALL).to_dict()))
    folders = [str(organism.path(name.partition(":")[2])) for name in PAIR]
    hidden = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", _CONFINED, *folders, str(tmp_path)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr[-3000:]
    said = json.loads(found.stdout.splitlines()[-1])
    assert set(said["codes"].values()) == {0}, (said["codes"], found.stderr[-3000:])
    assert said["asked"] == []
    assert said["refused"] == 2
    assert said["peak"] < 2 << 30
