"""Inventories without the second that their plot takes."""

import pytest

from glacier_ml.evaluation.figures import new_figure
from glacier_ml.products.inventory import compilation


@pytest.fixture
def without_plot(monkeypatch):
    """Write an empty picture in the plot's place; test_inventory_figure.py looks at the plot."""
    monkeypatch.setattr(compilation, "areas_figure", lambda table, summary: new_figure(1, 1))
