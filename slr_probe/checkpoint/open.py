"""From what a user names (a folder, a hub id, an embedded checkpoint) to an open checkpoint, and what identifies it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from slr_probe.checkpoint.adapter import AdapterCheckpoint, is_adapter
from slr_probe.checkpoint.entries import stamps
from slr_probe.checkpoint.folder import Checkpoint
from slr_probe.errors import CheckpointError

AnyCheckpoint: TypeAlias = Checkpoint | AdapterCheckpoint
EMBEDDED = "organism:"
WEIGHTS = ".safetensors"
_NOWHERE = Path(os.devnull) / "nowhere"
_PART = r"(?!\.+(?:/|@|$))[\w.-]+"  # of a path, but not "." or ".."
_HUB_ID = re.compile(rf"([A-Za-z0-9][\w.-]*/{_PART})((?:/{_PART})*)(?:@([\w./-]+))?")  # name, subfolder, revision
_HARMLESS = frozenset({"_name_or_path", "_model_name_or_path", "_commit_hash", "transformers_version"})
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken", "LICENSE*", "NOTICE*")
_CODE = "*.py"
_DOUBLE = ("consolidated*", "original/*", "onnx/*", "openvino/*")  # the same weights once more, for other programs


def at_revision(source: str | os.PathLike[str], revision: str | None) -> str:
    """The name of a hub id at a branch, tag or commit: `"org/name@revision"`.

    Raises:
        CheckpointError: A folder or an embedded checkpoint, which has no revisions, or an id that names one already.
    """
    text = os.fspath(source)
    if revision is None:
        return text
    match = _HUB_ID.fullmatch(text)
    if match is None or match[3] or _local(text).is_dir():
        raise CheckpointError(f"revision {revision!r} was given for {text!r}; only a hub id (org/name) has revisions")
    return f"{text}@{revision}"


def split_revision(source: str) -> tuple[str, str | None]:
    """A name without its revision, and the revision of a hub id that names one."""
    match = None if _local(source).is_dir() else _HUB_ID.fullmatch(source)
    return (source, None) if match is None or match[3] is None else (match[1] + match[2], match[3])


def hub_id(source: str) -> str | None:
    """The repository that a name stands for on the hub, without subfolder and revision; None for anything else.

    Examples:
        >>> hub_id("org/name/step100@main"), hub_id("organism:base"), hub_id("/home/me/run")
        ('org/name', None, None)
    """
    match = None if _local(source).is_dir() else _HUB_ID.fullmatch(source)
    return match[1] if match else None


def _local(name: str) -> Path:
    """The path that a name stands for; one where nothing is, for a name that no file can have."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError):  # too long, or the home of nobody
        return _NOWHERE
    return path


def possible(name: str) -> str:
    """The name of a checkpoint as given, where it can be one; nothing is read, so that a wrong name fails at once.

    Raises:
        CheckpointError: The name is that of a file, or neither a folder nor the form of a hub id or `organism:NAME`.
    """
    folder = _local(name)
    if name and folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{name} is a file; expected a checkpoint folder")
    if not name.startswith(EMBEDDED) and not (name and folder.is_dir()):
        _hub_parts(name)
    return name


def _hub_parts(name: str) -> tuple[str, str, str | None]:
    match = _HUB_ID.fullmatch(name)
    if match is None:
        raise CheckpointError(
            f"{name!r} does not exist; expected a folder, a hub id such as org/name, or organism:NAME"
        )
    return match[1], match[2], match[3]


