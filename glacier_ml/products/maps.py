"""Maps to take away: probability, mask and uncertainty as Cloud Optimized GeoTIFFs, styles, a preview."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import rasterio
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import preview
from glacier_ml.products.areas import AreaSum
from glacier_ml.products.strips import Thumbnail
from glacier_ml.products.styles import MASK_COLOUR, write_styles
from glacier_ml.scenes.addresses import is_address, local_path, shown, whole_address
from glacier_ml.scenes.cogs import CACHE_MB, RasterProfile, StripWriter
from glacier_ml.scenes.rasters import GDAL_ERRORS, software
from glacier_ml.scenes.scene import Grid, Scene

Encoding = Literal["float32", "uint8"]
ENCODINGS = ("float32", "uint8")
NO_DATA = 255
"""Value without data of the mask and of what is stored in percent."""

COLOURS = {0: (0, 0, 0, 0), 1: (*MASK_COLOUR, 255), NO_DATA: (217, 217, 217, 255)}
PERCENT = 100
BLOCK = 256
"""Side of a raster's blocks [px], so that even scenes of 300 px get an overview."""

_A_DAY_S = 86_400
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/|/vsi", re.IGNORECASE)
# Trying harder saves 1.5 % of the bytes of numbers and takes half as long again; of a noisy mask, which is
# small, it saves a fifth and takes twice as long.
_MASK = RasterProfile(NO_DATA, "mode", BLOCK, colours=COLOURS, level=1)
# No colours: they would be those of the first band alone.
_MEMBERS = RasterProfile(NO_DATA, "mode", BLOCK, level=1)
_PROFILES = {
    "float32": RasterProfile(float("nan"), "average", BLOCK, predictor="yes", level=1),
    "uint8": RasterProfile(NO_DATA, "average", BLOCK, predictor="yes", scale=1 / PERCENT),
}


@dataclass(frozen=True)
class MapFiles:
    """What was written of a scene.

    Attributes
    ----------
    probability, mask, uncertainty : Path
        Cloud Optimized GeoTIFFs on the scene's grid; the uncertainty is the entropy of the probability [bit].
    spread, members : Path or None
        Of an ensemble: standard deviation of the members' probabilities; one mask a member, a band each.
    preview : Path or None
        PNG, where one was asked for.
    area_km2 : float
        Glacier area on the ellipsoid.
    """

    probability: Path
    mask: Path
    uncertainty: Path
    spread: Path | None
    members: Path | None
    preview: Path | None
    area_km2: float


