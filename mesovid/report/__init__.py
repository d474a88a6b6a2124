"""Writes what a scan found. Sees records only: a report can be made again without any model."""

from mesovid.report.writers import WRITERS, Writer

__all__ = ["WRITERS", "Writer"]
