"""Importing: what the archives hand out becomes a scene folder of reflectance COGs, strip by strip."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import address_named, local_path, shown
from glacier_ml.scenes.cogs import CACHE_MB, RasterProfile, StripWriter
from glacier_ml.scenes.exports import TAGS
from glacier_ml.scenes.landsat.names import sensor_named
from glacier_ml.scenes.landsat.quality import encode_quality
from glacier_ml.scenes.outlines import clip_outlines
from glacier_ml.scenes.rasters import GDAL_ERRORS, software
from glacier_ml.scenes.reading import Bounds, holds_scene, open_source, window_of
from glacier_ml.scenes.scene import Grid, Scene
from glacier_ml.scenes.sources import Source, grid_window, strips
from glacier_ml.scenes.stac import is_item

STRIP = 512  # rows that are in memory at a time, and the side of a COG's tiles
# No predictor: reflectance of 8-bit numbers has 256 values, which compress to half the size without one.
_REFLECTANCE = RasterProfile(float("nan"), "average", STRIP)
_QUALITY = RasterProfile(None, "nearest", STRIP)
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


@dataclass
class Imported:
    """What was imported.

    Attributes
    ----------
    folder : pathlib.Path
        The scene folder.
    name : str
        The scene's.
    provenance : dict
        As `Scene.provenance`.
    pixels, valid : int
        Of the grid; with data in every band, and not dropped.
    flagged : dict of str to int
        Pixels with data by quality mask (`landsat.quality.MASKS`), such as saturated_blue or cloud.
    """

    folder: Path
    name: str
    provenance: dict[str, Any]
    pixels: int = 0
    valid: int = 0
    flagged: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line: where it lies, how its reflectance was made, what the quality bands say of it."""
        known = self.provenance
        told = [str(known[key]) for key in ("sensor", "date") if known.get(key)]
        told.append(f"{known.get('quantity', 'reflectance')} by {known.get('method', 'as given')}")
        told.append(f"{_percent(self.valid, self.pixels)} with data")
        told += [
            f"{mask.replace('_', ' ')} {_percent(count, self.valid)}"
            for mask, count in self.flagged.items()
            if count and (mask.startswith("saturated") or mask.startswith("cloud"))
        ]
        return f"{self.folder}: {', '.join(told)}"


@dataclass(frozen=True)
class ImportOptions:
    """What a user may choose about an import.

    Attributes
    ----------
    method, sensor, bounds, drop
        As in `open_scene`.
    outlines : str, pathlib.Path or None
        Glacier polygons; those of the scene's window become its `outlines.gpkg`.
    overwrite : bool
        Whether a scene folder that is there already is replaced.
    """

    method: str | None = None
    sensor: str | None = None
    bounds: Bounds | None = None
    drop: tuple[str, ...] = ()
    outlines: str | Path | None = None
    overwrite: bool = False


def import_scene(
    source: str | Path, output: str | Path, options: ImportOptions | None = None, progress: bool = True
) -> list[Imported]:
    """Write scene folders of reflectance COGs from bundles, exports or a STAC Item, in bounded memory.

    Parameters
    ----------
    source : str or pathlib.Path
        Whatever `open_scene` reads, or a folder that holds several of them.
    output : str or pathlib.Path
        Folder in which each scene gets a folder of its own, named after its id or, without one, its file.
    options : ImportOptions, optional
        What is to be done otherwise than usual.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    list of Imported
        In the sources' order; a scene's folder appears whole or not at all.

    Raises
    ------
    GlacierError
        As `open_scene`; where two sources are the same scene, a folder is there already or cannot be written.
    """
    options = options or ImportOptions()
    output = local_path(output, "output")
    if options.outlines and not local_path(options.outlines, "outlines").exists():
        raise GlacierError(f"outlines: {options.outlines} does not exist; give a file of polygons")
    if options.sensor:
        sensor_named(options.sensor, "sensor")
    names = _names(_sources_at(source), output, options)
    return [_import_one(place, output / name, options, progress) for place, name in names.items()]


def _import_one(place: str | Path, final: Path, options: ImportOptions, progress: bool) -> Imported:
    with (
        open_source(place, final.name, options.sensor, options.method) as source,
        _new_folder(final, options.overwrite) as folder,
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
    ):
        window = window_of(source.grid, options.bounds, final.name)
        result = Imported(final, final.name, _provenance(source))
        _import(source, window, folder, options.drop, result, progress)
        if options.outlines:
            clip_outlines(
                options.outlines, grid_window(source.grid, window), folder / "outlines.gpkg", final.name
            )
    return result


def _sources_at(source: str | Path) -> list[str | Path]:
    """The source itself, or what a folder holds."""
    if address_named(str(source), "source") or is_item(str(source)):
        return [str(source)]
    path = local_path(source, "source")
    if not path.exists():
        raise GlacierError(
            f"source: {path} does not exist; give a bundle, an export, a STAC Item or a folder of them"
        )
    if holds_scene(path):
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    found: list[str | Path] = [one for one in inside if one.name[0] != "." and holds_scene(one)]
    if not found:
        raise GlacierError(
            f"source: {path} is no scene and holds none; give a Landsat bundle (a folder with its MTL, "
            ".tar, .tar.gz, .zip), a folder of GeoTIFFs, one GeoTIFF of several bands or a STAC Item"
        )
    return found


