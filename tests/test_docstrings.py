"""The examples in the docstrings of every module."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import glacier_ml

# The first runs the command line, the second is a file that MLflow runs with a model's folder at hand.
NOT_IMPORTED = {"glacier_ml.__main__", "glacier_ml.studies.tracking.packaged_model"}
MODULES = [module.name for module in walk_packages(glacier_ml.__path__, "glacier_ml.")]


@pytest.mark.parametrize("name", sorted(set(MODULES) - NOT_IMPORTED))
def test_the_examples_hold(name):
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples():
    assert len(doctest.DocTestFinder(exclude_empty=True).find(import_module("glacier_ml.learning.tiles"))) > 3
