"""Goldseam."""
