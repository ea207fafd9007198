"""Files: written so that they appear complete or not at all, read with bounds and one clear error."""

from slr_probe.files.read import disk_full, parse_json, read_json, read_jsonl, read_npz, read_regular, read_text, reason
from slr_probe.files.write import (
    append_jsonl,
    digest,
    drop_partial_line,
    json_line,
    safe_name,
    save_figure,
    write_json,
    write_npz,
    write_text,
    write_whole,
)

__all__ = [
    "append_jsonl",
    "digest",
    "disk_full",
    "drop_partial_line",
    "json_line",
    "parse_json",
    "read_json",
    "read_jsonl",
    "read_npz",
    "read_regular",
    "read_text",
    "reason",
    "safe_name",
    "save_figure",
    "write_json",
    "write_npz",
    "write_text",
    "write_whole",
]
