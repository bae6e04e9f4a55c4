"""The outlines of an inventory over the scene that they were mapped from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import (
    FALSE_COLOUR,
    add_scale_bar,
    false_colour,
    new_figure,
    panel_size,
    plain,
    show_panel,
)
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.changes import GREW, SHRANK, WITHIN
from glacier_ml.products.inventory.map_rasters import MapRasters
from glacier_ml.products.inventory.polygons import RGI_CRS
from glacier_ml.products.strips import Thumbnail
from glacier_ml.scenes.addresses import shown
from glacier_ml.scenes.catalog import CatalogEntry, open_catalog
from glacier_ml.scenes.scene import Grid, Scene, check_bands

if TYPE_CHECKING:
    import geopandas
    from matplotlib.figure import Figure

_MAPPED = "mapped"
_COLOURS = {
    _MAPPED: (1.0, 0.95, 0.0),
    SHRANK: (0.9, 0.25, 0.0),
    GREW: (0.0, 0.3, 1.0),
    WITHIN: (1.0, 1.0, 1.0),
}


def scenes_of_maps(data: str | Path, found: Sequence[MapRasters]) -> dict[str, CatalogEntry]:
    """Find the scenes that maps are of, by name.

    Raises
    ------
    GlacierError
        Where none of them is there, or one lacks a band that the picture needs.

    Warns
    -----
    InventoryWarning
        Of those that are not there, where others are.
    """
    entries = {entry.name: entry for entry in open_catalog(data).entries}
    lacking = [rasters.scene for rasters in found if rasters.scene not in entries]
    line = f"{shown(str(data))}: holds no scene {', '.join(lacking)} to draw outlines on"
    if len(lacking) == len(found):
        raise GlacierError(f"{line} (found {', '.join(entries)}); give the data that were mapped")
    if lacking:
        warnings.warn(f"{line}; the others are drawn", InventoryWarning, stacklevel=3)
    drawn = {one.scene: entries[one.scene] for one in found if one.scene in entries}
    for name, entry in drawn.items():
        with entry.source() as source:
            check_bands(name, source.layers, FALSE_COLOUR)
    return drawn


def thinned_scene(entry: CatalogEntry) -> Scene:
    """Read every nth pixel of a scene, as many as a picture shows: strip by strip, never the whole of it.

    Returns
    -------
    Scene
        Of the bands of `FALSE_COLOUR`, on a grid whose pixels are n times as long; n is 1 for small scenes.

    Raises
    ------
    GlacierError
        As `open_scene`.
    """
    with entry.source() as source:
        thumbnail = Thumbnail(entry.name, source.grid)
        for strip in source.strips():
            scene = source.read(strip)
            thumbnail.add(int(strip.row_off), scene, np.zeros(scene.shape, np.float32))
    return thumbnail.picture()[0]


def outlines_figure(scene: Scene, outlines: geopandas.GeoDataFrame) -> Figure:
    """Draw outlines over a scene in false colour, coloured by the verdict on their change where there is one.

    Parameters
    ----------
    scene : Scene
        What was mapped, whole or thinned (`thinned_scene`); swir1, nir and red are drawn.
    outlines : geopandas.GeoDataFrame
        Its glaciers, in longitude and latitude; `verdict` where change was told.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    check_bands(scene.name, scene.bands, FALSE_COLOUR)
    width, height = panel_size(scene.shape, 1)
    figure = new_figure(1.6 * width, 1.6 * height)
    axes = figure.add_subplot()
    show_panel(axes, false_colour(scene))
    kinds = _kinds(outlines)
    keys = []
    for kind, colour in _COLOURS.items():
        rows = outlines[kinds == kind]
        if len(rows):
            lines = _rings(np.asarray(rows.geometry.array, dtype=object), scene.grid)
            axes.add_collection(LineCollection(lines, colors=[colour], linewidths=0.9))
            keys.append(Line2D([], [], color=colour, label=f"{kind} ({len(rows):,})"))
    add_scale_bar(axes, scene)
    legend = figure.legend(handles=keys, loc="outside lower center", ncols=4, fontsize=8)
    legend.get_frame().set(facecolor=(0.35, 0.35, 0.35), edgecolor="none")
    for text in legend.get_texts():
        text.set_color("w")
    date = scene.provenance.get("date")
    axes.set_title(plain(f"{scene.name}, {date}" if date else scene.name), fontsize=10)
    return figure


def _kinds(outlines: geopandas.GeoDataFrame) -> NDArray[Any]:
    """What each outline's colour tells: its verdict, or that it is mapped."""
    if "verdict" not in outlines:
        return np.full(len(outlines), _MAPPED, dtype=object)
    verdicts = outlines["verdict"]
    return verdicts.where(verdicts.isin(list(_COLOURS)), _MAPPED).to_numpy(dtype=object)


def _rings(polygons: NDArray[Any], grid: Grid) -> list[NDArray[np.float64]]:
    """Rings, nunataks' too, as (points, 2) in columns and rows of the grid, from pixel centre to centre."""
    import shapely
    from pyproj import Transformer

    transformer = Transformer.from_crs(RGI_CRS, grid.crs.to_wkt(), always_xy=True)
    rings = shapely.get_rings(shapely.get_parts(polygons))
    places, ring = shapely.get_coordinates(rings, return_index=True)
    x, y = transformer.transform(places[:, 0], places[:, 1])
    columns, rows = ~grid.transform @ (np.asarray(x), np.asarray(y))
    drawn = np.column_stack([columns, rows])
    return np.split(drawn, np.flatnonzero(np.diff(ring)) + 1)
