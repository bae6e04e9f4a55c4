"""From a folder of maps to an inventory: outlines, tables and a plot, written together or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.changes import caveat
from glacier_ml.products.inventory.existing import ExistingOutlines, read_existing
from glacier_ml.products.inventory.figure import areas_figure
from glacier_ml.products.inventory.files import check_output, write_outlines
from glacier_ml.products.inventory.map_rasters import MapRasters, find_maps
from glacier_ml.products.inventory.outline_picture import outlines_figure, scenes_of_maps
from glacier_ml.products.inventory.scene_inventory import MAPPED, STEPS, Options, scene_inventory
from glacier_ml.products.inventory.schemas import check_schema, in_schema
from glacier_ml.products.inventory.summary import summary_lines, summary_table
from glacier_ml.products.inventory.uncertainty import TERMS, check_terms
from glacier_ml.products.maps import file_stem, staged
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.vectors.windows import grid_bounds

if TYPE_CHECKING:
    import geopandas
    import pandas as pd


class InventoryWarning(UserWarning):
    """Something that a reader of an inventory must know, in one line."""


@dataclass(frozen=True)
class InventoryFiles:
    """What `inventory` wrote.

    Attributes
    ----------
    outlines : pathlib.Path
        The glaciers mapped, one row each.
    glaciers : pathlib.Path
        CSV: the same rows without geometry, and those of known glaciers that are not mapped any more.
    summary : pathlib.Path
        CSV: one row a scene.
    plot : pathlib.Path
        PNG: areas with their uncertainty; change where there are existing outlines.
    pictures : tuple of pathlib.Path
        PNG of each scene with its outlines, where the scenes were given.
    lines : tuple of str
        The summary in words.
    """

    outlines: Path
    glaciers: Path
    summary: Path
    plot: Path
    pictures: tuple[Path, ...]
    lines: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (self.outlines, self.glaciers, self.summary, self.plot, *self.pictures)


def inventory(
    maps: str | Path,
    output: str | Path,
    schema: str = "rgi7",
    outlines: str | Path | None = None,
    minimum_area: float = 0.01,
    simplify: float | None = None,
    scene: str | None = None,
    terms: Sequence[str] = TERMS,
    data: str | Path | None = None,
) -> InventoryFiles:
    """Make a glacier inventory of the maps in a folder.

    Parameters
    ----------
    maps : str or pathlib.Path
        Folder that `predict` wrote: `<stem>_mask.tif`, `<stem>_probability.tif` and, of an ensemble,
        `<stem>_members.tif` for each scene.
    output : str or pathlib.Path
        File of outlines; its suffix says the format. Beside it come `<stem>_glaciers.csv`,
        `<stem>_summary.csv` and `<stem>_areas.png`.
    schema : {'rgi7', 'glims'}
        Whose columns come first.
    outlines : str or pathlib.Path, optional
        Existing outlines with ids, by which glacier complexes are split and change is told: RGI 6, RGI 7,
        GLIMS, or an earlier inventory written here.
    minimum_area : float
        Of a glacier [km2].
    simplify : float, optional
        Tolerance [m]; see `polygons.outline_labels`. Areas stay those of the pixels.
    scene : str, optional
        The one scene of the folder that is wanted.
    terms : sequence of str
        What the combined uncertainty is made of: 'half_pixel', 'probability', 'ensemble'.
    data : str or pathlib.Path, optional
        The scenes that were mapped, as `open_catalog` takes them: pictures of the outlines on them are drawn.

    Returns
    -------
    InventoryFiles

    Raises
    ------
    GlacierError
        Where an input is wrong, the outlines miss every scene, no glacier is found or a file cannot be
        written.

    Warns
    -----
    InventoryWarning
        Where scenes overlap, existing outlines miss one of them, or change is not what it may seem.
    """
    output = Path(output)
    existing = _outlines_file(outlines, output)
    options = _checked(output, schema, minimum_area, simplify, terms)
    found = find_maps(maps, scene)
    scenes = scenes_of_maps(data, found) if data else {}
    _tell_overlaps(found)
    table = _all_scenes(found, existing, options)
    if not (table["status"] == MAPPED).any():
        raise GlacierError(
            f"{maps}: no glacier of {minimum_area:g} km2 or more is mapped; lower --minimum-area"
        )
    _tell_change(table)
    return _written(table, output, schema, scenes)


def _checked(
    output: Path,
    schema: str,
    minimum_area: float,
    simplify: float | None,
    terms: Sequence[str],
) -> Options:
    check_schema(schema)
    check_output(output)
    for name, value in (("minimum-area", minimum_area), ("simplify", simplify or 0.0)):
        if not 0 <= value < float("inf"):
            raise GlacierError(f"{name}: is {value:g}; give zero or more")
    return Options(minimum_area, simplify, check_terms(terms))


def _outlines_file(outlines: str | Path | None, output: Path) -> Path | None:
    if not outlines:
        return None
    path = Path(outlines).expanduser()
    if not path.is_file():
        raise GlacierError(f"{path}: is no file of polygons; give RGI, GLIMS or an earlier inventory")
    if path.resolve() == output.resolve():
        raise GlacierError(f"{output}: is the file of existing outlines; give the new one another name")
    return path


def _all_scenes(
    found: Sequence[MapRasters], outlines: Path | None, options: Options
) -> geopandas.GeoDataFrame:
    """Rows of all scenes, in their order."""
    import pandas as pd
    from tqdm import tqdm

    existing = _existing(found, outlines)
    tables = []
    with tqdm(total=STEPS * len(found), desc="inventory", unit="step") as bar:
        for rasters in found:

            def step(name: str, scene: str = rasters.scene) -> None:
                bar.set_description(f"{scene}: {name}")
                bar.update()

            tables.append(scene_inventory(rasters, existing.get(rasters.stem), options, step))
    return pd.concat(tables, ignore_index=True)


def _existing(found: Sequence[MapRasters], outlines: Path | None) -> dict[str, ExistingOutlines]:
    """Existing outlines by the scene's stem; those that miss one of several scenes are told."""
    existing: dict[str, ExistingOutlines] = {}
    missed: list[GlacierError] = []
    for rasters in found if outlines else ():
        try:
            existing[rasters.stem] = read_existing(str(outlines), rasters.grid, rasters.scene, rasters.date)
        except GlacierError as error:
            missed.append(error)
    if missed and not existing:
        raise missed[0]
    for miss in missed:
        warnings.warn(f"all glaciers count as new: {miss}", InventoryWarning, stacklevel=4)
    return existing


