from __future__ import annotations

import shutil

from slr_probe import ModelPair
from slr_probe.study.provenance import contents


def test_a_study_records_config_and_tokenizer_beside_the_weights(own_pair, tmp_path):
    folders = own_pair()
    pair = ModelPair.load(*folders.folders)
    moved = shutil.copytree(folders.base, tmp_path / "moved")
    seen = {contents(pair.base_side)}
    assert contents(ModelPair.load(moved, folders.tuned).base_side) in seen
    for name in ("config.json", "tokenizer_config.json"):
        (moved / name).write_text((moved / name).read_text() + " ")
        seen.add(contents(ModelPair.load(moved, folders.tuned).base_side))
    assert len(seen) == 3
