"""Mending polygons: what is drawn wrongly, twice or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mending:
    """What had to be done to the polygons of a window.

    Attributes
    ----------
    mended : int
        Invalid ones (crossing themselves, not closed, ...) that were made valid.
    empty : int
        Ones without a geometry, or without one that can be used.
    duplicates : int
        Ones drawn twice, of which one was kept.
    """

    mended: int = 0
    empty: int = 0
    duplicates: int = 0

    def phrases(self) -> list[str]:
        """What was done, in words; nothing for nothing.

        Examples
        --------
        >>> Mending(mended=3, duplicates=1).phrases()
        ['3 invalid polygons mended', '1 duplicate left out']
        """
        told = [
            (self.mended, "invalid polygon", "mended"),
            (self.empty, "row", "without a usable geometry left out"),
            (self.duplicates, "duplicate", "left out"),
        ]
        return [f"{count} {noun}{'s' * (count != 1)} {verb}" for count, noun, verb in told if count]


def mend(geometry: NDArray[Any], geographic: bool = False) -> tuple[NDArray[Any], NDArray[np.bool_], Mending]:
    """Make polygons valid, flat and nothing but polygons.

    Parameters
    ----------
    geometry : ndarray of object
        WKB or shapely geometries (rows,), None where a row has none. Lines and points are left out unsaid:
        they are no outlines. Of a collection the polygons count.
    geographic : bool
        Whether coordinates are degrees: a polygon that leaps from 180 to -180 is drawn on beyond 180 instead.

    Returns
    -------
    polygons : ndarray of object
        Valid, not empty, without z, of the rows kept.
    kept : ndarray of bool
        (rows,)
    mending : Mending

    Notes
    -----
    A ring that crosses itself becomes the ground that it encloses; doubly enclosed ground counts once; holes
    stay holes. So no area is added but where a missing last point closes a ring.
    """
    import shapely

    polygons, closed = _parsed(np.asarray(geometry, dtype=object))
    usable = has_finite_points(polygons) & ~shapely.is_missing(polygons) & ~shapely.is_empty(polygons)
    polygons = _flat_polygons(polygons, usable)
    drawn = usable & np.isin(shapely.get_type_id(polygons), (3, 6))
    if geographic:
        _unwrap(polygons, drawn)
    broken = drawn & ~shapely.is_valid(polygons)
    for row in np.flatnonzero(broken):
        polygons[row] = _valid(polygons[row])
    lost = broken & (shapely.is_empty(polygons) | (shapely.area(polygons) == 0))
    kept = drawn & ~lost & ~shapely.is_empty(polygons)
    mended = (broken | (closed & drawn)) & kept
    empty = int((~usable).sum() + lost.sum())
    return polygons[kept], kept, Mending(int(mended.sum()), empty)


def _flat_polygons(geometry: NDArray[Any], usable: NDArray[np.bool_]) -> NDArray[Any]:
    """Usable geometries without z, of collections their polygons; None for the others."""
    import shapely

    polygons = geometry.copy()
    polygons[~usable] = None
    polygons = shapely.force_2d(polygons)
    for row in np.flatnonzero(shapely.get_type_id(polygons) == shapely.GeometryType.GEOMETRYCOLLECTION):
        polygons[row] = polygons_of(polygons[row])
    return polygons


def _valid(polygon: Any) -> Any:
    import shapely

    made = polygons_of(shapely.make_valid(polygon, method="structure", keep_collapsed=False))
    parts = shapely.get_parts(polygon)
    if not shapely.get_num_interior_rings(parts).any():
        return made
    # GEOS makes ground of a hole that lies outside of its polygon.
    shells = shapely.polygons(shapely.get_exterior_ring(parts))
    shells = shapely.union_all(shapely.make_valid(shells, method="structure", keep_collapsed=False))
    return polygons_of(shapely.intersection(made, shells))


def _unwrap(polygons: NDArray[Any], drawn: NDArray[np.bool_]) -> None:
    """Turn the western half of polygons that leap over the 180th meridian, in place."""
    import shapely

    bounds = shapely.bounds(polygons).reshape(-1, 4)
    for row in np.flatnonzero(drawn & (bounds[:, 2] - bounds[:, 0] > 180)):
        turned = shapely.transform(
            polygons[row], lambda xy: np.column_stack([xy[:, 0] + 360 * (xy[:, 0] < 0), xy[:, 1]])
        )
        west, _, east, _ = shapely.bounds(turned)
        if east - west < 180 and shapely.area(turned) > 0:
            # Halves that a file keeps apart become neighbours: nothing was wrong with them.
            sound = shapely.is_valid(polygons[row])
            polygons[row] = polygons_of(shapely.make_valid(turned, method="structure")) if sound else turned


def _parsed(geometry: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Geometries, and which of them had to be closed to be read; None for what cannot be read."""
    import shapely

    closed = np.zeros(len(geometry), bool)
    if not any(isinstance(one, bytes) for one in geometry):
        return geometry.copy(), closed
    given = np.array([one is not None for one in geometry], bool)
    polygons = shapely.from_wkb(geometry, on_invalid="ignore")
    failed = np.flatnonzero(given & (polygons == None))  # noqa: E711 - element by element
    for row in failed:
        polygons[row] = shapely.from_wkb(geometry[row], on_invalid="fix")
        closed[row] = polygons[row] is not None
    return polygons, closed


