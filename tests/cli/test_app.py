"""The program itself: its verbs, its version, and how quickly it starts."""

import subprocess
import sys

import pytest

import slr_probe
from slr_probe.cli import program
from slr_probe.cli.app import VERBS


def test_verbs_are_listed_in_the_order_in_which_they_are_used(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "BASE and TUNED are checkpoint folders" in out
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == list(VERBS)
    assert {command.name or command.callback.__name__ for command in program().registered_commands} == set(VERBS)


def test_version(run):
    assert run("--version") == (0, f"slr-probe {slr_probe.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["rank", "--help"], ["validate", "--help"]])
def test_help_loads_no_numbers_and_no_models(arguments):
    program = (
        "import sys; from slr_probe.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'transformers', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("names", [["/no/such/place", "organism:dpo"], ["organism:base", __file__]])
def test_a_wrong_name_is_refused_before_models_are_loaded(names):
    program = (
        "import sys; from slr_probe.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program, "rank", *names], capture_output=True, text=True, timeout=60)
    assert found.returncode == 2, found.stderr
    assert found.stderr.startswith("error: ")


_INTERRUPTED_WHILE = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == loading:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

from slr_probe.cli import main
sys.meta_path.insert(0, Interrupt())
loading, sys.argv = sys.argv[1], ["slr-probe", "rank", "organism:base", "organism:dpo", "--quiet"]
main()
"""


@pytest.mark.parametrize("loading", ["typer", "slr_probe.cli.verbs.ranking", "slr_probe.signature", "numpy", "torch"])
def test_an_interruption_while_it_starts_is_one_line(loading):
    command = [sys.executable, "-c", _INTERRUPTED_WHILE, loading]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 130
    assert found.stderr == "interrupted; nothing half-written was left behind\n"
