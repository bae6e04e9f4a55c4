"""Existing outlines with their ids: RGI, GLIMS, an earlier inventory of ours or plain polygons."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.areas import polygon_areas_km2
from glacier_ml.products.inventory.divides import Labels
from glacier_ml.products.inventory.schemas import long_names
from glacier_ml.scenes.outlines import OutlineWarning
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.inventories import GLIMS, POLYGONS, RGI_6, RGI_7, outline_days, rows_for_date
from glacier_ml.scenes.vectors.layers import VECTORS
from glacier_ml.scenes.vectors.mending import mend, polygons_of
from glacier_ml.scenes.vectors.polygons import on_grid, read_window
from glacier_ml.scenes.vectors.windows import grid_bounds

if TYPE_CHECKING:
    import pandas as pd

OURS = "glacier_ml inventory"
"""Source of outlines that came from an earlier inventory of this package."""

CARRIED = {
    "o1region": ("o1region",),
    "o2region": ("o2region",),
    "glims_id": ("glims_id", "glimsid", "glac_id"),
    "glac_name": ("glac_name", "name"),
    "primeclass": ("primeclass",),
    "conn_lvl": ("conn_lvl", "connect"),
    "surge_type": ("surge_type", "surging"),
    "term_type": ("term_type", "termtype"),
}
"""What is true of a glacier whatever its outline, and how RGI 7, RGI 6 and GLIMS call it."""

_SAME_GROUND = 0.01
"""Share of the smaller outline from which on two count as the same ground. Chosen here."""

_IDS = {RGI_7: "rgi_id", RGI_6: "rgiid", GLIMS: "glac_id", POLYGONS: "id"}


@dataclass(frozen=True)
class ExistingOutlines:
    """The existing outlines that lie in a scene's window, one row a glacier.

    Attributes
    ----------
    table : pandas.DataFrame
        outline_id, rgi_id, the columns `CARRIED`; area_then_km2, of the whole outline; then_date, YYYY-MM-DD
        or None; then_uncertainty_km2, NaN where the file tells none; then_touches_edge, of an earlier
        inventory; share_in_window, of the outline's area.
    shapes : ndarray of object
        (n,) polygons in the grid's CRS.
    source : str
        'RGI 7', 'RGI 6', 'GLIMS', 'polygons' or `OURS`.
    """

    table: pd.DataFrame
    shapes: NDArray[Any]
    source: str

    def owners(self, grid: Grid) -> Labels:
        """Number of the outline, from 1, in which each pixel's centre lies: (rows, columns), 0 in none.

        Where outlines overlap, the smaller one owns the ground.
        """
        from rasterio.features import rasterize

        order = np.argsort(-self.table["area_then_km2"].to_numpy(), kind="stable")
        burnt = [(self.shapes[row], int(row) + 1) for row in order]
        return rasterize(burnt, grid.shape, transform=grid.transform, dtype="int32")


def read_existing(path: Path, grid: Grid, scene: str, date: str | None) -> ExistingOutlines:
    """Read the existing outlines of a scene's window.

    Parameters
    ----------
    path : pathlib.Path
        RGI 6, RGI 7, GLIMS, plain polygons or an inventory written here, in any format that
        `scenes.outlines` reads.
    grid : Grid
        The scene's.
    scene, date : str, str or None
        Its name, for errors; its date: of GLIMS the outlines of the nearest day count.

    Raises
    ------
    GlacierError
        Where the file cannot be read, is a raster, or holds no polygon that covers a part of the scene.
    """
    where = f"{scene}: {path.name}"
    if path.suffix.lower() not in VECTORS:
        raise GlacierError(f"{path}: is no file of polygons; give outlines as one of {' '.join(VECTORS)}")
    window = read_window(path, grid, where, every_column=True)
    frame = long_names(window.frame.rename(columns=str.lower))
    frame = frame.loc[:, ~frame.columns.duplicated()]
    drawn = rows_for_date(frame, window.inventory, date, where)
    if told := window.mending.phrases() + drawn.notes:
        warnings.warn(f"{path.name}: {', '.join(told)}", OutlineWarning, stacklevel=4)
    ice, rock = (on_grid(rows, grid, window.layer, where) for rows in (drawn.ice, drawn.rock))
    existing = _of_rows(_sound(ice), _sound(rock), window.inventory, where, grid)
    inside = (existing.table["share_in_window"] > 0).to_numpy()
    if not inside.any():
        raise GlacierError(f"{where}: no polygon covers a part of the scene; give outlines of its place")
    return replace(
        existing, table=existing.table[inside].reset_index(drop=True), shapes=existing.shapes[inside]
    )


def _sound(frame: Any) -> Any:
    """Rows whose polygons are valid and have an area, also where the projection tied a knot into one."""
    polygons, kept, _ = mend(np.asarray(frame.geometry.array, dtype=object))
    return frame[kept].set_geometry(polygons, crs=frame.crs).reset_index(drop=True)


def _of_rows(ice: Any, rock: Any, inventory: str, where: str, grid: Grid) -> ExistingOutlines:
    """Outlines by id, from rows in the grid's CRS."""
    ours = {"glacier_id", "combined_uncertainty_km2"} <= set(ice.columns)
    ids = _ids(ice, "glacier_id" if ours else _IDS[inventory])
    if ours:
        _check_one_date(ice, ids, where)
    shapes, rows = _by_id(np.asarray(ice.geometry.array, dtype=object), ids)
    shapes = _without(shapes, np.asarray(rock.geometry.array, dtype=object))
    table = _table(ice.iloc[rows].reset_index(drop=True), inventory, ours).assign(outline_id=ids[rows])
    if table["area_then_km2"].isna().any():
        table["area_then_km2"] = polygon_areas_km2(shapes, grid.crs.to_wkt())
    table["share_in_window"] = _shares_in_window(shapes, grid)
    return ExistingOutlines(table, shapes, OURS if ours else inventory)


