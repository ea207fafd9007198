"""`publish`: a hybrid's folder on the Hugging Face hub, without a path of this machine in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import Checkpoint, hub_id
from slr_probe.errors import CheckpointError, OutputError, foreign
from slr_probe.files import digest
from slr_probe.recipe import Recipe
from slr_probe.restoration.card import card, public_name
from slr_probe.restoration.extras import CARD, RECORD, hash_file, sealed
from slr_probe.restoration.verify import read_record
from slr_probe.version import __version__


def publish(
    folder: str | os.PathLike[str],
    repo: str,
    *,
    base_id: str | None = None,
    tuned_id: str | None = None,
    measured: str = "",
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Push a hybrid to the Hugging Face hub: weights, tuned's other files, record, and a card with what was measured.

    What is pushed is the hybrid as it was written: weights and files are compared with their hashes first. Record and
    card name both sources by their ids; folders of this machine are in neither.

    Args:
        folder: A folder that `restore` wrote.
        repo: `"org/name"`; made if it is not there.
        base_id: What base is called on the hub; default: what the record says, if that is no folder.
        tuned_id: The same for tuned.
        measured: Markdown for the card, such as `slr_probe.show.card.measured(report, recipe)`.
        private: Whether a new repository is private.
        token: Token of the hub; default: the one that `hf auth login` left.
        endpoint: Address of the hub; default: that of huggingface_hub.

    Returns:
        Address of the repository.

    Raises:
        CheckpointError: The folder is no hybrid, was edited, or a source has no id.
        OutputError: The hub cannot be reached or refuses.
    """
    path = Path(folder).expanduser()
    if hub_id(repo) != repo:
        raise OutputError(f"{repo!r} is no name on the hub; expected org/name")
    record = read_record(path)
    _check_whole(path, record)
    names = {
        role: known_name(role, record[role]["source"], given)
        for role, given in (("base", base_id), ("tuned", tuned_id))
    }
    recipe = Recipe.from_dict(record["recipe"])
    text = card(recipe, names["base"], names["tuned"], measured)
    files: dict[str, str | bytes] = {name: str(path / name) for name in record["files"] if name != CARD}
    files |= {file.name: str(file) for file in sorted(path.glob("*.safetensors"))}
    files |= {CARD: text.encode(), RECORD: _public(record, names, text).encode()}
    _check_no_path(files, path, record)
    with foreign(OutputError, f"cannot publish to {repo}; to try again: slr-probe publish {path} {repo}"):
        return _push(repo, files, f"Hybrid: {recipe}", private, token, endpoint)


def _check_whole(path: Path, record: Mapping[str, Any]) -> None:
    """Check that the folder still holds what was written.

    Raises:
        CheckpointError: It was edited.
    """
    edited = [name for name, hash in record["files"].items() if name != CARD and hash_file(path / name) != hash]
    if record.get("weights") not in (None, Checkpoint.open(path).fingerprint()):
        edited.append("the weights")
    if digest({name: value for name, value in record.items() if name != "digest"}) != record["digest"]:
        edited.append(RECORD)
    if edited:
        raise CheckpointError(f"{path} is not as restore wrote it: {', '.join(edited)}; see slr-probe verify {path}")


def known_name(role: str, source: str, given: str | None) -> str:
    """What a source is called by everybody.

    Raises:
        CheckpointError: It is known as a folder of this machine only.
    """
    name = given or source
    if public_name(name) != name or (given is not None and hub_id(name) is None):
        raise CheckpointError(
            f"{role} is {name!r}, which nobody else has; say what it is called on the hub: --{role}-id org/name"
        )
    return name


def _public(record: Mapping[str, Any], names: Mapping[str, str], text: str) -> str:
    """The record with ids in the place of folders, and the hash of the new card."""
    notes = list(record["notes"])
    for role, name in names.items():
        for place in filter(os.path.isabs, (record[role]["path"], record[role]["source"])):
            notes = [note.replace(place, name) for note in notes]
    sources = {role: {**record[role], "source": name, "path": name} for role, name in names.items()}
    files = {**record["files"], CARD: digest(text.encode())}
    return sealed({**record, **sources, "notes": notes, "files": files})


def _check_no_path(files: Mapping[str, str | bytes], path: Path, record: Mapping[str, Any]) -> None:
    """Check that card and record hold no folder of this machine.

    Raises:
        OutputError: One does.
    """
    recorded = [record[role]["path"] for role in ("base", "tuned")]  # a name where a patch made the hybrid
    places = {str(path.resolve()), str(Path.home()), *filter(os.path.isabs, recorded)}
    for name, content in files.items():
        found = [place for place in places if len(place) > 1 and isinstance(content, bytes) and _holds(content, place)]
        if found:
            raise OutputError(
                f"{name} would hold the path {found[0]!r} of this machine; take it out of what was measured"
            )


def _holds(content: bytes, place: str) -> bool:
    return place.encode() in content or json.dumps(place)[1:-1].encode() in content


def _push(
    repo: str, files: Mapping[str, str | bytes], message: str, private: bool, token: str | None, endpoint: str | None
) -> str:
    """One commit with all files, in a repository that is made if need be."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=endpoint, token=token, library_name="slr_probe", library_version=__version__)
    added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
    url = api.create_repo(repo, private=private, exist_ok=True)
    api.create_commit(repo, added, commit_message=message)
    return str(url)
