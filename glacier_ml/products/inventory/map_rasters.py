"""The rasters of one mapped scene, as `predict` writes them: found, checked, read by strips."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.maps import NO_DATA
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.sources import strips, whole

STRIP = 512
"""Rows worked on at a time: of a whole Landsat frame 3.5 million pixels."""

_RUN_TAGS = ("scene_digest", "model", "run_id", "threshold")
"""What all rasters of one map say alike."""


@dataclass(frozen=True)
class MapRasters:
    """The rasters of one scene.

    Attributes
    ----------
    stem : str
        What their names begin with.
    mask, probability : pathlib.Path
        `<stem>_mask.tif` (0 not glacier, 1 glacier, 255 no data), `<stem>_probability.tif`.
    members : pathlib.Path or None
        `<stem>_members.tif`: the mask of each member of an ensemble, one band a member.
    grid : Grid
        Of all of them.
    tags : dict of str to str
        Of the mask and, where it has none, of the probability: scene, scene_date, model, threshold ...
    """

    stem: str
    mask: Path
    probability: Path
    members: Path | None
    grid: Grid
    tags: dict[str, str]

    @property
    def scene(self) -> str:
        """Name of the scene; where no tag tells it, the stem."""
        return self.tags.get("scene") or self.stem

    @property
    def date(self) -> str | None:
        """Day of the scene, YYYY-MM-DD or YYYY-MM; None where no tag tells it."""
        return self.tags.get("scene_date") or None

    def read_mask(self) -> NDArray[np.uint8]:
        """Read the mask: (rows, columns), 0, 1 and 255.

        Raises
        ------
        GlacierError
            Where it holds another value.
        """
        with open_raster(self.mask, self.stem) as dataset:
            values = dataset.read(1)
            if dataset.nodata is not None and dataset.nodata != NO_DATA:
                values[values == dataset.nodata] = NO_DATA
        strange = values[(values > 1) & (values != NO_DATA)]
        if len(strange):
            raise GlacierError(
                f"{self.mask}: a mask holds 0, 1 and {NO_DATA}, this also {strange[0]}; run predict again"
            )
        return values

    def probabilities(self) -> Iterator[NDArray[np.float32]]:
        """Read the probability by strips of `STRIP` rows: (rows, columns), NaN without a value."""
        with open_raster(self.probability, self.stem) as dataset:
            scale, offset = dataset.scales[0], dataset.offsets[0]
            for window in strips(whole(self.grid), STRIP):
                values = dataset.read(1, window=window, masked=True)
                known = np.ma.filled(values.astype(np.float32), np.nan)
                yield (known * scale + offset).astype(np.float32)

    def member_masks(self) -> Iterator[NDArray[np.bool_]]:
        """Read what each member maps as glacier by strips: (members, rows of the strip, columns)."""
        with ExitStack() as stack:
            if self.members is None:
                return
            dataset = stack.enter_context(open_raster(self.members, self.stem))
            for window in strips(whole(self.grid), STRIP):
                yield dataset.read(window=window) == 1


def strip_rows(rows: int) -> Iterator[tuple[int, int]]:
    """First row and end of each strip that rasters are read by.

    >>> list(strip_rows(600))
    [(0, 512), (512, 600)]
    """
    for start in range(0, rows, STRIP):
        yield start, min(start + STRIP, rows)


def find_maps(folder: str | Path, scene: str | None = None) -> list[MapRasters]:
    """Find the scenes whose maps lie in a folder, in the order of their names.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where `predict` wrote.
    scene : str, optional
        The one scene wanted, by its name or its files' stem; the others' rasters are not looked at.

    Raises
    ------
    GlacierError
        Where there is no map, a raster is missing or unreadable, or a scene's rasters are of several grids
        or runs.

    Warns
    -----
    InventoryWarning
        Of masks that are passed over, because nothing says that `predict` wrote them.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise GlacierError(f"{folder}: is not a folder of maps; give the one that predict wrote")
    maps, foreign = _masks(folder)
    if not maps:
        nothing = f"holds no <scene>_mask.tif{f' but {foreign} from elsewhere' if foreign else ''}"
        raise GlacierError(f"{folder}: {nothing}; run predict with this folder as its output")
    chosen = [path for path, name in maps.items() if scene in (None, name, _stem(path))]
    if not chosen:
        raise GlacierError(
            f"{folder}: holds no map of scene {scene}; choose one of {', '.join(maps.values())}"
        )
    if foreign and scene is None:
        line = (
            "passed over: without a probability beside it and the tags that predict writes, a mask is no map"
        )
        warnings.warn(f"{folder}: {foreign} {line}", InventoryWarning, stacklevel=3)
    return [_opened(path) for path in chosen]


