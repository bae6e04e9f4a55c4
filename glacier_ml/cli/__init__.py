"""The command line: one command for each entry point of MLproject, and the same words."""

from glacier_ml.cli.group import cli
from glacier_ml.cli.running import main

__all__ = ["cli", "main"]
