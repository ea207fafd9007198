"""A table of many pairs: rows as the rankings say, reasons where a pair fails, and nothing done twice."""

import numpy as np
import pytest

from slr_probe.errors import CheckpointError, OutputError, StudyError
from slr_probe.rank.across import PairTable, row_of
from slr_probe.rank.blocks.scorers import BlockScores
from slr_probe.study.folder import Findings
from slr_probe.study.many import NamedPair, run_table
from slr_probe.study.many import run as module
from tests.golden.study import GOLDEN

PAIRS = [NamedPair("good", "B", "T"), NamedPair("gone", "B", "nowhere"), NamedPair("odd", "B", "bug")]


@pytest.fixture
def table(monkeypatch, tmp_path):
    """A table whose studies are read from the golden one, are absent, or end in a fault."""

    def study(base, tuned, folder, settings, **options):
        if tuned == "nowhere":
            raise CheckpointError("nowhere holds no checkpoint")
        if tuned == "bug":
            raise KeyError
        assert folder == tmp_path / "studies" / "good"
        return Findings(GOLDEN)

    monkeypatch.setattr(module, "run_study", study)
    return run_table(PAIRS, tmp_path)


def test_a_row_a_pair_and_a_reason_where_it_failed(table, tmp_path):
    assert [row["pair"] for row in table.rows] == ["good", "gone", "odd"]
    assert table.rows[1]["reason"] == "failed: nowhere holds no checkpoint"
    assert table.rows[2]["reason"] == "failed: KeyError()"
    assert {file.suffix for file in tmp_path.glob("table.*")} == {".npz", ".csv", ".pdf", ".png"}
    assert PairTable.load(tmp_path / "table.npz").rows == table.rows
    assert table.to_dataframe()["pair"].tolist() == ["good", "gone", "odd"]


def test_a_row_is_what_the_ranking_says():
    ranking = Findings(GOLDEN).ranking
    best, gain = ranking.choice.layers, ranking.choice.gain.difference
    hit = np.array([float(best.start <= block < best.stop) for block in range(ranking.depth)])
    row = row_of(ranking, {"hit": BlockScores(hit), "miss": BlockScores(1 - hit)})
    assert row["layers"] == row["hit_first"] == str(best)
    assert (row["start"], row["stop"]) == (best.start / ranking.depth, best.stop / ranking.depth)
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (gain.value, gain.low, gain.high)
    validity = ranking.held_validity.mean(1)
    assert row["kept"] == pytest.approx(validity[ranking.index(best)] / validity[ranking.tuned])
    assert row["hit_share"] == 1
    assert row["miss_share"] < 0.8
    assert row["found_by"] == "hit"


def test_the_shares_are_gains_of_the_first_ranges(table):
    ranking, row = Findings(GOLDEN).ranking, table.rows[0]
    assert table.methods == ("delta", "lens", "patching")
    for name in table.methods:
        first = ranking.index(row[f"{name}_first"])
        gains = ranking.value[[first, ranking.index(row["layers"])]] - ranking.value[ranking.tuned]
        assert row[f"{name}_share"] == pytest.approx(gains[0] / gains[1])


def test_no_pairs(tmp_path):
    with pytest.raises(StudyError, match="at least one"):
        run_table([], tmp_path)


def test_a_folder_of_other_things_is_refused_before_any_study(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(OutputError, match=r"give a (new )?folder"):
            run_table([NamedPair("a", "nobody/base", "nobody/tuned")], out)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
