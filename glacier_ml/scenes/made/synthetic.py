"""Made scenes: synthetic Landsat 5 TM scenes with known truth, the default where no data are named."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.made.ground import (
    GLACIER_SHADOW,
    GROUND_CLASSES,
    GROUND_SHADOW,
    MELANGE,
    WATER,
    cover_land,
)
from glacier_ml.scenes.made.reflectance import observe
from glacier_ml.scenes.made.terrain import CELL, MARGIN, REGIONS, Region, make_land
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import write_scene
from glacier_ml.scenes.scene import Grid, Scene

GENERATOR_VERSION = 3
SIZE = (512, 448)
MARKER = "made_scenes.json"

# (region, place, role): the test places are made from numbers that no training scene uses.
DEFAULT_SCENES = (
    ("alaska", 1, "train"),
    ("alaska", 2, "train"),
    ("alaska", 3, "train"),
    ("patagonia", 1, "train"),
    ("patagonia", 2, "train"),
    ("patagonia", 3, "train"),
    ("alaska", 4, "test"),
    ("patagonia", 4, "test"),
    ("alaska", 5, "unseen"),
)
MOST_PLACES, MOST_DATES = 40, 5
"""Of a folder: farther places leave their map projection's good part, later dates most of the ice."""


@dataclass(frozen=True)
class MadeScene:
    """A made scene and its truth.

    Attributes
    ----------
    scene : Scene
        Reflectances as Landsat 5 TM would give them.
    mask : ndarray of bool
        Glacier, (rows, columns).
    ground : ndarray of uint8
        Ground class by the numbers of `GROUND_CLASSES`, (rows, columns).
    """

    scene: Scene
    mask: NDArray[np.bool_]
    ground: NDArray[np.uint8]


def make_scene(
    place: int, region: str, size: tuple[int, int] = SIZE, date_index: int = 0, seed: int = 0
) -> MadeScene:
    """Make one scene; the same arguments give the same pixels.

    Parameters
    ----------
    place : int
        Number of the place, 0 or more: another number is another relief.
    region : str
        'alaska' (late summer) or 'patagonia' (winter's end).
    size : tuple of int
        (rows, columns), multiples of 8.
    date_index : int
        0, 1, 2 ...: the same place later, with another sun, less ice and other melange.
    seed : int
        Another seed is another world.

    Raises
    ------
    GlacierError
        For an unknown region, a size that does not divide by 8 or a negative number.
    """
    _check(place, region, size, date_index)
    profile = REGIONS[region]
    key = [seed, sorted(REGIONS).index(region), place]
    land = make_land(np.random.default_rng(key), profile, size, 40.0 * date_index)
    window = (slice(MARGIN[0], MARGIN[0] + size[0]), slice(MARGIN[1], MARGIN[1] + size[1]))
    rng = np.random.default_rng([*key, date_index + 1])
    sun = profile.sun.moved(rng.uniform(-1.0, 2.0), rng.uniform(-4.0, 4.0))
    seen = land.cropped(window)
    cover = cover_land(rng, profile, seen)
    bands, shadow = observe(rng, profile, land, cover, sun, window)
    scene = _scene(bands, profile, place, date_index, {"seed": seed, "sun_elevation_deg": sun.elevation_deg})
    return MadeScene(scene, seen.glacier, _shade(cover.ground, seen.glacier, shadow > 0.5))


