"""Does the gain carry over to generated text? Three task families, the best range against baselines.

    python analyses/validation.py [BASE TUNED] [--results DIR] [--figures DIR] [--quick]

Writes validation.{pdf,png,csv}: diversity against quality on writing, open questions and reasoning, and the number of
distinct accepted answers by samples, with bootstrap intervals over prompts.
"""

from __future__ import annotations

from common import Analysis, main


def run(analysis: Analysis) -> None:
    """Draw planes and curves."""
    report = analysis.study("rank", "restore", "validate").validation
    if report is None:
        print("no hybrid was built, as no range keeps the floor and gains anything: nothing to validate")
        return
    shows = " ".join((*report.verdicts, *report.endings))
    tasks = zip(report.tasks, report.prompt_ids, report.samples, strict=True)
    sizes = (f"{task}: {len(ids)} prompts x {count}" for task, ids, count in tasks)
    asked = analysis.settings.validate
    settings = f"{'; '.join(sizes)}; temperature {asked.temperature:g}, min-p {asked.min_p:g}, {report.resamples} "
    settings += f"resamples, level {report.level:g}"
    analysis.write("validation", report.plot(), report.to_dataframe(), shows, settings, height=5.7)


if __name__ == "__main__":
    main(__doc__, run)