def has_finite_points(polygons: NDArray[Any]) -> NDArray[np.bool_]:
    """Which geometries have no infinite coordinate and no NaN."""
    import shapely

    points, row = shapely.get_coordinates(polygons, return_index=True)
    finite = np.ones(len(polygons), bool)
    finite[row[~np.isfinite(points).all(axis=1)]] = False
    return finite


def polygons_of(geometry: Any) -> Any:
    """Union of a geometry's polygons: a Polygon or MultiPolygon, empty where it has none."""
    import shapely

    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(geometry)
    if any(part.geom_type == "GeometryCollection" for part in parts):
        parts = np.array([polygons_of(part) for part in parts if hasattr(part, "geoms") or part.area])
    parts = [part for part in parts if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    if not parts:
        return shapely.MultiPolygon()
    if len(parts) == 1:
        return parts[0]
    valid = shapely.make_valid(np.array(parts, dtype=object), method="structure", keep_collapsed=False)
    return shapely.union_all(valid)


def find_duplicates(polygons: NDArray[Any], keys: list[str], scoped: bool) -> NDArray[np.bool_]:
    """Which polygons repeat another: the same shape again, or the same key again on the same ground.

    Two polygons of one key which share more than half the smaller one's area are one outline drawn twice, and
    the larger is kept; parts of a glacier that lie apart are no duplicates.

    Parameters
    ----------
    polygons : ndarray of object
        Valid polygons (rows,).
    keys : list of str
        What each stands for (rows,), '' where that is not known.
    scoped : bool
        Whether the same shape under another key is something else (GLIMS repeats a shape at another date).

    Returns
    -------
    ndarray of bool
        (rows,), true for all but one of each: the first of equal ones.
    """
    import shapely

    repeated = np.zeros(len(polygons), bool)
    seen: dict[tuple[str, bytes], int] = {}
    bounds = [tuple(one) for one in shapely.bounds(polygons).reshape(-1, 4)]
    counts: dict[tuple[float, ...], int] = {}
    for one in bounds:
        counts[one] = counts.get(one, 0) + 1
    for row in [row for row, one in enumerate(bounds) if counts[one] > 1]:
        same = (keys[row] if scoped else "", shapely.to_wkb(shapely.normalize(polygons[row])))
        repeated[row] = same in seen
        seen.setdefault(same, row)
    return repeated | _drawn_twice(polygons, keys, ~repeated)


def _drawn_twice(polygons: NDArray[Any], keys: list[str], left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    import shapely

    groups: dict[str, list[int]] = {}
    for row in np.flatnonzero(left):
        if keys[row]:
            groups.setdefault(keys[row], []).append(int(row))
    smaller = np.zeros(len(polygons), bool)
    for rows in groups.values():
        if len(rows) == 1:
            continue
        area = shapely.area(polygons[rows])
        first, second = shapely.STRtree(polygons[rows]).query(polygons[rows], predicate="intersects")
        for one, other in zip(first, second, strict=True):
            if (area[one], -one) < (area[other], -other) and not smaller[rows[other]]:
                shared = shapely.area(shapely.intersection(polygons[rows[one]], polygons[rows[other]]))
                smaller[rows[one]] |= shared > area[one] / 2
    return smaller
