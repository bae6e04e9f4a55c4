"""Cloud Optimized GeoTIFFs, written strip by strip: a whole frame never lies in memory."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import DTypeLike, NDArray
from rasterio.errors import RasterioError
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from glacier_ml.scenes.scene import Grid

CACHE_MB = 128
"""GDAL's cache of blocks; its default, 5 % of the memory, would break a promise on a large machine."""

_ROWS = 512  # read back at once


@dataclass(frozen=True)
class RasterProfile:
    """How a raster is stored.

    Attributes
    ----------
    nodata : float or None
        The value of pixels without data.
    resampling : str
        How overviews are made: 'average', 'mode', 'nearest'.
    block : int
        Side of the blocks [px].
    predictor : str
        'yes' (neighbouring values are alike) or 'no' (few distinct values).
    scale : float
        What a stored number is to be multiplied by.
    colours : dict of int to tuple, optional
        Red, green, blue, opacity by value.
    level : int
        How hard 'deflate' tries, from 1 (quickest) to 12.
    """

    nodata: float | None = None
    resampling: str = "average"
    block: int = 512
    predictor: str = "no"
    scale: float = 1.0
    colours: dict[int, tuple[int, int, int, int]] | None = None
    level: int = 6


class StripWriter:
    """A raster that grows strip by strip from its first row to its last, and is made a COG at the end.

    Parameters
    ----------
    path : pathlib.Path
        Where the COG shall lie; a plain file stands beside it until then.
    grid : Grid
        Of the whole raster.
    dtype : dtype
        Of the stored numbers.
    profile : RasterProfile
        How they are stored.
    bands : int
        Number of bands.
    """

    def __init__(
        self, path: Path, grid: Grid, dtype: DTypeLike, profile: RasterProfile, bands: int = 1
    ) -> None:
        self.path, self.profile = path, profile
        self._plain = path.with_name(f".{path.name}")
        self._row, self._checksums = 0, [0] * bands
        # Tiled, and not compressed, which takes longer than writing: it is only written to make a COG of.
        self._dataset = rasterio.open(
            self._plain, "w", driver="GTiff", height=grid.shape[0], width=grid.shape[1], count=bands,
            dtype=dtype, crs=grid.crs, transform=grid.transform, nodata=profile.nodata, tiled=True,
            blockxsize=profile.block, blockysize=profile.block,
            bigtiff="if_safer", interleave="band",
        )  # fmt: skip

    def __enter__(self) -> StripWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dataset.close()

    def write(self, values: NDArray[Any]) -> None:
        """Write the next rows: (rows, columns), or (bands, rows, columns)."""
        layers = values if values.ndim == 3 else values[None]
        at = Window(0, self._row, layers.shape[2], layers.shape[1])
        for band, layer in enumerate(layers):
            self._dataset.write(layer, band + 1, window=at)
            self._checksums[band] = zlib.crc32(np.ascontiguousarray(layer).data, self._checksums[band])
        self._row += layers.shape[1]

    def finish(self, tags: Mapping[str, str], descriptions: tuple[str, ...]) -> None:
        """Make the COG, with tags and the bands' names, and read it back.

        Raises
        ------
        OSError
            Where the file does not hold what was written.
        """
        self._dataset.update_tags(**tags)
        for band, description in enumerate(descriptions, 1):
            self._dataset.set_band_description(band, description)
        if self.profile.scale != 1:
            self._dataset.scales = (self.profile.scale,) * len(descriptions)
        if self.profile.colours:
            self._dataset.write_colormap(1, self.profile.colours)
        self._dataset.close()
        copy_raster(
            self._plain, self.path, driver="COG", compress="deflate", level=self.profile.level,
            predictor=self.profile.predictor, blocksize=self.profile.block, num_threads="all_cpus",
            overview_resampling=self.profile.resampling, bigtiff="if_safer",
        )  # fmt: skip
        self._plain.unlink()
        if _checksums(self.path, len(self._checksums)) != self._checksums:
            # GDAL keeps quiet where the disk is full when it closes a file.
            raise OSError(f"{self.path.name} is not what was written; the disk may be full")


def _checksums(path: Path, bands: int) -> list[int]:
    """Of each band's values, from the first row to the last; -1 where they cannot be read."""
    found = [0] * bands
    try:
        with rasterio.open(path) as dataset:
            for top in range(0, dataset.height, _ROWS):
                strip = Window(0, top, dataset.width, min(_ROWS, dataset.height - top))
                for band in range(bands):
                    found[band] = zlib.crc32(dataset.read(band + 1, window=strip).data, found[band])
    except RasterioError:
        return [-1] * bands
    return found
