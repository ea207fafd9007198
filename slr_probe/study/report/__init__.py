"""The report of a study: one HTML file that needs nothing else."""

from slr_probe.study.report.page import write_report

__all__ = ["write_report"]
