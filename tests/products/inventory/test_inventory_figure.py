"""The plot of areas and changes: what is drawn, in which colour, with which words."""

import numpy as np
import pandas as pd
import pytest

from glacier_ml.products.inventory.changes import RGI_WARNING
from glacier_ml.products.inventory.figure import LARGEST, areas_figure

SUMMARY = {
    "scene": "peak",
    "src_date": "2009-09-06",
    "area_km2": 1234.5,
    "glaciers": 3,
    "uncertainty_independent_km2": 1.25,
    "uncertainty_correlated_km2": 2.5,
}


def glaciers(count, **columns):
    area = np.linspace(1, 100, count)
    table = {
        "glacier_id": [f"peak-{number:05d}" for number in range(count)],
        "glac_name": [None] * count,
        "scene": "peak",
        "status": "mapped",
        "area_km2": area,
        "combined_uncertainty_km2": 0.05 * area,
        "half_pixel_buffer_km2": 0.04 * area,
    }
    return pd.DataFrame(table | columns)


def words(figure):
    texts = [figure.get_suptitle(), figure.get_supxlabel()]
    for axes in figure.axes:
        texts += [axes.get_title(), *(text.get_text() for text in axes.texts)]
    texts += [legend.get_title().get_text() for legend in figure.legends]
    return "\n".join(texts)


def test_without_outlines_the_largest_stand_beside_the_uncertainty_of_all():
    figure = areas_figure(glaciers(LARGEST + 5), pd.DataFrame([SUMMARY]))
    left, right = figure.axes
    assert left.get_yticklabels()[-1].get_text() == f"peak-{LARGEST + 4:05d}"  # the largest is on top
    assert len(left.get_yticklabels()) == LARGEST
    assert f"the {LARGEST} largest of {LARGEST + 5} glaciers" in words(figure)
    assert "peak, 2009-09-06: 1,234.50 km² in 3 glaciers, ± 1.25 (errors independent) to 2.50" in words(
        figure
    )
    (combined, half_pixel) = right.lines
    np.testing.assert_allclose(combined.get_ydata(), 5)
    np.testing.assert_allclose(half_pixel.get_ydata(), 4)
    assert len(combined.get_xdata()) == LARGEST + 5


def test_an_unknown_uncertainty_is_said_and_not_drawn():
    unknown = {"combined_uncertainty_km2": np.nan}
    summary = SUMMARY | {"glaciers": 1, "src_date": None}
    summary |= dict.fromkeys(("uncertainty_independent_km2", "uncertainty_correlated_km2"), np.nan)
    plain = areas_figure(glaciers(1, **unknown), pd.DataFrame([summary]))
    assert "peak: 1,234.50 km² in 1 glacier, uncertainty not known" in words(plain)
    plain.canvas.draw()
    table = glaciers(
        2,
        **unknown,
        area_then_seen_km2=[60.0, np.nan],
        change_km2=[-10.0, np.nan],
        change_uncertainty_km2=np.nan,
        verdict=None,
        area_outside_outline_km2=[0.0, np.nan],
        outline_source=["GLIMS", None],
    )
    changed = areas_figure(table, pd.DataFrame([summary]))
    said = [text.get_text() for text in changed.axes[1].texts]
    assert sorted(said) == ["-10.00 km², uncertainty not known", "no earlier outline"]
    changed.canvas.draw()


@pytest.mark.parametrize("source", ["RGI 7", "glacier_ml inventory"])
def test_changes_are_coloured_by_their_verdict_and_rgi_by_its_warning(source):
    change = [-10.0, 2.0, 0.1, np.nan, np.nan]
    verdicts = ["shrank", "grew", "within uncertainty", "not seen", None]
    table = glaciers(
        5,
        glac_name=["Upper $1$", None, None, None, None],
        area_km2=[50.0, 40.0, 30.0, 0.0, 10.0],
        area_then_seen_km2=[60.0, 38.0, 29.9, 0.0, np.nan],
        change_km2=change,
        change_uncertainty_km2=[1.0, 1.0, 1.0, np.nan, np.nan],
        verdict=verdicts,
        area_outside_outline_km2=[0.0, 5.0, 0.1, 0.0, np.nan],
        outline_source=[source] * 4 + [None],
    )
    figure = areas_figure(table, pd.DataFrame([SUMMARY]))
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["peak-00003", "peak-00004", "peak-00002", "peak-00001", r"Upper \$1\$ (peak-00000)"]
    bars = {round(bar.get_width(), 1): bar.get_facecolor()[:3] for bar in right.patches}
    assert set(bars) == {-10.0, 2.0, 0.1}
    assert bars[-10.0][0] > bars[-10.0][2] and bars[2.0][2] > bars[2.0][0]  # reddish, bluish
    assert len(set(bars[0.1])) == 1  # grey
    assert [bar.get_width() for bar in right.patches if bar.get_hatch()] == [2.0]  # 5 km2 beyond its outline
    assert [text.get_text() for text in right.texts] == ["not seen", "no earlier outline"]
    assert (RGI_WARNING[:60] in words(figure)) == (source == "RGI 7")
    figure.canvas.draw()