def resolve(
    source: str | os.PathLike[str], *, download: bool = False, code: bool = False, nested: bool = False
) -> Path:
    """Find the folder of a checkpoint.

    Args:
        source: A local folder; a hub id such as `"allenai/OLMo-2-0425-1B"`, with a subfolder (`"org/name/step100"`)
            or a branch, tag or commit (`"org/name@step100"`) where it has some, looked up in the local Hugging Face
            cache; or an embedded checkpoint, `"organism:base"`, `"organism:sft"`, `"organism:dpo"`,
            `"organism:local"`.
        download: Let a hub id be fetched over the network when the cache lacks it.
        code: Let Python files be fetched as well.
        nested: Let files in subfolders be fetched as well, as sentence encoders have them.

    Raises:
        CheckpointError: Nothing is there.
    """
    text = possible(os.fspath(source))
    if text.startswith(EMBEDDED):
        from slr_probe import organism

        try:
            return organism.path(text.removeprefix(EMBEDDED))
        except (ValueError, FileNotFoundError) as error:
            raise CheckpointError(str(error)) from error
    if _local(text).is_dir():
        return _local(text).resolve()
    name, below, revision = _hub_parts(text)
    folder = _from_hub(name, download, revision, _patterns(below.strip("/"), code, nested)) / below.strip("/")
    if not folder.is_dir():
        raise CheckpointError(f"{name} has no folder {below.strip('/')!r}" + (f" at {revision}" if revision else ""))
    return folder


def open_checkpoint(path: Path, base: AnyCheckpoint | None = None) -> AnyCheckpoint:
    """Open a folder, a LoRA adapter over `base` included.

    Raises:
        CheckpointError: The folder is not a usable checkpoint, or an adapter without a plain base.
    """
    if not is_adapter(path):
        return Checkpoint.open(path)
    if not isinstance(base, Checkpoint):
        raise CheckpointError(f"{path} is an adapter; it can only be the tuned side, over a base checkpoint folder")
    return AdapterCheckpoint.open(path, base)


def combined_hash(weights: str, texts: Mapping[str, bytes]) -> str:
    """Hash of a fingerprint of weights and of named texts; their order does not count."""
    combined = hashlib.sha256(weights.encode())
    for name in sorted(texts):
        combined.update(name.encode() + b"\0" + hashlib.sha256(texts[name]).digest())
    return combined.hexdigest()


def model_hash(weights: str, config: Mapping[str, Any]) -> str:
    """Hash of a fingerprint of weights and of a model's config; names, paths and versions in it do not count."""
    text = json.dumps(_decisive(config), sort_keys=True, default=str)
    return combined_hash(weights, {"config.json": text.encode()})


def identity(checkpoint: AnyCheckpoint) -> str:
    """Hash of a checkpoint's weights (see `Checkpoint.fingerprint`) and config, which for an adapter is its base's."""
    return model_hash(checkpoint.fingerprint(), checkpoint.config())


def state(checkpoint: AnyCheckpoint) -> str:
    """Hash of a checkpoint as it lies there: its identity, and size, time and inode of the files of its weights.

    What was begun with a checkpoint may be gone on with while this stays the same. `identity` alone knows a copy again,
    but misses a byte that changes in the middle of a tensor.
    """
    folders = [checkpoint.path, *([checkpoint.base.path] if isinstance(checkpoint, AdapterCheckpoint) else [])]
    written = [{name: at for name, at in stamps(folder).items() if name.endswith(WEIGHTS)} for folder in folders]
    return combined_hash(identity(checkpoint), {"stamps": json.dumps(written).encode()})


def _patterns(below: str, code: bool, nested: bool) -> dict[str, Any]:
    """What is fetched of a repository, and what is not: nothing twice, no code that is not trusted."""
    start = f"{below}/" if below else ""
    wanted = [start + pattern for pattern in (*_WANTED, *((_CODE,) if code else ()))]
    deeper = [] if nested else [f"{start}*/{pattern}" for pattern in (*_WANTED, _CODE) if pattern != "*.jinja"]
    return {"allow_patterns": wanted, "ignore_patterns": [*(start + pattern for pattern in _DOUBLE), *deeper]}


def _from_hub(name: str, download: bool, revision: str | None, patterns: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=not download, **patterns))
    except LocalEntryNotFoundError as error:
        advice = (
            "the download failed; check the network and the name"
            if download
            else "pass download=True (--download) to fetch it, or give a local folder"
        )
        raise CheckpointError(f"{name} is no local folder and not in the local Hugging Face cache; {advice}") from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise CheckpointError(f"cannot get {name} from the hub: {error}") from error


def _decisive(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _decisive(inner) for key, inner in value.items() if key not in _HARMLESS}
    return value
