"""The glaciers of one mapped scene: allotted, measured, compared, drawn."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.products.inventory.areas import M2_A_KM2, PixelAreas
from glacier_ml.products.inventory.changes import NOT_SEEN, change_table, judge
from glacier_ml.products.inventory.divides import Labels, Mask, allot
from glacier_ml.products.inventory.existing import CARRIED, ExistingOutlines
from glacier_ml.products.inventory.map_rasters import MapRasters
from glacier_ml.products.inventory.options import InventoryOptions
from glacier_ml.products.inventory.perimeters import half_pixel_m, outline_lengths, touching_edge
from glacier_ml.products.inventory.polygons import RGI_CRS, outline_labels
from glacier_ml.products.inventory.uncertainty import (
    check_terms,
    combine,
    ensemble_spreads,
    mapped_areas,
    probability_sums,
    zones,
)
from glacier_ml.products.maps import NO_DATA
from glacier_ml.scenes.rasters import software
from glacier_ml.scenes.scene import Grid

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

MAPPED, BELOW_MINIMUM, NOT_MAPPED = "mapped", "below the minimum area", "not mapped"
"""Whether a glacier's outline is in the file; the last two stand for known glaciers alone."""

_TAGS = ("scene_digest", "model", "model_version", "run_id", "threshold")
Step = Callable[[str], Any]


@dataclass(frozen=True)
class _Ground:
    """A scene's ice by glacier: 1 to `known` are existing outlines, those above to `count` new glaciers."""

    grid: Grid
    labels: Labels
    valid: Mask
    owners: Labels | None
    known: int
    count: int
    pixels: PixelAreas


def scene_inventory(
    rasters: MapRasters, existing: ExistingOutlines | None, options: InventoryOptions, step: Step
) -> geopandas.GeoDataFrame:
    """Make the inventory of one scene.

    Parameters
    ----------
    rasters : MapRasters
        Its maps.
    existing : ExistingOutlines or None
        Those that meet the scene.
    options : InventoryOptions
        What the user chose.
    step : callable
        Told what is done next, in a word; `STEPS` times.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a glacier, in longitude and latitude; columns by the names of RGI 7 and of `OWN_COLUMNS`;
        status, of which the rows not 'mapped' have no geometry.

    Raises
    ------
    GlacierError
        Where the mask holds other values than it may.
    """
    step("divides")
    owners = None if existing is None else existing.owners(rasters.grid)
    known = 0 if existing is None else len(existing.table)
    ground = _ground(rasters, owners, known, options.minimum_area)
    step("areas")
    table = combine(_measured(rasters, ground), check_terms(options.terms))
    if existing is not None and owners is not None:
        table = _compared(table, existing, owners, ground)
    step("outlines")
    described = _described(_identified(table, rasters, known), rasters, options)
    return _drawn(described, ground, options)


STEPS = 3


def _ground(rasters: MapRasters, owners: Labels | None, known: int, minimum_km2: float) -> _Ground:
    """Allot the ice, and leave out new glaciers below the minimum area."""
    mask = rasters.read_mask()
    valid, pixels = mask != NO_DATA, PixelAreas(rasters.grid)
    labels = allot(mask == 1, owners, known)
    areas = mapped_areas(labels, max(known, int(labels.max(initial=0))), pixels)
    numbers = np.arange(len(areas), dtype=np.int32)
    large = areas[known + 1 :] >= minimum_km2
    numbers[known + 1 :] = np.where(large, known + np.cumsum(large), 0)
    return _Ground(rasters.grid, numbers[labels], valid, owners, known, known + int(large.sum()), pixels)


def _measured(rasters: MapRasters, ground: _Ground) -> pd.DataFrame:
    """Area and uncertainty of each label, from 1."""
    import pandas as pd

    labels, valid, count, pixels = ground.labels, ground.valid, ground.count, ground.pixels
    half_pixel = half_pixel_m(ground.grid)
    buffer = outline_lengths(labels, valid, count, ground.grid) * half_pixel / M2_A_KM2
    allotted = zones(labels, valid, ground.owners)
    columns = {
        "area_km2": mapped_areas(labels, count, pixels),
        "half_pixel_buffer_km2": buffer,
        "one_pixel_buffer_km2": 2 * buffer,
        "probability_sum_area_km2": probability_sums(rasters, allotted, count, pixels),
        "ensemble_std_km2": ensemble_spreads(rasters, allotted, count, pixels),
        "touches_edge": touching_edge(labels, valid, count),
    }
    table = pd.DataFrame({name: values[1:] for name, values in columns.items()})
    return table.assign(label=np.arange(1, count + 1), half_pixel_m=half_pixel)


