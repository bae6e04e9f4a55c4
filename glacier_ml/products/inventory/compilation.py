"""From a folder of maps to an inventory: outlines, tables and a plot, written together or not at all."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.changes import caveat, much_beyond_outline
from glacier_ml.products.inventory.existing import ExistingOutlines, read_existing
from glacier_ml.products.inventory.figure import areas_figure
from glacier_ml.products.inventory.files import write_outlines
from glacier_ml.products.inventory.map_rasters import MapRasters, find_maps
from glacier_ml.products.inventory.options import InventoryOptions, check_options, path_here, with_paths
from glacier_ml.products.inventory.outline_picture import outlines_figure, scenes_of_maps, thinned_scene
from glacier_ml.products.inventory.polygons import RGI_CRS
from glacier_ml.products.inventory.scene_inventory import MAPPED, STEPS, scene_inventory
from glacier_ml.products.inventory.schemas import in_schema
from glacier_ml.products.inventory.summary import summary_lines, summary_table
from glacier_ml.products.maps import file_stem, staged
from glacier_ml.scenes.catalog import CatalogEntry, overlap
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.windows import Box, grid_bounds

if TYPE_CHECKING:
    import geopandas
    import pandas as pd


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
    maps: str | Path, output: str | Path, options: InventoryOptions | None = None
) -> InventoryFiles:
    """Make a glacier inventory of the maps in a folder.

    Parameters
    ----------
    maps : str or pathlib.Path
        Folder that `predict` wrote: `<stem>_mask.tif`, `<stem>_probability.tif` and, of an ensemble,
        `<stem>_members.tif` for each scene.
    output : str or pathlib.Path
        File of outlines; its suffix says the format. The tables and the plot come beside it.
    options : InventoryOptions, optional
        Schema, existing outlines, minimum area ...

    Raises
    ------
    GlacierError
        Where an input is wrong, the outlines miss every scene, no glacier is found or a file cannot be
        written.

    Warns
    -----
    InventoryWarning
        Where scenes overlap, existing outlines or `data` miss one of them, an uncertainty is not known, or
        change is not what it may seem.
    """
    output, maps = path_here(output, "output"), path_here(maps, "maps")
    options = with_paths(options or InventoryOptions())
    check_options(options, output)
    found = find_maps(maps, options.scene)
    scenes = scenes_of_maps(options.data, found) if options.data else {}
    _tell_overlaps(found)
    table = _all_scenes(found, options)
    _tell_empty(table, found, maps, options.minimum_area)
    _tell_unknown(table, found, options.terms)
    _tell_change(table)
    return _written(table, output, options.schema, scenes, several=len(found) > 1)


def _all_scenes(found: Sequence[MapRasters], options: InventoryOptions) -> geopandas.GeoDataFrame:
    """Rows of all scenes, in their order."""
    import pandas as pd
    from tqdm import tqdm

    existing = _existing(found, options.outlines)
    tables = []
    with tqdm(total=STEPS * len(found), desc="inventory", unit="step") as bar:
        for rasters in found:

            def step(name: str, scene: str = rasters.scene) -> None:
                bar.set_description(f"{scene}: {name}")
                bar.update()

            tables.append(scene_inventory(rasters, existing.get(rasters.stem), options, step))
    return pd.concat(tables, ignore_index=True)


def _existing(found: Sequence[MapRasters], outlines: str | Path | None) -> dict[str, ExistingOutlines]:
    """Existing outlines by the scene's stem; those that miss one of several scenes are told."""
    existing: dict[str, ExistingOutlines] = {}
    missed: list[GlacierError] = []
    for rasters in found if outlines else ():
        try:
            existing[rasters.stem] = read_existing(
                Path(outlines or ""), rasters.grid, rasters.scene, rasters.date
            )
        except GlacierError as error:
            missed.append(error)
    if missed and not existing:
        raise missed[0]
    for miss in missed:
        warnings.warn(f"all glaciers count as new: {miss}", InventoryWarning, stacklevel=4)
    return existing


def _tell_overlaps(found: Sequence[MapRasters]) -> None:
    """Warn where two scenes show the same ground: RGI has one outline a glacier."""
    boxes = [_degrees(rasters.grid) for rasters in found]
    for (first, one), (second, other) in itertools.combinations(zip(found, boxes, strict=True), 2):
        if _same_ground(first.grid, one, second.grid, other):
            warnings.warn(
                f"{first.scene} and {second.scene} show the same ground, so its glaciers have a row for "
                "each; choose one by --scene for one row a glacier",
                InventoryWarning,
                stacklevel=3,
            )


def _degrees(grid: Grid) -> Box:
    """West, south, east and north of a grid; across the 180th meridian east goes on beyond 180."""
    from pyproj import Transformer

    transformer = Transformer.from_crs(grid.crs.to_wkt(), RGI_CRS, always_xy=True)
    west, south, east, north = transformer.transform_bounds(*grid_bounds(grid))
    return west, south, east + 360 * (east < west), north