class MapWriter:
    """A scene's map, written strip by strip from the top to the bottom.

    Parameters
    ----------
    folder : Path
        Where the files are made; `finish` names where they will lie.
    name, grid
        The scene's.
    threshold : float
        Glacier at or above.
    encoding : {'float32', 'uint8'}
        Of probability, uncertainty and spread.
    members : tuple of float
        Thresholds of an ensemble's members; () without one.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        grid: Grid,
        threshold: float,
        encoding: Encoding = "float32",
        members: tuple[float, ...] = (),
    ) -> None:
        check_encoding(encoding)
        self.folder, self.name, self.grid = folder, name, grid
        self.threshold, self.encoding, self.members = threshold, encoding, members
        self.thumbnail = Thumbnail(name, grid)
        self._area = AreaSum(grid)
        self._row = self.valid = 0
        self._stack = ExitStack()
        self._writers: dict[str, StripWriter] = {}

    def __enter__(self) -> MapWriter:
        self._stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_MB))
        numbers, stored = _PROFILES[self.encoding], self.encoding
        layers: dict[str, tuple[RasterProfile, str, int]] = {
            "probability": (numbers, stored, 1),
            "mask": (_MASK, "uint8", 1),
            "uncertainty": (numbers, stored, 1),
        }
        if self.members:
            layers |= {"spread": (numbers, stored, 1), "members": (_MEMBERS, "uint8", len(self.members))}
        for kind, (profile, dtype, bands) in layers.items():
            path = self.folder / f"{file_stem(self.name)}_{kind}.tif"
            writer = StripWriter(path, self.grid, dtype, profile, bands)
            self._writers[kind] = self._stack.enter_context(writer)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def add(self, scene: Scene, probabilities: NDArray[np.float32]) -> None:
        """Add the next rows.

        Parameters
        ----------
        scene : Scene
            Those rows of it.
        probabilities : ndarray
            float32 (members, rows, columns), NaN without a value; their mean is the map.
        """
        mean = probabilities.mean(axis=0)
        shown = scene.valid & np.isfinite(mean)
        glacier = shown & (mean >= self.threshold)
        layers = {"probability": mean, "uncertainty": entropy(mean)}
        if self.members:
            layers["spread"] = probabilities.std(axis=0, ddof=1)
            called = probabilities >= np.reshape(self.members, (-1, 1, 1)).astype(np.float32)
            self._writers["members"].write(np.where(shown, called, np.uint8(NO_DATA)))
        for kind, values in layers.items():
            self._writers[kind].write(_encoded(values, shown, self.encoding))
        self._writers["mask"].write(np.where(shown, glacier, np.uint8(NO_DATA)))
        self.thumbnail.add(self._row, scene, mean)
        self._area.add(self._row, glacier)
        self._row += len(mean)
        self.valid += int(np.count_nonzero(shown))

    def finish(self, output: Path, tags: Mapping[str, Any], picture: bool) -> MapFiles:
        """Turn the strips into COGs with tags, overviews and styles; draw the preview."""
        area = self._area.km2
        told = {
            "TIFFTAG_SOFTWARE": software(),
            "software": software(),
            "scene": self.name,
            "threshold": f"{self.threshold:g}",
            "glacier_area_km2": f"{area:.4f}",
            **{key: str(value) for key, value in tags.items()},
        }
        drawn = f"{file_stem(self.name)}_preview.png" if picture and self.thumbnail.drawable else None
        with ThreadPoolExecutor(len(self._writers)) as pool:
            made = [pool.submit(self._make_cog, kind, told) for kind in self._writers]
            write_styles(self.folder, [writer.path.name for writer in self._writers.values()])
            if drawn:
                preview(*self.thumbnail.picture(), self.threshold).savefig(self.folder / drawn)
        for one in made:
            one.result()
        paths = {kind: output / writer.path.name for kind, writer in self._writers.items()}
        return MapFiles(
            paths["probability"],
            paths["mask"],
            paths["uncertainty"],
            paths.get("spread"),
            paths.get("members"),
            output / drawn if drawn else None,
            area,
        )

    def _make_cog(self, kind: str, tags: Mapping[str, str]) -> None:
        members = tuple(f"member {number}" for number, _ in enumerate(self.members, 1))
        # Without an environment of this thread's own GDAL prints what rasterio would leave unsaid.
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
            self._writers[kind].finish(tags, members if kind == "members" else (kind,))


def entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropy [bit] of 'glacier or not' at a probability: 0 where it is sure, 1 where it is a toss-up.

    -p log2 p - (1 - p) log2 (1 - p), Shannon's; NaN stays NaN.

    >>> entropy(np.array([0.0, 0.5, 0.11], dtype=np.float32)).round(2).tolist()
    [0.0, 1.0, 0.5]
    """
    p = probability.astype(np.float32)
    tiny = np.finfo(np.float32).tiny  # 0 log 0 is 0
    bits = -p * np.log2(np.maximum(p, tiny)) - (1 - p) * np.log2(np.maximum(1 - p, tiny))
    entropies: NDArray[np.float32] = np.abs(bits)
    return entropies


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that is not known."""
    if encoding not in ENCODINGS:
        raise GlacierError(f"encoding: '{encoding}' is not known; choose {' or '.join(ENCODINGS)}")


def _encoded(values: NDArray[np.float32], shown: NDArray[np.bool_], encoding: Encoding) -> NDArray[Any]:
    if encoding == "float32":
        return np.where(shown, values, np.float32(np.nan))
    percent = np.rint(PERCENT * np.where(shown, values, 0))
    return np.where(shown, percent, NO_DATA).astype(np.uint8)


def check_folder(folder: Path) -> None:
    """Refuse an output folder that could not be written, before any work; makes nothing.

    Raises
    ------
    GlacierError
        Where a file stands in its place, or in that of a folder above it, writing is not allowed, or it is an
        address.
    """
    named = whole_address(str(folder))
    if is_address(named) or _SCHEME.match(named):
        named = re.sub(r":/(?=[^/])", "://", named, count=1)  # pathlib has taken a slash
        raise GlacierError(
            f"output: {shown(named)} is an address, and what is made is written to this machine's disks; "
            "name a folder, and copy it afterwards"
        )
    local_path(folder, "output")
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        reason = f"{nearest} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"{nearest} is not yours to write to"
    else:
        return
    raise GlacierError(f"{folder}: the output folder cannot be written ({reason}); choose another")


@contextmanager
def staged(
    folder: Path, last: str = "", prefix: str = ".partial-", family: Iterable[str] = ()
) -> Iterator[Path]:
    """Hand out a temporary folder; when the block ends well, move its files into `folder`, else drop them.

    Parameters
    ----------
    folder : Path
        Made where missing.
    last : str
        Name of the file that says that the others are whole: an older one goes first, the new one comes last.
    prefix : str
        Beginning of the temporary folder's name.
    family : iterable of str
        Names of files that belong together: those in `folder` that are not made anew are removed.

    Raises
    ------
    GlacierError
        Where the folder cannot be made or written.
    """
    partial = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        yield partial
        _move_in(partial, folder, last, family)
    except (OSError, *GDAL_ERRORS) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        message = f"{folder}: the output folder cannot be written ({reason}); choose another"
        raise GlacierError(message) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _move_in(partial: Path, folder: Path, last: str, family: Iterable[str]) -> None:
    made = sorted(partial.iterdir(), key=lambda file: (file.name == last, file.name))
    if last:
        _kept_through_a_power_cut(made)
        (folder / last).unlink(missing_ok=True)
    for name in set(family) - {file.name for file in made}:
        (folder / name).unlink(missing_ok=True)
    for file in made:
        os.replace(file, folder / file.name)


def _kept_through_a_power_cut(files: Iterable[Path]) -> None:
    """Have the system write to the disk what it may still hold in memory."""
    for file in files:
        with file.open("rb") as open_file:
            os.fsync(open_file.fileno())


def partial_prefix(name: str) -> str:
    """Beginning of the name of the folder in which this process makes a scene's map, in the output folder.

    It names machine and process, so that nobody takes the folder of a living one for a dead one's.
    """
    return f".partial-{file_stem(name)}~{socket.gethostname()}~{os.getpid()}~"


def abandoned(folder: Path, name: str) -> list[Path]:
    """Folders of a scene whose process on this machine is dead, or that lie there for more than a day."""
    found = []
    for left in folder.glob(f".partial-{file_stem(name)}~*"):
        _, host, pid, _ = left.name.split("~")
        with suppress(OSError):
            old = time.time() - left.stat().st_mtime > _A_DAY_S
            if old or (host == socket.gethostname() and not psutil.pid_exists(int(pid))):
                found.append(left)
    return found


def file_stem(name: str) -> str:
    """Name of a scene as the start of a file name.

    Examples
    --------
    >>> file_stem("columbia-2009"), file_stem("alaska/west 3")
    ('columbia-2009', 'alaska_west_3')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "scene"
