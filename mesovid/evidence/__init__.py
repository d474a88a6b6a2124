"""Gathers what reports show beside a scan, from models and clips, and writes pages and annotated clips."""
