"""Catalogs: which scenes, which outlines, in which role."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import address_named, local_path, shown
from glacier_ml.scenes.entries import read_entries
from glacier_ml.scenes.outlines import find_outlines, read_outlines
from glacier_ml.scenes.rasters import grid_difference, grid_of, lies_on_earth, open_raster
from glacier_ml.scenes.reading import holds_scene, open_scene, open_source, scene_grid, scene_name
from glacier_ml.scenes.scene import Grid, Scene
from glacier_ml.scenes.sources import Source
from glacier_ml.scenes.vectors.inventories import OutlineDates

CATALOG_NAME = "catalog.yaml"


@dataclass(frozen=True)
class LabelledScene:
    """A scene with what people drew on it.

    Attributes
    ----------
    scene : Scene
        Valid only where the outlines tell, too: a pixel beyond an outline raster has no label.
    mask : ndarray of bool or None
        (rows, columns), true on glaciers; None without outlines.
    ground : ndarray of uint8 or None
        (rows, columns), ground class of a made scene (`synthetic.GROUND_CLASSES`).
    entry : CatalogEntry
        Where it stands in the catalog.
    debris : ndarray of bool or None
        (rows, columns), true on glaciers under debris; None where the outlines do not tell them apart.
    outline_dates : OutlineDates or None
        When the outlines' ground was seen; None where they do not tell.
    """

    scene: Scene
    mask: NDArray[np.bool_] | None
    ground: NDArray[np.uint8] | None
    entry: CatalogEntry
    debris: NDArray[np.bool_] | None = None
    outline_dates: OutlineDates | None = None

    @property
    def truth(self) -> NDArray[np.bool_]:
        """The mask of a scene that must have one; GlacierError without outlines."""
        if self.mask is None:
            raise GlacierError(
                f"{self.scene.name}: has no outlines; training and comparisons need them: name some"
            )
        return self.mask


@dataclass(frozen=True)
class CatalogEntry:
    """One scene of a catalog, not yet read.

    Attributes
    ----------
    name : str
        Unique in the catalog.
    path : pathlib.Path or str
        Scene folder or GeoTIFF; a text is an address, see `reading.open_scene`.
    place, region : str
        What leave-one-place-out and leave-one-region-out leave out.
    role : str
        'train' (tuning and training), 'test' (labelled, held out) or 'unseen' (no outlines).
    date : str or None
        YYYY-MM-DD or YYYY-MM.
    date_bands : dict of str to str
        Date of each band taken on another day.
    outlines, ground : pathlib.Path or None
        Outlines (any CRS; None = none found) and ground classes (on the scene's grid).
    sensor, earth_engine_id : str or None
        What band numbers mean; the image that the scene was cut from.
    bounds : tuple of float or None
        West, south, east, north in degrees: what `download` cuts out of that image.
    """

    name: str
    path: Path | str
    place: str
    region: str
    role: str
    date: str | None = None
    date_bands: dict[str, str] = field(default_factory=dict)
    outlines: Path | None = None
    earth_engine_id: str | None = None
    sensor: str | None = None
    ground: Path | None = None
    bounds: tuple[float, float, float, float] | None = None

    def open(self) -> Scene:
        """Read the scene alone, every pixel valid that has data.

        Raises
        ------
        GlacierError
            As `open_scene`, or where `date_bands` names a band that the scene lacks.
        """
        scene = open_scene(self.path, self.name, self.sensor)
        return replace(scene, provenance=self._told(scene.provenance, scene.bands))

    @contextmanager
    def source(self) -> Iterator[Source]:
        """Open the scene without reading it; what is read of it inside the block is as `open` says."""
        with open_source(self.path, self.name, self.sensor) as source:
            yield replace(source, provenance=self._told(source.provenance, source.layers))

    def _told(self, provenance: dict[str, Any], bands: Iterable[str]) -> dict[str, Any]:
        """Provenance with what the catalog says beside it."""
        lacking = [band for band in self.date_bands if band not in bands]
        if lacking:
            raise GlacierError(
                f"{self.name}: date_bands names {', '.join(lacking)}, which the scene lacks "
                f"(found {', '.join(bands)}); correct the catalog"
            )
        known = {
            "date": self.date or provenance["date"],
            "date_bands": dict(self.date_bands),
            "place": self.place,
            "region": self.region,
            "earth_engine_id": self.earth_engine_id,
        }
        return provenance | known

    def load(self) -> LabelledScene:
        """Read the scene with its outlines and, where it has them, its ground classes.

        Raises
        ------
        GlacierError
            As `open`, or where outlines are missing in the roles train and test, or miss the scene.
        """
        if self.role != "unseen" and self.outlines is None:
            raise GlacierError(
                f"{self.name}: role {self.role} needs outlines, and {shown(str(self.path))} holds none; add "
                "outlines.gpkg or the like, name them by 'outlines:', or set role: unseen"
            )
        scene = self.open()
        ground = _ground(self.ground, scene.grid, self.name) if self.ground else None
        if self.outlines is None:
            return LabelledScene(scene, None, ground, self)
        labels = read_outlines(self.outlines, scene.grid, self.name, self._label_date(scene))
        valid = scene.valid & labels.known
        if not valid.any():
            raise GlacierError(
                f"{self.name}: {self.outlines.name} tells of no pixel with data; give another raster"
            )
        return LabelledScene(
            replace(scene, valid=valid), labels.mask, ground, self, labels.debris, labels.dates
        )

    def _label_date(self, scene: Scene) -> str | None:
        return scene.provenance["date"] or next(iter(self.date_bands.values()), None)


@dataclass(frozen=True)
class Catalog:
    """Scenes and their roles.

    Attributes
    ----------
    source : pathlib.Path or str
        The catalog's file, the folder of scene folders, or the one scene; a text is its address, without what
        signs it.
    entries : tuple of CatalogEntry
        In the catalog's order.
    """

    source: Path | str
    entries: tuple[CatalogEntry, ...]

    def of_role(self, *roles: str) -> tuple[CatalogEntry, ...]:
        """Entries of the roles, in the catalog's order."""
        return tuple(entry for entry in self.entries if entry.role in roles)


def open_catalog(data: str | Path | None = None) -> Catalog:
    """Catalog of whatever `data` is.

    Parameters
    ----------
    data : str, pathlib.Path or None
        A catalog's file, a folder that holds `catalog.yaml`, one scene, or a folder of scenes (those
        with outlines are for training, those without are unseen), or the address of one scene, see
        `reading.open_scene`. None or '': the made scenes.

    Returns
    -------
    Catalog

    Raises
    ------
    GlacierError
        Where there is no scene, or the catalog breaks a rule: the line names file, entry and key.
    """
    if data is None or not str(data).strip():
        from glacier_ml.scenes.made.synthetic import embedded_catalog

        return _open_file(embedded_catalog())
    if address := address_named(str(data), "data"):
        name = scene_name(address)
        return Catalog(shown(address), (CatalogEntry(name, str(data), name, name, "unseen"),))
    path = local_path(data, "data")
    if not path.exists():
        raise GlacierError(f"data: {path} does not exist; give a catalog, a scene or a folder of scenes")
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        return _open_file(path)
    if (path / CATALOG_NAME).is_file():
        return _open_file(path / CATALOG_NAME)
    scenes = _scenes_at(path)
    if not scenes:
        raise GlacierError(
            f"data: {path} is no catalog and no scene, and holds none; give a {CATALOG_NAME}, a folder with "
            "blue.tif green.tif red.tif nir.tif swir1.tif, or a folder of such folders"
        )
    return Catalog(path, _bare_entries(scenes))


def dataset_digest(scenes: Iterable[LabelledScene]) -> str:
    """SHA-256 of names, pixels and labels: equal for equal data, in any order and wherever it lies.

    Parameters
    ----------
    scenes : iterable of LabelledScene

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    state = hashlib.sha256()
    for labelled in sorted(scenes, key=lambda labelled: labelled.entry.name):
        state.update(f"{labelled.entry.name}\n{labelled.scene.digest}\n".encode())
        state.update(np.packbits(labelled.scene.valid).tobytes())
        if labelled.mask is not None:
            state.update(np.packbits(labelled.mask).tobytes())
    return state.hexdigest()


def _open_file(path: Path) -> Catalog:
    entries = []
    for values in read_entries(path):
        if values["role"] != "unseen" and "outlines" not in values:
            values["outlines"] = find_outlines(values["path"])
        entries.append(CatalogEntry(**values))
    return Catalog(path, tuple(entries))


def _scenes_at(path: Path) -> list[Path]:
    """Scenes at a path: itself, or else its GeoTIFFs of several bands; and its subfolders."""
    own = [path] if holds_scene(path) else []
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return own + [
        one for one in inside if (one.is_dir() or not own) and one.name[0] != "." and holds_scene(one)
    ]


def _bare_entries(scenes: list[Path]) -> tuple[CatalogEntry, ...]:
    """Entries without a catalog; a scene that overlaps an earlier one is of the same place."""
    entries: dict[str, CatalogEntry] = {}
    footprints: dict[str, list[tuple[float, ...]]] = {}
    for path in scenes:
        name = scene_name(path)
        if name in entries:
            raise GlacierError(f"data: {entries[name].path} and {path} are both called {name}; rename one")
        footprint = _footprint(path, name)
        place = name
        if footprint:
            near = (one for one, others in footprints.items() if any(overlap(footprint, it) for it in others))
            place = next(near, name)
            footprints.setdefault(place, []).append(footprint)
        outlines = find_outlines(path)
        role = "train" if outlines else "unseen"
        entries[name] = CatalogEntry(name, path, place, place, role, outlines=outlines)
    return tuple(entries.values())


def _footprint(path: Path, name: str) -> tuple[float, ...] | None:
    """West, south, east, north, in degrees; None where that cannot be told: opening the scene says why."""
    try:
        grid = scene_grid(path, name)
    except GlacierError:
        return None
    if not lies_on_earth(grid.crs):
        return None
    corners = array_bounds(*grid.shape, grid.transform)
    return tuple(transform_bounds(grid.crs, "EPSG:4326", *corners))


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    """Whether two boxes (west, south, east, north) share an area.

    Examples
    --------
    >>> overlap((0, 0, 2, 2), (1, 1, 3, 3)), overlap((0, 0, 2, 2), (2, 0, 4, 2))
    (True, False)
    """
    return all(first[low] < second[low + 2] and second[low] < first[low + 2] for low in (0, 1))


def _ground(path: Path, grid: Grid, name: str) -> NDArray[np.uint8]:
    with open_raster(path, name) as dataset:
        difference = grid_difference(grid, grid_of(dataset, name))
        if difference or dataset.dtypes[0] != "uint8":
            raise GlacierError(
                f"{name}: {path.name} must be uint8 on the scene's grid ({difference or dataset.dtypes[0]}); "
                "write it again"
            )
        values: NDArray[np.uint8] = dataset.read(1)
    return values
