"""The few calls of Google Earth Engine that a download needs, and nothing else of it.

The library is Google's own `earthengine-api` (extra `earthengine`): it is released every few weeks, repeats
failed requests by itself and brings Google's client libraries alone. geedim, xee and geemap stand on it and
would fit this package's requirements, too, but what they add (mosaics, xarray and dask, maps in notebooks) is
not needed: pixels on an image's own grid are one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.scene import Grid

GLIMS = "GLIMS/current"
"""Earth Engine's id of the newest GLIMS outlines that it has (its data catalogue)."""


class Client(Protocol):
    """What a download asks of Earth Engine; `where` is the scene's name, for errors."""

    def image_info(self, image_id: str, where: str) -> dict[str, Any]:
        """`bands` (each with `id`, `crs`, `crs_transform`, `dimensions`) and `properties` of an image."""

    def pixels(self, image_id: str, band: str, grid: Grid, fill: float, where: str) -> NDArray[Any]:
        """Values (rows, columns) of a band on a grid of the image's own pixels, `fill` where it is masked."""

    def outlines(self, bounds: tuple[float, ...], where: str) -> list[dict[str, Any]]:
        """GLIMS outlines that touch west, south, east, north, as GeoJSON features in degrees."""


class EarthEngine:
    """Earth Engine with the user's own credentials.

    Parameters
    ----------
    project : str, optional
        Google Cloud project that the use counts for; default the one that `earthengine set_project` stored.

    Raises
    ------
    GlacierError
        Where the library is not installed, nobody is signed in or the project is missing.
    """

    def __init__(self, project: str | None = None) -> None:
        try:
            import ee
            import google.auth.exceptions
            import httplib2
        except ImportError as error:
            raise GlacierError(
                f"Earth Engine: its library is not installed ({error}); install glacier_ml[earthengine]"
            ) from error
        self._ee = ee
        self._errors: tuple[type[Exception], ...] = (
            ee.EEException,
            google.auth.exceptions.GoogleAuthError,
            httplib2.HttpLib2Error,
            OSError,
        )
        with self._told("Earth Engine"):
            ee.Initialize(project=project)

    def image_info(self, image_id: str, where: str) -> dict[str, Any]:
        """As `Client.image_info`."""
        with self._told(where):
            info: dict[str, Any] = self._ee.Image(image_id).getInfo()
        return info

    def pixels(self, image_id: str, band: str, grid: Grid, fill: float, where: str) -> NDArray[Any]:
        """As `Client.pixels`; a request may have 48 MB."""
        transform, (height, width) = grid.transform, grid.shape
        with self._told(where):
            # Masked pixels would come as 0, which may be a value: fill them before they are sent. False:
            # those beyond the image's footprint, too, which would stay masked.
            image = self._ee.Image(image_id).select([band]).unmask(fill, False)
            pixels = self._ee.data.computePixels(
                {
                    "expression": image,
                    "fileFormat": "NUMPY_NDARRAY",
                    "grid": {
                        "dimensions": {"width": width, "height": height},
                        "affineTransform": {
                            "scaleX": transform.a,
                            "shearX": transform.b,
                            "translateX": transform.c,
                            "shearY": transform.d,
                            "scaleY": transform.e,
                            "translateY": transform.f,
                        },
                        "crsCode": grid.crs.to_string(),
                    },
                }
            )
        return np.asarray(pixels[band])

    def outlines(self, bounds: tuple[float, ...], where: str) -> list[dict[str, Any]]:
        """As `Client.outlines`."""
        features: list[dict[str, Any]] = []
        with self._told(where):
            found = self._ee.FeatureCollection(GLIMS).filterBounds(self._ee.Geometry.BBox(*bounds))
            request: dict[str, Any] = {"expression": found}
            while True:
                page = self._ee.data.computeFeatures(request)
                features += page.get("features", [])
                if not page.get("nextPageToken"):
                    return features
                request["pageToken"] = page["nextPageToken"]

    @contextmanager
    def _told(self, where: str) -> Iterator[None]:
        """What the library raises, as one line with its mend."""
        try:
            yield
        except self._errors as error:
            raise GlacierError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    low = text.lower()
    if "earthengine authenticate" in low or type(error).__name__ in (
        "RefreshError",
        "DefaultCredentialsError",
    ):
        return "nobody is signed in; run 'earthengine authenticate' and try again"
    if "no project found" in low:
        return "Earth Engine wants a Google Cloud project; give --project or run 'earthengine set_project'"
    if "not found" in low:
        return f"Earth Engine has no such image, or you may not read it ({text}); correct earth_engine_id"
    if "quota" in low or "too many requests" in low:
        return f"Earth Engine's quota is used up ({text}); try again later, scenes that are there are kept"
    return f"Earth Engine failed ({text}); try again, scenes that are there are kept"