def _masks(folder: Path) -> tuple[dict[Path, str], str]:
    """Masks that may be of maps with their scenes' names, and the names of the other files."""
    tags = {path: _tags(path) for path in sorted(folder.glob("*_mask.tif"))}
    maps = {path: told.get("scene") or _stem(path) for path, told in tags.items() if _ours(path, told)}
    return maps, ", ".join(path.name for path in tags if path not in maps)


def _stem(mask: Path) -> str:
    return mask.name.removesuffix("_mask.tif")


def _beside(mask: Path, kind: str) -> Path:
    return mask.with_name(f"{_stem(mask)}_{kind}.tif")


def _tags(path: Path) -> dict[str, str]:
    """Tags of a raster; none of one that cannot be opened: `_opened` says why, if it is wanted."""
    try:
        with open_raster(path, path.name) as dataset:
            return dict(dataset.tags())
    except GlacierError:
        return {}


def _ours(mask: Path, tags: dict[str, str]) -> bool:
    """Whether a mask may be of a map: it says so, or a probability lies beside it."""
    told = tags.get("software", "").startswith("glacier_ml") or "scene" in tags
    return told or _beside(mask, "probability").is_file()


def _opened(mask: Path) -> MapRasters:
    stem, probability, members = _stem(mask), _beside(mask, "probability"), _beside(mask, "members")
    grid, tags = _header(mask, stem, kinds=("uint8",))
    if not probability.is_file():
        raise GlacierError(f"{stem}: {probability.name} is missing beside {mask.name}; run predict again")
    beside = {probability: ("float32", "uint8")} | ({members: ("uint8",)} if members.is_file() else {})
    told = {mask: tags}
    for path, kinds in beside.items():
        other, told[path] = _header(path, stem, kinds, bands=None if path == members else 1)
        if difference := grid_difference(grid, other):
            raise GlacierError(
                f"{stem}: {path.name} and {mask.name} lie on different grids ({difference}); "
                "run predict again"
            )
    _check_one_run(stem, told)
    # A mask that was corrected by hand may have lost its tags.
    return MapRasters(
        stem, mask, probability, members if members in beside else None, grid, told[probability] | tags
    )


def _check_one_run(stem: str, told: dict[Path, dict[str, str]]) -> None:
    """Refuse rasters that say that they are of different pixels, models, runs or thresholds."""
    for tag in _RUN_TAGS:
        values = {path.name: tags[tag] for path, tags in told.items() if tag in tags}
        first = next(iter(values), "")
        for name, value in values.items():
            if value != values[first]:
                raise GlacierError(
                    f"{stem}: {first} and {name} are of different runs ({tag} {values[first]} and {value}); "
                    "run predict again into an empty folder"
                )


def _header(
    path: Path, where: str, kinds: tuple[str, ...], bands: int | None = 1
) -> tuple[Grid, dict[str, str]]:
    """Grid and tags of a raster of one of the kinds and the number of bands given."""
    with open_raster(path, where) as dataset:
        if dataset.dtypes[0] not in kinds or (bands and dataset.count != bands):
            came: Any = f"{dataset.count} of {dataset.dtypes[0]}"
            raise GlacierError(
                f"{where}: {path.name} has {f'{bands} band' if bands else 'bands'} of "
                f"{' or '.join(kinds)}, this has {came}; write it with predict"
            )
        return grid_of(dataset, where), dict(dataset.tags())
