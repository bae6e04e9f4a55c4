"""Scene: named bands on a grid, the pixels that are valid, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")

# Bands that `Scene.stack` derives from another: 1 where that one is saturated, else 0.
SATURATION = {"blue_saturated": "blue"}

# Share of the valid pixels that must hold a band's largest value before it counts as the sensor's ceiling and
# not as the brightest pixel; typical value, chosen here.
CEILING_SHARE = 1e-3


TOA, SURFACE = "toa_reflectance", "surface_reflectance"
"""What a scene's values may be: reflectance at the top of the atmosphere, or at the ground (Level 2)."""


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a scene.

    Attributes
    ----------
    crs : rasterio.crs.CRS
        Coordinate reference system.
    transform : affine.Affine
        (column, row) -> map coordinates of a pixel's upper left corner.
    shape : tuple of int
        (rows, columns).
    """

    crs: CRS
    transform: Affine
    shape: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """Top-of-atmosphere reflectance on one grid.

    Attributes
    ----------
    name : str
        Unique in a catalog.
    bands : dict of str to ndarray
        float32 reflectance (rows, columns) by band name, NaN where the band has no data.
    valid : ndarray of bool
        (rows, columns), true where every band is finite.
    grid : Grid
        Where the pixels lie.
    provenance : dict
        Source path, sensor, date and what else is known of the scene's origin; plain JSON values.
    quality : dict of str to ndarray
        Boolean masks (rows, columns) by the names of `landsat.quality.MASKS`; those that the source can tell.
    """

    name: str
    bands: dict[str, NDArray[np.float32]]
    valid: NDArray[np.bool_]
    grid: Grid
    provenance: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.grid.shape

    @property
    def quantity(self) -> str:
        """TOA or SURFACE; what nobody says counts as the first, which this package is about."""
        return self.provenance.get("quantity") or TOA

    def stack(self, bands: tuple[str, ...] | list[str]) -> NDArray[np.float32]:
        """Stack bands to (rows, columns, bands), 0 where the scene is not valid.

        Raises
        ------
        GlacierError
            Where a band is missing.
        """
        stacked = np.zeros((*self.shape, len(bands)), dtype=np.float32)
        for position, values in enumerate(self.layers(bands).values()):
            np.copyto(stacked[..., position], values, where=self.valid)
        return stacked

    def layers(self, bands: tuple[str, ...] | list[str]) -> dict[str, NDArray[np.float32]]:
        """Bands (rows, columns) by name, those of `SATURATION` among them, as the scene holds them.

        Raises
        ------
        GlacierError
            Where a band is missing.
        """
        check_bands(self.name, self.bands, bands)
        return {band: self.bands[band] if band in self.bands else self._saturation(band) for band in bands}

    def saturated(self, band: str) -> NDArray[np.bool_]:
        """Pixels (rows, columns) at a band's ceiling.

        As the quality masks say; without them those at the largest value, none where that is a rare one.
        """
        told = self.quality.get(f"saturated_{band}")
        if told is not None:
            return self.valid & told
        values = self.bands[band]
        if not self.valid.any():
            return np.zeros(self.shape, dtype=bool)
        at_top = self.valid & (values >= values[self.valid].max())
        common = at_top.sum() >= CEILING_SHARE * self.valid.sum()
        return at_top if common else np.zeros(self.shape, dtype=bool)

    def _saturation(self, band: str) -> NDArray[np.float32]:
        return self.saturated(SATURATION[band]).astype(np.float32)

    def rows(self, start: int, stop: int) -> Scene:
        """The scene's rows from `start` to before `stop`, as a scene of their own grid; nothing is copied."""
        moved = self.grid.transform @ Affine.translation(0, start)
        return Scene(
            self.name,
            {band: values[start:stop] for band, values in self.bands.items()},
            self.valid[start:stop],
            Grid(self.grid.crs, moved, (stop - start, self.shape[1])),
            self.provenance,
            {mask: flagged[start:stop] for mask, flagged in self.quality.items()},
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of grid and band values: the same pixels give the same digest, wherever they lie."""
        return pixel_digest(self.grid, {band: [values] for band, values in self.bands.items()})


def pixel_digest(grid: Grid, bands: Mapping[str, Iterable[NDArray[Any]]]) -> str:
    """`PixelDigest` of bands that are there one after the other, each in parts from the first row on."""
    digest = PixelDigest(grid)
    for band, parts in bands.items():
        for part in parts:
            digest.add(band, part)
    return digest.hexdigest()


class PixelDigest:
    """SHA-256 of a grid, and of SHA-256 of each band's values: bands may be read together or in turn.

    Parameters
    ----------
    grid : Grid
        Of the whole.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = f"{grid.crs.to_string()}{tuple(grid.transform)}"
        self._bands: dict[str, Any] = {}

    def add(self, band: str, part: NDArray[Any]) -> None:
        """Add the next rows of a band."""
        self._bands.setdefault(band, hashlib.sha256()).update(np.ascontiguousarray(part).data)

    def hexdigest(self) -> str:
        """What is known so far, as 64 digits."""
        state = hashlib.sha256(self._grid.encode())
        for band, values in sorted(self._bands.items()):
            state.update(band.encode() + values.digest())
        return state.hexdigest()


def check_bands(name: str, found: Iterable[str], needed: Iterable[str]) -> None:
    """Refuse a scene, called `name` and with the bands `found`, that lacks a needed band."""
    found, needed = list(found), list(needed)
    missing = [band for band in needed if SATURATION.get(band, band) not in found]
    if missing:
        raise GlacierError(
            f"{name}: {' and '.join(missing)} missing; needed are {', '.join(needed)} "
            f"(found {', '.join(found)}); add the missing band's file to the scene"
        )


def check_quantity(name: str, found: str | None, needed: str) -> None:
    """Refuse a scene, called `name`, that holds another kind of reflectance than is needed."""
    found = found or TOA
    if found != needed:
        raise GlacierError(
            f"{name}: holds {found.replace('_', ' ')}, and {needed.replace('_', ' ')} is needed: the two are "
            "hundredths apart; take the product of the other level"
        )
