"""Defaults that several rooms share; one that a single function has stands in its own signature.

What changes nothing (seed 0, temperature 1, min-p 0) is no choice and has no name here.
"""

LEVEL = 0.95
"""Nominal coverage of intervals."""

RESAMPLES = 2000
"""Bootstrap resamples over prompts."""

FLOOR = 0.9
"""Share of tuned's validity that a range must keep (arXiv 2602.06665)."""

SOUPS = 21
"""Uniform soups beside the ranges (arXiv 2602.06665)."""

QUICK_SOUPS, QUICK_PROMPTS = 5, 10
"""Soups, and prompts of each category and split, for a first look (ours)."""

ENDING = (0.9, 1.1)
"""Least and most that a range may end turns where tuned does, as a share of tuned's probability (ours)."""

SURPRISE = 1.1
"""Most that a range may be surprised by tuned's replies, as a share of tuned's own surprise (ours)."""

MEMORY = "4GB"
"""What a sweep may use (ours)."""

MIN_P = 0.1
"""Min-p of text that is generated to compare models, at temperature 1 (arXiv 2602.06665)."""

WARMER = (1.3, 1.5)
"""Temperatures of tuned beside a hybrid, and of the hybrid: a hybrid that a warmer tuned model equals shows nothing."""

LINEAGE_TEMPERATURE = 0.6
"""Temperature of text that is generated along a lineage, with `LINEAGE_TOP_P` (arXiv 2604.16027)."""

LINEAGE_TOP_P = 0.95
"""Top-p of text that is generated along a lineage."""
