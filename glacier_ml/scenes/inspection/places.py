"""Places: coordinates from one reference system in another, where it can be told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.crs import CRS

DEGREES = CRS.from_epsg(4326)


def in_system(there: CRS, here: CRS, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Coordinates of one system in another.

    Parameters
    ----------
    there, here : rasterio.crs.CRS
        System of the coordinates, and the wanted one.
    x, y : array_like
        Easting and northing, or longitude and latitude.

    Returns
    -------
    ndarray
        (2, points), x and y; NaN where the one system is unknown in the other.

    Examples
    --------
    >>> in_system(CRS.from_epsg(32606), DEGREES, [500_000.0], [0.0]).round(6).ravel().tolist()
    [-147.0, 0.0]
    """
    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    try:
        transformer = Transformer.from_crs(there.to_wkt(), here.to_wkt(), always_xy=True)
        found: Any = transformer.transform(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    except (CRSError, ProjError):
        return np.full((2, np.size(x)), np.nan)
    return np.where(np.isfinite(found), found, np.nan)
