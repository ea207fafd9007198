"""The notebooks run from top to bottom, and what is saved in them is what a reader should see."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "analyses" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytest.importorskip("nbclient", reason="needs the extra 'notebook'")
pytest.importorskip("ipykernel", reason="needs the extra 'notebook'")


def execute(path):
    spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.execute(path)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def check(notebook):
    found = outputs(notebook)
    assert sum("image/png" in output.get("data", {}) for output in found) >= 3  # figures show themselves
    assert sum("text/html" in output.get("data", {}) for output in found) >= 3  # and so do tables
    assert not [output for output in found if output.output_type == "error" or output.get("name") == "stderr"]
    text = "\n".join(
        part
        for output in found
        for kind, part in [*output.get("data", {}).items(), ("", output.get("text", ""))]
        if kind != "image/png"
    )
    assert not re.search(r"/(?:home|tmp|root|work|Users)/|Warning|\bnan\b", text)
    return found


def test_there_are_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["first_look", "why_this_range"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_saved_outputs_are_complete_and_clean(path):
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))  # from top to bottom, once
    check(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    import nbformat

    saved, fresh = nbformat.read(path, as_version=4), execute(path)
    assert [output.output_type for output in check(fresh)] == [output.output_type for output in outputs(saved)]
