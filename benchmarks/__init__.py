"""What a user would otherwise use, side by side with ours: `python -m benchmarks --help`."""