def _names(places: list[str | Path], output: Path, options: ImportOptions) -> dict[str | Path, str]:
    """Name of each source's scene; every input is opened, and refused, before anything is written."""
    names: dict[str | Path, str] = {}
    first: dict[str, str | Path] = {}
    for place in places:
        with open_source(place, None, options.sensor, options.method) as opened:
            name, known = opened.name, opened.provenance
        if not _NAME.fullmatch(name):
            raise GlacierError(f"{shown(str(place))}: {name!r} cannot name a folder; rename the file")
        # Level 1 and Level 2 of one scene share its id and are two products.
        scene_id = f"{known.get('scene_id') or name}{' (Level 2)' if known.get('level') == 2 else ''}"
        for key in {name, scene_id}:
            if key in first:
                raise GlacierError(f"{place}: is scene {key}, and so is {first[key]}; keep one of them")
            first[key] = place
        _check_place(output / name, place, options.overwrite)
        names[place] = name
    return names


def _check_place(folder: Path, place: str | Path, overwrite: bool) -> None:
    """Refuse to replace what is there, and to replace the source whatever the user chose."""
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise GlacierError(f"{folder}: is there already; name another output, or overwrite it on purpose")
    source = Path(place).expanduser().resolve()
    if folder.resolve() in (source, *source.parents):
        raise GlacierError(f"{folder}: is the source itself and would be lost; name another output")


@contextmanager
def _new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Hand out a hidden folder; at the block's good end it takes the folder's place, else it is gone."""
    partial = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    made: list[Path] = []
    try:
        made = [one for one in folder.parents if not one.exists()]
        partial.mkdir(parents=True)
        yield partial
        _take_place(partial, folder, overwrite)
    except (OSError, *GDAL_ERRORS, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise GlacierError(f"{folder}: cannot be written ({reason}); choose another output") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # what holds something by now stays
            for one in made:
                one.rmdir()


def _take_place(partial: Path, folder: Path, overwrite: bool) -> None:
    """Move a folder to its place; what was there is gone only then."""
    old = partial.with_name(partial.name + "-old")
    if os.path.lexists(folder) and not overwrite:
        raise GlacierError(f"{folder}: has been made by another import meanwhile; keep that one")
    try:
        if os.path.lexists(folder):
            folder.replace(old)
        partial.replace(folder)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(folder):
            old.replace(folder)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:  # a file, or a link to a folder elsewhere, which stays
        old.unlink(missing_ok=True)


def _import(
    source: Source, window: Window, folder: Path, drop: tuple[str, ...], result: Imported, progress: bool
) -> None:
    """Read strips into plain tiled files, then turn each of these into a COG."""
    from tqdm import tqdm

    grid = grid_window(source.grid, window)
    parts = list(strips(window, STRIP))
    with tqdm(
        total=len(parts) + len(source.layers), desc=source.name, unit="step", disable=not progress
    ) as bar:
        with ExitStack() as stack:
            writers = _write_strips(source, parts, grid, folder, drop, result, bar, stack)
            if not result.valid:
                raise GlacierError(
                    f"{source.name}: no pixel has data in every band ({', '.join(source.layers)})"
                )
            tags = _tags(result.provenance | {"masks": ",".join(result.flagged) or None})
            for name, writer in writers.items():
                _finish(writer, tags | _band_tags(source, name), name)
                bar.update(name in source.layers)


def _write_strips(
    source: Source,
    parts: list[Window],
    grid: Grid,
    folder: Path,
    drop: tuple[str, ...],
    result: Imported,
    bar: Any,
    stack: ExitStack,
) -> dict[str, StripWriter]:
    """Every strip of every raster, by the raster's name; closed when the stack is."""
    writers: dict[str, StripWriter] = {}
    for strip in parts:
        scene = source.read(strip, drop)
        _count(scene, result)
        for name, values in _rasters(scene, drop).items():
            if name not in writers:
                profile = _QUALITY if name == "quality" else _REFLECTANCE
                path = folder / f"{name}.tif"
                writers[name] = stack.enter_context(StripWriter(path, grid, values.dtype, profile))
            writers[name].write(values)
        bar.update()
    return writers


def _finish(writer: StripWriter, tags: dict[str, str], band: str) -> None:
    writer.finish(tags, (band,))


def _count(scene: Scene, result: Imported) -> None:
    result.pixels += scene.valid.size
    result.valid += int(scene.valid.sum())
    for mask, flagged in scene.quality.items():
        result.flagged[mask] = result.flagged.get(mask, 0) + int((flagged & scene.valid).sum())


def _rasters(scene: Scene, drop: tuple[str, ...]) -> dict[str, Any]:
    """Bands, without data where a mask drops them, and the quality band where there are masks."""
    rasters: dict[str, Any] = dict(scene.bands)
    if drop:
        dropped = np.logical_or.reduce(
            [scene.quality.get(mask, np.zeros(scene.shape, bool)) for mask in drop]
        )
        rasters = {band: np.where(dropped, np.float32(np.nan), values) for band, values in rasters.items()}
    return rasters | ({"quality": encode_quality(scene.quality, scene.shape)} if scene.quality else {})


def _provenance(source: Source) -> dict[str, Any]:
    came = source.provenance.get("source")
    known = {"source": Path(str(came)).name if came else None, "software": software()}
    return source.provenance | {"method": source.provenance.get("method") or "as given"} | known


def _tags(provenance: dict[str, Any]) -> dict[str, str]:
    """Provenance as GeoTIFF tags; paths of this machine stay out of them."""
    known = {tag: str(provenance[key]) for key, tag in TAGS.items() if provenance.get(key) is not None}
    return known | {"TIFFTAG_SOFTWARE": known["SOFTWARE"]}


def _band_tags(source: Source, band: str) -> dict[str, str]:
    """How the band's DN became reflectance."""
    layer = source.layers.get(band)
    if layer is None or layer.gain is None:
        return {}
    return {"GAIN": repr(layer.gain), "OFFSET": repr(layer.offset)}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
