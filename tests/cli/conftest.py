import json

import pytest


@pytest.fixture
def prompts(tmp_path):
    """A file of three prompts without answers."""
    file = tmp_path / "mine.jsonl"
    rows = [{"id": f"w{i}", "prompt": f"Write {i}"} for i in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
