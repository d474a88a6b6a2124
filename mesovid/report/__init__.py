"""Writes what a scan found. It sees records alone, so that a report needs no model."""

from mesovid.report.writers import WRITERS, Writer

__all__ = ["WRITERS", "Writer"]
