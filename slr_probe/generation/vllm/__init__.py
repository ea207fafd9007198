"""Generation with vLLM, behind the extra `vllm`: hybrids swapped inside one live engine, or one engine a folder."""

from slr_probe.generation.vllm.models import VllmModels

__all__ = ["VllmModels"]
