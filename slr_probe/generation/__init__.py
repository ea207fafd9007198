"""K sampled outputs for each prompt from base, tuned and hybrids, the same whatever the batch.

`generate` is the verb; `Sampling` says how tokens are drawn, `Outputs` is what one model wrote, and `read_outputs`
reads saved or foreign JSONL.
"""

from slr_probe.generation.outputs import Outputs, read_outputs
from slr_probe.generation.run import generate
from slr_probe.generation.sampling import Sampling

__all__ = ["Outputs", "Sampling", "generate", "read_outputs"]