def _tell_overlaps(found: Sequence[MapRasters]) -> None:
    """Warn where two scenes show the same ground: RGI has one outline a glacier."""
    for number, first in enumerate(found):
        for second in found[number + 1 :]:
            if _overlap(first, second):
                warnings.warn(
                    f"{first.scene} and {second.scene} show the same ground, so its glaciers have a row for "
                    "each; choose one by --scene for one row a glacier",
                    InventoryWarning,
                    stacklevel=3,
                )


def _overlap(first: MapRasters, second: MapRasters) -> bool:
    from pyproj import Transformer

    transformer = Transformer.from_crs(second.grid.crs.to_wkt(), first.grid.crs.to_wkt(), always_xy=True)
    one = grid_bounds(first.grid)
    other: Any = transformer.transform_bounds(*grid_bounds(second.grid))
    return all(one[low] < other[low + 2] and other[low] < one[low + 2] for low in (0, 1))


def _tell_change(table: pd.DataFrame) -> None:
    """Print what is to be known about change."""
    if "verdict" not in table:
        return
    source = str(table["outline_source"].dropna().iloc[0])
    if said := caveat(source):
        warnings.warn(said, InventoryWarning, stacklevel=3)
    cut = int((table["then_touches_edge"].eq(True) & table["verdict"].notna()).sum())
    if cut:
        warnings.warn(
            f"{cut} glaciers touched the edge of the earlier scene or its ground without data: their change "
            "holds only where both scenes show the same ground",
            InventoryWarning,
            stacklevel=3,
        )


def _written(
    table: geopandas.GeoDataFrame, output: Path, schema: str, scenes: dict[str, CatalogEntry]
) -> InventoryFiles:
    import geopandas

    summary = summary_table(table)
    mapped = table[table["status"] == MAPPED]
    frame = geopandas.GeoDataFrame(in_schema(mapped, schema), geometry=mapped.geometry, crs=table.crs)
    rows = in_schema(table, schema)
    rows.insert(0, "status", table["status"])
    glaciers, totals, plot = (
        output.with_name(f"{output.stem}_{end}") for end in ("glaciers.csv", "summary.csv", "areas.png")
    )
    pictures = {name: output.with_name(_picture_name(output, name, len(scenes))) for name in scenes}
    lines = tuple(summary_lines(summary))
    files = InventoryFiles(output, glaciers, totals, plot, tuple(pictures.values()), lines)
    with staged(output.parent) as partial:
        write_outlines(frame, partial / output.name)
        rows.to_csv(partial / files.glaciers.name, index=False)
        summary.to_csv(partial / files.summary.name, index=False)
        areas_figure(table, summary).savefig(partial / files.plot.name)
        for name, entry in scenes.items():
            drawn = outlines_figure(entry.open(), mapped[mapped["scene"] == name])
            drawn.savefig(partial / pictures[name].name)
    return files


def _picture_name(output: Path, scene: str, count: int) -> str:
    return f"{output.stem}_{file_stem(scene)}_outlines.png" if count > 1 else f"{output.stem}_outlines.png"
