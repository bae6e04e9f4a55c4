"""`python -m glacier_ml`: the command line."""

from glacier_ml.cli import main

main()
