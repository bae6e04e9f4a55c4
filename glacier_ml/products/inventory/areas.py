"""True areas of pixels and polygons: on the ellipsoid, whatever the projection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.products.areas import pixel_areas
from glacier_ml.scenes.scene import Grid

M2_A_KM2 = 1e6


class PixelAreas:
    """The ellipsoid's area of every pixel of a grid, given by strips of rows.

    Interpolated linearly between the nodes of `products.areas.pixel_areas`, as `area_km2` there does it.

    Parameters
    ----------
    grid : Grid
        Projected or geographic.
    """

    def __init__(self, grid: Grid) -> None:
        self._nodes, columns, areas = pixel_areas(grid)
        across = np.arange(grid.shape[1])
        self._lines = np.stack([np.interp(across, columns, line) for line in areas])

    def strip(self, start: int, stop: int) -> NDArray[np.float64]:
        """Give the areas [m2] of the rows from `start` to before `stop`: (rows, columns)."""
        last = len(self._nodes) - 1
        position = np.interp(np.arange(start, stop), self._nodes, np.arange(last + 1.0))
        low = np.minimum(position.astype(int), max(last - 1, 0))
        high = np.minimum(low + 1, last)
        share = (position - low)[:, None]
        return self._lines[low] * (1 - share) + self._lines[high] * share


def sum_by_label(labels: NDArray[np.int32], values: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Sum values over the pixels of each label.

    Examples
    --------
    >>> sum_by_label(np.array([[0, 1], [2, 1]], np.int32), np.array([[1.0, 2.0], [3.0, 4.0]]), 2).tolist()
    [1.0, 6.0, 3.0]
    """
    return np.bincount(labels.ravel(), weights=values.ravel(), minlength=count + 1).astype(np.float64)


def polygon_areas_km2(polygons: NDArray[Any], crs: Any) -> NDArray[np.float64]:
    """Areas of polygons on the ellipsoid, their edges taken as geodesics.

    Parameters
    ----------
    polygons : ndarray of object
        shapely polygons (n,), nunataks as holes.
    crs : anything that pyproj takes
        Of their coordinates.

    Returns
    -------
    ndarray
        (n,) [km2].
    """
    import shapely
    from pyproj import CRS, Transformer

    crs = CRS.from_user_input(crs)
    geodetic = crs.geodetic_crs or crs
    to_degrees = Transformer.from_crs(crs, geodetic, always_xy=True)
    geod = geodetic.get_geod()
    degrees = shapely.transform(polygons, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
    turned = shapely.orient_polygons(degrees)
    return np.array([abs(geod.geometry_area_perimeter(one)[0]) for one in turned]) / M2_A_KM2
