"""Measurements, not tests: each prints a table, and with JSON=1 one JSON object as its last line."""