def _compared(
    table: pd.DataFrame, existing: ExistingOutlines, owners: Labels, ground: _Ground
) -> pd.DataFrame:
    """Rows with what the existing outlines tell and cover, and the change since."""
    known, pixels = ground.known, ground.pixels
    owned = mapped_areas(owners, known, pixels)
    seen = mapped_areas(np.where(ground.valid, owners, np.int32(0)), known, pixels)
    lengths = outline_lengths(owners, ground.valid, known, ground.grid)
    then = change_table(existing, owned, seen, lengths)
    within = mapped_areas(np.where(ground.labels == owners, owners, np.int32(0)), known, pixels)
    outside = table["area_km2"].to_numpy()[:known] - within[1:]
    then = then.join(existing.table[["rgi_id", *CARRIED]]).assign(
        area_outside_outline_km2=outside.clip(min=0), outline_source=existing.source
    )
    return judge(table.join(then))


def _identified(table: pd.DataFrame, rasters: MapRasters, known: int) -> pd.DataFrame:
    """Rows with a glacier_id: the existing outline's, or the scene's name and a number that is not taken."""
    given = table["outline_id"].tolist()[:known] if "outline_id" in table else []
    numbers, ids = itertools.count(1), list(given)
    while len(ids) < len(table):
        name = f"{rasters.stem}-{next(numbers):05d}"
        if name not in given:
            ids.append(name)
    return table.assign(glacier_id=ids)


def _described(table: pd.DataFrame, rasters: MapRasters, options: InventoryOptions) -> pd.DataFrame:
    """Rows with where they come from and whether their outline is in the file."""
    status = np.where(table["area_km2"] >= options.minimum_area, MAPPED, BELOW_MINIMUM).astype(object)
    status[(table["area_km2"] == 0).to_numpy()] = NOT_MAPPED
    if "share_seen" in table:
        status[(table["share_seen"] == 0).to_numpy() & (status == NOT_MAPPED)] = NOT_SEEN
    tags = {name: rasters.tags.get(name) for name in _TAGS}
    return table.assign(
        **tags,
        status=status,
        scene=rasters.scene,
        src_date=rasters.date,
        software=rasters.tags.get("software") or software(),
        minimum_area_km2=options.minimum_area,
        simplified_m=options.simplify or 0.0,
    )


def _drawn(table: pd.DataFrame, ground: _Ground, options: InventoryOptions) -> geopandas.GeoDataFrame:
    """Rows with their outlines and what follows from them: parts, a place inside, its UTM zone."""
    import geopandas
    import shapely

    labels = table["label"].to_numpy()
    shown = np.zeros(ground.count + 1, np.int32)
    mapped = labels[(table["status"] == MAPPED).to_numpy()]
    shown[mapped] = mapped
    numbers, polygons = outline_labels(shown[ground.labels], ground.grid, options.simplify)
    outlines = np.full(len(table), None, dtype=object)
    rows = np.searchsorted(labels, numbers)
    outlines[rows] = polygons
    inside = shapely.get_coordinates(shapely.point_on_surface(polygons))
    places = np.full((len(table), 2), np.nan)
    places[rows] = inside
    places[:, 0] = (places[:, 0] + 180) % 360 - 180  # an outline across 180 degrees goes on beyond it
    parts = np.full(len(table), np.nan)
    parts[rows] = shapely.get_num_geometries(polygons)
    table = table.assign(
        cenlon=places[:, 0], cenlat=places[:, 1], utm_zone=utm_zone(places[:, 0]), parts=parts
    )
    return geopandas.GeoDataFrame(table, geometry=outlines, crs=RGI_CRS)


def utm_zone(longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Number of the UTM zone, 6 degrees wide from 180 degrees west on (without Norway's wider ones).

    Examples
    --------
    >>> utm_zone(np.array([-147.1, 0.0, 179.9])).tolist()
    [6.0, 31.0, 60.0]
    """
    return np.floor((longitude + 180) / 6) % 60 + 1
