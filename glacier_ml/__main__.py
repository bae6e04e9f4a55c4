"""`python -m glacier_ml`: the command line."""

from glacier_ml.cli import main

if __name__ == "__main__":
    main()
