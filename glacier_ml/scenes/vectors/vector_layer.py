"""One layer of polygons before it is read, and the errors of every library that reads one."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glacier_ml.errors import GlacierError


@dataclass(frozen=True)
class VectorLayer:
    """One layer of polygons, before it is read.

    Attributes
    ----------
    path : str
        What GDAL or pyarrow opens.
    name : str
        The layer's.
    crs : str
        Coordinate reference system: an authority's code, WKT or PROJJSON.
    fields : tuple of str
        Names of the columns beside the geometry.
    bounds : tuple of float or None
        Smallest x and y, largest x and y, where the file's header tells them.
    count : int
        Features; -1 where the header does not tell.
    parquet : bool
        Whether pyarrow reads it, not GDAL.
    """

    path: str
    name: str
    crs: str
    fields: tuple[str, ...]
    bounds: tuple[float, float, float, float] | None
    count: int
    parquet: bool = False


@contextmanager
def told_in_one_line(
    where: str, rule: str = "cannot be read", mend: str = "replace the file"
) -> Iterator[None]:
    """Turn what GDAL, GEOS, PROJ, zlib and Arrow raise into a GlacierError; silence their warnings."""
    import pyarrow
    from shapely.errors import ShapelyError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    # pyogrio's and pyproj's errors are RuntimeErrors; JSON's, Unicode's and most of Arrow's ValueErrors.
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        OverflowError,
        EOFError,
        # pyogrio's own on a CRS that GDAL cannot tell in words.
        UnboundLocalError,
        struct.error,
        zlib.error,
        zipfile.BadZipFile,
        ShapelyError,
        pyarrow.ArrowException,
    ) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GlacierError(f"{where}: {rule} ({reason}); {mend}") from error
