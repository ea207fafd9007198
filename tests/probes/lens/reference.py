"""Logit lens and patching written by hand for a handful of architectures, with no code of the package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

PARTS = {  # module path of blocks, and in a block the modules that write to the residual stream
    "llama": ("model.layers", "self_attn", "mlp"),
    "qwen2": ("model.layers", "self_attn", "mlp"),
    "qwen3": ("model.layers", "self_attn", "mlp"),
    "gemma2": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo2": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo3": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "gpt2": ("transformer.h", "attn", "mlp"),
    "gpt_neox": ("gpt_neox.layers", "attention", "mlp"),
}
NORMS = {"gpt2": "transformer.ln_f", "gpt_neox": "gpt_neox.final_layer_norm"}


@torch.no_grad()
def lens_logits(family: str, model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of every block at the last position, `[block, vocab]`; hidden_states[-1] is after the final norm."""
    out = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    norm = model.get_submodule(NORMS.get(family, "model.norm"))
    streams = [norm(h[0, -1]) for h in out.hidden_states[1:-1]] + [out.hidden_states[-1][0, -1]]
    logits = model.get_output_embeddings()(torch.stack(streams))
    cap = getattr(model.config, "final_logit_softcapping", None)
    logits = torch.tanh(logits / cap) * cap if cap else logits
    torch.testing.assert_close(logits[-1], out.logits[0, -1], rtol=1e-4, atol=1e-5)
    return logits


@torch.no_grad()
def patched_logits(
    family: str, donor: Any, recipient: Any, ids: list[int], component: str, blocks: Iterable[int], positions: str
) -> torch.Tensor:
    """Logits of the recipient at the last position with the donor's activations in place of its own."""
    tokens, kept, handles = torch.tensor([ids]), {}, []

    def module(model: Any, block: int) -> Any:
        layers, attention, mlp = PARTS[family]
        layer = model.get_submodule(layers)[block]
        return {"resid": layer, "attn": getattr(layer, attention), "mlp": getattr(layer, mlp)}[component]

    def take(block: int) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            kept[block] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    def put(block: int) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> Any:
            new = (output[0] if isinstance(output, tuple) else output).clone()
            where = slice(None) if positions == "all" else slice(-1, None)
            new[:, where] = kept[block][:, where]
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    for model, hook in ((donor, take), (recipient, put)):
        handles = [module(model, block).register_forward_hook(hook(block)) for block in blocks]
        logits = model(input_ids=tokens, use_cache=False).logits[0, -1]
        for handle in handles:
            handle.remove()
    return logits
