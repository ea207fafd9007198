"""Loading that stays on this machine: what a checkpoint's config asks transformers to fetch is not fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_OWN = {
    "_attn_implementation": ("eager", "sdpa"),
    "_experts_implementation": ("eager", "grouped_mm", "batched_mm"),
}
"""Ways of computing that torch and transformers bring; the others come from the hub or from other packages."""
_CALLS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}
"""What a forward returns, which its caller has to know."""


@contextmanager
def offline() -> Iterator[None]:
    """Let no library ask the hub for anything for the length of a `with` block.

    transformers fetches code of its own accord where the package `kernels` is installed: kernels for attention that a
    config names, and for some kinds of quantised weights.
    """
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def with_own_code(config: PretrainedConfig) -> PretrainedConfig:
    """A config whose model computes with what torch and transformers bring, and returns what they usually return.

    Args:
        config: The config; it is changed, and so are those inside it.
    """
    for name, own in _OWN.items():
        if getattr(config, name, None) not in own:
            setattr(config, f"{name}_internal", None)
    for name, value in _CALLS.items():
        setattr(config, name, value)
    for inner in config.sub_configs:
        if getattr(config, inner, None) is not None:
            with_own_code(getattr(config, inner))
    return config
