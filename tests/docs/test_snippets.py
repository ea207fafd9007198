"""Every Python snippet of README and the manual runs as it stands, top to bottom, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = ("README.md", "cluster.md")
"""Pages that run as a script of their own, as a reader runs them: the first one, and that which starts processes."""


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    script = tmp_path / "snippets.py"
    script.write_text("\n".join(snippets(page)), encoding="utf-8")
    if page.name in SCRIPTS:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    else:  # torch and transformers are loaded here already; names, files and folder are the page's own
        monkeypatch.chdir(tmp_path)
        matplotlib.use("Agg")
        exec(compile(script.read_text(encoding="utf-8"), page.name, "exec"), {"__name__": "__main__"})
