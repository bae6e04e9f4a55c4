"""Evaluation: how good a map is."""