def _ids(frame: Any, column: str) -> NDArray[Any]:
    """Id of each row; `outline-7` where the file gives none."""
    given = frame[column].tolist() if column in frame else [None] * len(frame)
    told = ["" if one is None or one != one else str(one).strip() for one in given]
    return np.array([one or f"outline-{row + 1}" for row, one in enumerate(told)], dtype=object)


def _check_one_date(frame: Any, ids: NDArray[Any], where: str) -> None:
    """Refuse an inventory of ours that holds a glacier, or the same ground, twice."""
    import shapely

    names, counts = np.unique(ids.astype(str), return_counts=True)
    if (counts > 1).any():
        name, several = names[counts > 1][0], counts.max()
        raise GlacierError(f"{where}: holds glacier {name} {several} times; give an inventory of one scene")
    shapes = np.asarray(frame.geometry.array, dtype=object)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    scenes = np.asarray(frame.get("scene", [""] * len(frame))).astype(str)
    apart = (scenes[first] != scenes[second]) & (first < second)
    first, second = first[apart], second[apart]
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    if (shared > _SAME_GROUND * np.minimum(shapely.area(shapes[first]), shapely.area(shapes[second]))).any():
        told = " and ".join(sorted({*scenes[first], *scenes[second]}))
        raise GlacierError(
            f"{where}: holds {told}, which show the same ground; give an inventory of one of them "
            "(made with --scene)"
        )


def _by_id(shapes: NDArray[Any], ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Union of the polygons of each id, and the row that each id comes first in."""
    import shapely

    _, first, position = np.unique(ids.astype(str), return_index=True, return_inverse=True)
    rows = np.sort(first)
    several = np.bincount(position) > 1
    united = shapes[rows].copy()
    for place in np.flatnonzero(several[position[rows]]):
        united[place] = polygons_of(shapely.union_all(shapes[position == position[rows[place]]]))
    return united, rows


def _without(shapes: NDArray[Any], rocks: NDArray[Any]) -> NDArray[Any]:
    """Polygons less the rocks inside them (GLIMS draws nunataks as polygons of their own)."""
    import shapely

    if not len(rocks):
        return shapes
    lesser = shapes.copy()
    tree = shapely.STRtree(rocks)
    rows, found = tree.query(shapes, predicate="intersects")
    for row in np.unique(rows):
        inside = shapely.union_all(rocks[found[rows == row]])
        left = polygons_of(shapely.difference(shapes[row], inside))
        lesser[row] = left if not left.is_empty else shapes[row]
    return lesser


def _table(frame: Any, inventory: str, ours: bool) -> pd.DataFrame:
    """What is known of each glacier, under RGI 7's names."""
    import pandas as pd

    nothing = pd.Series([None] * len(frame), dtype=object)
    known = {"rgi_id": frame.get(_IDS[RGI_6] if inventory == RGI_6 else "rgi_id", nothing)}
    for name, aliases in CARRIED.items():
        known[name] = next((frame[alias] for alias in aliases if alias in frame), nothing)
    _, _, middle = outline_days(frame, inventory)
    days = [None if day is pd.NaT else day.date().isoformat() for day in middle]
    area = frame.get("area_km2", frame.get("area")) if ours else None
    return pd.DataFrame(known).assign(
        then_touches_edge=frame["touches_edge"].astype(bool) if "touches_edge" in frame else False,
        area_then_km2=np.nan if area is None else pd.to_numeric(area, errors="coerce"),
        then_date=pd.Series(days, dtype=object),
        then_uncertainty_km2=frame["combined_uncertainty_km2"].astype(float) if ours else np.nan,
    )


def _shares_in_window(shapes: NDArray[Any], grid: Grid) -> NDArray[np.float64]:
    """Share of each polygon's area that lies in the grid's window."""
    import shapely

    corners = [(0, 0), (grid.shape[1], 0), (grid.shape[1], grid.shape[0]), (0, grid.shape[0])]
    window = shapely.Polygon([grid.transform @ corner for corner in corners])
    near = shapely.clip_by_rect(shapes, *grid_bounds(grid))
    upright = grid.transform.b == 0 and grid.transform.d == 0
    inside = near if upright else shapely.intersection(shapely.make_valid(near), window)
    return np.clip(shapely.area(inside) / shapely.area(shapes), 0.0, 1.0)