def _shade(
    ground: NDArray[np.uint8], glacier: NDArray[np.bool_], shadow: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Ground classes with land and ice in shadow told apart; water stays water."""
    shaded = np.where(glacier, GLACIER_SHADOW, GROUND_SHADOW)
    floating = np.isin(ground, (WATER, MELANGE))
    return np.where(shadow & ~floating, shaded, ground).astype(np.uint8)


def _check(place: int, region: str, size: tuple[int, int], date_index: int) -> None:
    if region not in REGIONS:
        raise GlacierError(f"make_scene: region is one of {', '.join(REGIONS)}; got {region!r}")
    if any(length <= 0 or length % 8 for length in size):
        raise GlacierError(f"make_scene: rows and columns must be multiples of 8; got {size[0]} x {size[1]}")
    if place < 0 or date_index < 0:
        raise GlacierError(f"make_scene: place and date_index start at 0; got {place} and {date_index}")


def _scene(
    bands: dict[str, NDArray[np.float32]], region: Region, place: int, date_index: int, facts: dict[str, Any]
) -> Scene:
    """Put the bands on a UTM grid; every third place lies at the slanted edge of its swath."""
    shape = next(iter(bands.values())).shape
    row, column = np.indices(shape)
    valid = np.asarray(column >= (12 - 0.03 * row if place % 3 == 2 else 0))
    if not valid.all():
        bands = {band: np.where(valid, values, np.float32(np.nan)) for band, values in bands.items()}
    transform = Affine(CELL, 0.0, 400_000.0 + 30_000.0 * place, 0.0, -CELL, region.north)
    grid = Grid(CRS.from_epsg(region.epsg), transform, shape)
    date = f"{2007 + 2 * date_index}-{region.month_day}"
    provenance = {"source": "made", "generator": GENERATOR_VERSION, "sensor": "TM", "date": date, **facts}
    later = f"-{date[:4]}" if date_index else ""
    return Scene(f"made-{region.name}-{place}{later}", bands, valid, grid, provenance)


def planned_scenes(places: int | None = None, dates: int = 1) -> list[tuple[str, int, str, int]]:
    """Plan which scenes a folder gets: the default ones, or with other numbers of training places and dates.

    Places of the default's tests keep their numbers, so that their scenes are the same in every folder:
    further training places are 6, 7, 8 ... Later dates of the training places have the role test.

    Parameters
    ----------
    places : int, optional
        Training places of each region, 1 to 40; None: the default's three.
    dates : int
        Dates of each training place, 1 to 5.

    Returns
    -------
    list of (str, int, str, int)
        region, place, role, date_index.

    Raises
    ------
    GlacierError
        Where a number is out of its range.

    Examples
    --------
    >>> [scene[1:3] for scene in planned_scenes(places=4) if scene[0] == "patagonia"]
    [(1, 'train'), (2, 'train'), (3, 'train'), (6, 'train'), (4, 'test')]
    """
    given = {"places": (1 if places is None else places, MOST_PLACES), "dates": (dates, MOST_DATES)}
    for name, (number, most) in given.items():
        if not 1 <= number <= most:
            raise GlacierError(f"synthesize: {name} goes from 1 to {most}; got {number}")
    planned = [(*scene, 0) for scene in DEFAULT_SCENES if places is None or scene[2] != "train"]
    if places is not None:
        planned = _training_places(places) + planned
    training = [(region, place) for region, place, role, _ in planned if role == "train"]
    return planned + [(*scene, "test", date) for date in range(1, dates) for scene in training]


def _training_places(places: int) -> list[tuple[str, int, str, int]]:
    """So many training places of each region, by numbers that no other default scene has."""
    taken = {place for _, place, role in DEFAULT_SCENES if role != "train"}
    numbers = [number for number in range(1, places + len(taken) + 1) if number not in taken][:places]
    return [(region, number, "train", 0) for region in REGIONS for number in numbers]


def synthesize(
    output: Path | str,
    seed: int = 0,
    progress: bool = True,
    places: int | None = None,
    dates: int = 1,
) -> Path:
    """Write made scenes with a catalog: folders of bands, `outlines.tif` and `ground.tif`.

    Parameters
    ----------
    output : path
        Folder to write: absent, empty or an earlier result of this function, which is replaced.
    seed : int
        Another seed is another world.
    progress : bool
        Show a progress bar on stderr.
    places, dates : int
        As in `planned_scenes`; without them the default scenes.

    Returns
    -------
    Path
        The catalog.

    Raises
    ------
    GlacierError
        Where `output` holds other files or cannot be written, or `places` or `dates` is out of its range.
    """
    output, planned = Path(output), planned_scenes(places, dates)
    _refuse_foreign(output)
    building = _folder_beside(output)
    try:
        _write_all(building, seed, progress, planned)
        _put_in_place(building, output)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return output / "catalog.yaml"


def embedded_catalog(seed: int = 0) -> Path:
    """Catalog of the made scenes in the user's cache, made on first use.

    The folder is `made-scenes-<version>-<seed>` under the environment's GLACIER_ML_CACHE, else
    ~/.cache/glacier_ml. Processes that start together each make the scenes and one of them wins.

    Returns
    -------
    Path
        The catalog.
    """
    root = Path(os.environ.get("GLACIER_ML_CACHE") or Path.home() / ".cache" / "glacier_ml")
    folder = root / f"made-scenes-{GENERATOR_VERSION}-{seed}"
    catalog = folder / "catalog.yaml"
    return catalog if catalog.is_file() else synthesize(folder, seed)


def _refuse_foreign(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise GlacierError(f"{output}: is a file; synthesize needs the name of a folder")
    if output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file():
        raise GlacierError(f"{output}: holds files that synthesize did not write; name a new or empty folder")


def _folder_beside(output: Path) -> Path:
    """Make the hidden folder in which the result is built."""
    building = output.with_name(f".{output.name}-{uuid.uuid4().hex}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir()
    except OSError as error:
        raise GlacierError(f"{output}: cannot be written ({error.strerror}); name another output") from error
    return building


def _put_in_place(building: Path, output: Path) -> None:
    """Rename the finished folder; what lay there goes aside first, and a finished rival's result stays."""
    old = building.with_name(building.name + "-old")
    try:
        if output.exists():
            os.replace(output, old)
        os.replace(building, output)
    except OSError:
        if not (output / "catalog.yaml").is_file():
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _write_all(folder: Path, seed: int, progress: bool, planned: Sequence[tuple[str, int, str, int]]) -> None:
    from tqdm import tqdm

    entries = []
    for region, place, role, date in tqdm(planned, desc="making scenes", unit="scene", disable=not progress):
        made = make_scene(place, region, date_index=date, seed=seed)
        name = made.scene.name
        write_made(made, folder / name, outlines=role != "unseen")
        entries.append({
            "name": name, "path": name, "place": f"made-{region}-{place}", "region": f"made-{region}",
            "role": role, "date": made.scene.provenance["date"], "ground": "ground.tif",
        })  # fmt: skip
    classes = ", ".join(f"{number} {name}" for number, name in GROUND_CLASSES.items())
    head = f"# Made scenes: generator {GENERATOR_VERSION}, seed {seed}. Ground: {classes}.\n"
    text = head + yaml.safe_dump({"scenes": entries}, sort_keys=False)
    (folder / "catalog.yaml").write_text(text, encoding="utf-8")
    (folder / MARKER).write_text(json.dumps({"generator": GENERATOR_VERSION, "seed": seed}), encoding="utf-8")


def write_made(made: MadeScene, folder: Path, outlines: bool = True) -> None:
    """Write the bands, the ground classes and, on choice, the truth of a made scene to a folder."""
    write_scene(made.scene, folder)
    write_raster(folder / "ground.tif", made.ground, made.scene.grid)
    if outlines:
        write_raster(folder / "outlines.tif", made.mask, made.scene.grid)
