"""Weights and tokenizers from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.checkpoint.names import address_tensors
from slr_probe.errors import CheckpointError, IncompatiblePairError, PromptError, foreign
from slr_probe.pair.offline import offline
from slr_probe.pair.prompts.bounds import check_tokenizer
from slr_probe.pair.side import Side, require_checkpoint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# transformers would apply adapter files that lie beside a whole model once more; here only an adapter's own folder
# counts as one, and it is merged below. Where transformers is told to look, there are none.
_NO_ADAPTER = {"subfolder": ".none"}
_PIECE, _PIECE_GPU = 1 << 20, 1 << 28  # elements to sum at once: a processor's cache; few waits for a device
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "tokenizer.model", "tekken.json"),
    *("spiece.model", "sentencepiece.bpe.model"),
)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite; looks at few at a time, so it needs no memory."""
    import torch

    if not tensor.is_floating_point():
        return True
    # A sum is NaN or infinite if any element is; only then is the slower exact test made.
    pieces = torch.split(tensor.reshape(-1), _PIECE if tensor.device.type == "cpu" else _PIECE_GPU)
    return all(bool(piece.sum().isfinite()) or bool(piece.isfinite().all()) for piece in pieces)


def require_finite(tensor: torch.Tensor, side: Side, name: str) -> None:
    """Check one tensor of a side.

    Raises:
        CheckpointError: It has NaN or infinite weights.
    """
    if not is_finite(tensor):
        raise CheckpointError(f"{side.role} ({side.label}): tensor '{name}' has NaN or infinite weights")


def check_finite(model: PreTrainedModel, side: Side) -> None:
    """Check every weight of a loaded model.

    Raises:
        CheckpointError: A weight is NaN or infinite; the tensor is named.
    """
    for name, tensor in model.state_dict().items():
        require_finite(tensor, side, name)


def from_disk(side: Side, dtype: torch.dtype | None, trust_remote_code: bool) -> PreTrainedModel:
    """Load the model of a side on the CPU; an adapter is merged as it would be on disk.

    Args:
        side: The side.
        dtype: Dtype to load in; default: the one that most of its weights are stored in, whatever the config says.
        trust_remote_code: Let transformers run Python code that comes with the checkpoint.

    Raises:
        CheckpointError: transformers cannot load the model, a tensor that it needs is missing, or an adapter changes
            one that has no place.
    """
    from transformers import AutoModelForCausalLM

    adapter = side.checkpoint if isinstance(side.checkpoint, AdapterCheckpoint) else None
    path = require_checkpoint(side).config_path.parent
    advice = "if another class can, load both models with it and give them to ModelPair.load"
    with foreign(CheckpointError, f"transformers cannot load {path} as a causal language model; {advice}"), offline():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            config=side.config,
            dtype=dtype or side.dtype or "auto",
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            adapter_kwargs=_NO_ADAPTER,
        )
    model: PreTrainedModel = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise CheckpointError(f"{path} lacks {len(missing)} tensor(s) that the model needs, first '{missing[0]}'")
    if adapter is not None:
        _merge(adapter, side, model)
    return model


def _merge(adapter: AdapterCheckpoint, side: Side, model: PreTrainedModel) -> None:
    import torch

    state = model.state_dict(keep_vars=True)
    places = {address.key: state[name] for name, address in address_tensors(state, side.depth).items()}
    with torch.no_grad():
        for name in [*adapter.low_rank, *adapter.replaced]:
            place = places.get(side.addresses[name].key)
            if place is None:
                where = f"which has no place of its own in the loaded {type(model).__name__}"
                raise CheckpointError(f"adapter {adapter.path} changes '{name}', {where}; merge it first with PEFT")
            place.copy_(adapter.read(name))


def load_tokenizer(side: Side, trust_remote_code: bool) -> PreTrainedTokenizerBase | None:
    """Load the tokenizer of a side (of an adapter's base where the adapter brings none); None where there is none.

    Raises:
        CheckpointError: Its files cannot be read, or it is refused, see `check_tokenizer`.
    """
    from transformers import AutoTokenizer

    folders = [side.path] if side.path else []
    if isinstance(side.checkpoint, AdapterCheckpoint):
        folders.append(side.checkpoint.base.path)
    for folder in folders:
        if any((folder / file).is_file() for file in _TOKENIZER_FILES):
            with foreign(CheckpointError, f"the tokenizer in {folder} cannot be loaded"), offline():
                tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]
                    folder, local_files_only=True, trust_remote_code=trust_remote_code
                )
            try:
                check_tokenizer(tokenizer)
            except PromptError as error:
                raise CheckpointError(f"the tokenizer in {folder} is refused: {error}") from error
            return tokenizer
    return None


def find_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Read a dtype by name.

    Raises:
        IncompatiblePairError: It is not a floating dtype.
    """
    import torch

    if dtype is None:
        return None
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if named not in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        raise IncompatiblePairError(f"cannot load weights as dtype {dtype!r}; expected float32, bfloat16 or float16")
    return named  # type: ignore[no-any-return]


def find_device(device: torch.device | str | None, base: Side, tuned: Side) -> torch.device:
    """The device of models in memory, else the requested one, else CUDA where there is one; also for `"auto"`.

    Raises:
        IncompatiblePairError: Models in memory lie on different devices or not on the requested one, or there is no
            such device.
    """
    import torch

    loaded = {side.role: next(side.model.parameters()).device for side in (base, tuned) if side.model is not None}
    if len(set(loaded.values())) > 1:
        raise IncompatiblePairError(f"the loaded models are on different devices: {loaded}; move both to one")
    default = next(iter(loaded.values()), torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    device = None if device == "auto" else device
    with foreign(IncompatiblePairError, f"unknown device {device!r}"):
        requested = torch.device(device) if device is not None else default
    if any(requested.type != other.type for other in loaded.values()):
        raise IncompatiblePairError(
            f"device={str(requested)!r} was asked for, but the loaded models are on {loaded}; move them"
        )
    if loaded:
        return default
    if requested.type == "cuda" and not torch.cuda.is_available():
        raise IncompatiblePairError(
            f"device={str(requested)!r} was asked for, but torch sees no CUDA device; give device='cpu', or run this "
            "on a machine with a GPU, also where an executor spreads the work: the caller runs models, too"
        )
    with foreign(IncompatiblePairError, f"device={str(requested)!r} was asked for, which this machine does not have"):
        torch.zeros(1, device=requested).add(1).item()
    return requested
