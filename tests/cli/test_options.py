"""Options are those of the functions behind the verbs: name, type, default and explanation."""

import inspect

import pytest
import typer

from slr_probe.cli import program
from slr_probe.cli.options import PATCH, RANK, Loading, grouped, like, takes
from slr_probe.signature import parameters


def test_a_verb_takes_the_options_of_a_function():
    def verb(base: str, top: int = 3, **options: object) -> None:
        """A verb."""

    taken = inspect.signature(takes(RANK, "scorer stream", scorer="--by -b")(verb), eval_str=True).parameters
    assert list(taken) == ["base", "scorer", "stream", "top"]
    assert taken["scorer"].default == parameters(RANK)["scorer"].default
    assert taken["scorer"].annotation.__metadata__[0].default == "--by"
    assert taken["stream"].annotation.__origin__ == bool | None


def test_a_group_stands_for_its_fields_in_its_place():
    seen = []

    def verb(base: str, top: int = 3, *, loading: Loading, quiet: bool = False, **options: object) -> None:
        """A verb."""
        seen.append((base, top, loading, quiet, options))

    whole = takes(RANK, "stream")(grouped(verb))
    taken = inspect.signature(whole).parameters
    assert list(taken) == ["base", "stream", "top", "dtype", "device", "download", "trust", "quiet"]
    assert taken["download"].default is False
    assert taken["trust"].annotation.__metadata__[0].default == "--trust-remote-code"
    assert (whole.__name__, whole.__doc__) == ("verb", "A verb.")
    whole(base="b", top=4, stream=True, dtype="float32", device=None, download=True, trust=False, quiet=True)
    assert seen == [("b", 4, Loading("float32", None, True, False), True, {"stream": True})]
    assert seen[0][2].options == {"dtype": "float32", "device": None, "download": True, "trust_remote_code": False}


def test_types_are_read_from_the_function():
    def verb(**options: object) -> None:
        """A verb."""

    names = "direction components blocks window controls"
    taken = inspect.signature(takes(PATCH, names)(verb)).parameters
    types = {name: option.annotation.__origin__ for name, option in taken.items()}
    assert types["direction"].__args__ == ("both", "base->tuned", "tuned->base")
    assert types["components"] == list[str]
    assert types["blocks"] == list[str] | None
    assert (types["window"], types["controls"]) == (int, bool)


def test_explanations_are_plain_text():
    found = like(RANK, "method")
    assert found.help.startswith("sweep measures every range.")
    assert "`" not in found.help
    assert like(RANK, "stream").show_default == "where they would not fit"
    assert like(RANK, "method", before="For experts:", after="Slow.").help.endswith("the first. Slow.")


def options_of(verb: str) -> list[str]:
    command = typer.main.get_command(program()).commands[verb]
    return [option for one in command.params for option in one.opts]


@pytest.mark.parametrize(
    ("verb", "spelled"),
    [
        ("rank", "--method --floor --scorer --proposals --soups --temperature --min-p --memory --stream --seed --top"),
        ("patch", "--direction --component --blocks --window --positions --controls --answer --seed --task --prompts"),
        ("mask", "--granularity --steps --batch-size --learning-rate --sparsity --budget --seeds --keep --freeze"),
        (
            "validate",
            "--layers -l --tasks -t --prompts -n --samples -k --baselines --judge-model --backend",
        ),
        ("lineage", "--stage -s --vocabulary --metric --chat-base --depth --temperature --top-p --min-p"),
        ("restore", "--out -o --layers --only --recipe --untouched --check-finite"),
        ("run", "--out --quick --full --settings --set --only --from --force --device --download --trust-remote-code"),
        ("delta", "--spectral --json --quiet -q"),
    ],
)
def test_options_are_spelled_as_ever(verb, spelled):
    assert set(spelled.split()) <= set(options_of(verb))
