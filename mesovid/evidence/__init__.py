"""Gathers what reports show beside a scan, and writes pages and annotated clips."""
