"""What others logged, read as `Outputs`: sample logs of lm-eval and logs of Inspect, beside our own JSONL."""

from slr_probe.generation.logs.log import Log
from slr_probe.generation.logs.read import holds_outputs, read_logs

__all__ = ["Log", "holds_outputs", "read_logs"]