def _same_ground(first: Grid, one: Box, second: Grid, other: Box) -> bool:
    """Whether two grids overlap: in their CRS if it is the same, where neighbours do not, or by degrees."""
    if first.crs == second.crs:
        return overlap(grid_bounds(first), grid_bounds(second))
    west, south, east, north = other
    return any(overlap(one, (west + turn, south, east + turn, north)) for turn in (-360, 0, 360))


def _tell_empty(table: pd.DataFrame, found: Sequence[MapRasters], maps: Path, minimum_km2: float) -> None:
    """Refuse an inventory without a glacier; tell of scenes without one."""
    mapped = set(table.loc[table["status"] == MAPPED, "scene"])
    size = f" of {minimum_km2:g} km2 or more" if minimum_km2 else ""
    nothing = f"{maps}: no glacier{size} is mapped"
    if not mapped:
        mend = "lower --minimum-area" if minimum_km2 else "look at the maps, and map with another model"
        raise GlacierError(f"{nothing}; {mend}")
    if empty := [rasters.scene for rasters in found if rasters.scene not in mapped]:
        warnings.warn(f"{nothing} in {', '.join(empty)}", InventoryWarning, stacklevel=3)


def _tell_unknown(table: pd.DataFrame, found: Sequence[MapRasters], terms: Sequence[str]) -> None:
    """Warn of glaciers of which no term of the combined uncertainty has a value."""
    unknown = set(table.loc[(table["status"] == MAPPED) & table["combined_uncertainty_km2"].isna(), "scene"])
    for rasters in found:
        if rasters.scene in unknown:
            lacks, mend = "a probability on glaciers", "run predict again"
            if "ensemble" in terms:
                lacks, mend = "a members raster of several members", "map with several models"
                lacks = "a members raster" if rasters.members is None else lacks
            warnings.warn(
                f"{rasters.scene}: the combined uncertainty is not known, as the map lacks {lacks}; {mend}, "
                f"or leave {' and '.join(terms)} out of --terms for half_pixel",
                InventoryWarning,
                stacklevel=3,
            )


def _tell_change(table: pd.DataFrame) -> None:
    """Print what is to be known about change."""
    if "verdict" not in table:
        return
    source = str(table["outline_source"].dropna().iloc[0])
    if said := caveat(source):
        warnings.warn(said, InventoryWarning, stacklevel=3)
    pairs = zip(table["then_date"].fillna(""), table["src_date"].fillna(""), strict=True)
    # Of a scene the month alone may be known, YYYY-MM.
    later = sum(bool(now) and then[: len(now)] > now for then, now in pairs)
    if later:
        warnings.warn(
            f"existing outlines of a later day than their scene: {later}; 'then' is after 'now' there, and "
            "what grew shrank",
            InventoryWarning,
            stacklevel=3,
        )
    if cut := int((table["then_touches_edge"].eq(True) & table["verdict"].notna()).sum()):
        warnings.warn(
            f"glaciers that touched the edge of the earlier scene, or its ground without data: {cut}; their "
            "change holds only where both scenes show the same ground",
            InventoryWarning,
            stacklevel=3,
        )
    _tell_outside(table)


def _tell_outside(table: pd.DataFrame) -> None:
    """Warn of glaciers whose ice outside of their outline is more than uncertain: it may not be theirs."""
    far = table[much_beyond_outline(table)]
    if len(far):
        ice = far["area_outside_outline_km2"].sum()
        warnings.warn(
            "glaciers with more ice outside of their existing outline, but connected with theirs, than is "
            f"uncertain: {len(far)}, with {ice:.2f} km2 of it; before their "
            "growth is believed, look whether it is snow, ice on water or a glacier without an outline",
            InventoryWarning,
            stacklevel=4,
        )


def _written(
    table: geopandas.GeoDataFrame,
    output: Path,
    schema: str,
    scenes: dict[str, CatalogEntry],
    several: bool,
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
    pictures = {name: output.with_name(_picture_name(output, name, several)) for name in scenes}
    lines = tuple(summary_lines(summary))
    files = InventoryFiles(output, glaciers, totals, plot, tuple(pictures.values()), lines)
    with staged(output.parent) as partial:
        write_outlines(frame, partial / output.name)
        rows.to_csv(partial / files.glaciers.name, index=False)
        summary.to_csv(partial / files.summary.name, index=False)
        areas_figure(table, summary).savefig(partial / files.plot.name)
        for name, entry in scenes.items():
            drawn = outlines_figure(thinned_scene(entry), mapped[mapped["scene"] == name])
            drawn.savefig(partial / pictures[name].name)
    return files


def _picture_name(output: Path, scene: str, several: bool) -> str:
    return f"{output.stem}_{file_stem(scene)}_outlines.png" if several else f"{output.stem}_outlines.png"
