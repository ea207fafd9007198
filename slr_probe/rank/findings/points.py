"""The numbers of a ranking for `log=`."""

from __future__ import annotations

from slr_probe.rank.compare import Choice
from slr_probe.rank.scores import MEASURES, RangeScores


def points(scores: RangeScores, choice: Choice) -> tuple[dict[str, float], ...]:
    """One point: the best range and tuned on the selection and held-out prompts, and what was decided."""
    best, tuned = int(scores.order[0]), scores.tuned
    found = {
        "rank/start": scores.ranges[best].start,
        "rank/stop": scores.ranges[best].stop,
        "rank/p_best": scores.p_best[best],
        "rank/chosen": choice.layers is not None,
        "rank/confirmed": choice.confirmed,
    }
    for held_out, where in ((False, "rank"), (True, "rank/held_out")):
        for what in MEASURES:
            means = scores.means(what, held_out=held_out)
            found[f"{where}/{what}"] = means[best]
            if what in ("validity", "diversity"):
                found[f"{where}/tuned_{what}"] = means[tuned]
    return ({name: float(value) for name, value in found.items()},)
