"""Many scenes, one model: every scene's map written as it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier
from glacier_ml.products.maps import MapFiles, check_folder, write_map
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.reading import open_source
from glacier_ml.scenes.scene import check_bands, check_quantity

if TYPE_CHECKING:
    import pandas as pd


def map_scenes(
    classifier: Classifier,
    entries: Sequence[CatalogEntry],
    output: str | Path,
    tags: Mapping[str, Any] | None = None,
) -> dict[str, MapFiles]:
    """Map scenes and write their maps into a folder; gives the files by scene name.

    Parameters
    ----------
    classifier : Classifier
        What maps.
    entries : sequence of CatalogEntry
        Scenes, read one at a time.
    output : path
        Folder for `<scene>_probability.tif`, `<scene>_mask.tif`, `<scene>_preview.png` and `areas.csv`.
    tags : mapping, optional
        Written into every raster.

    Raises
    ------
    GlacierError
        As `check_mapping`, or where a scene cannot be read.
    """
    from tqdm import tqdm

    check_mapping(classifier, entries, output)
    folder = Path(output)
    written: dict[str, MapFiles] = {}
    for entry in tqdm(entries, desc="mapping", unit="scene"):
        scene = entry.open()
        probability = classifier.probability(scene)
        written[entry.name] = write_map(scene, probability, classifier.threshold, folder, tags)
    area_table(written).to_csv(folder / "areas.csv", index=False)
    return written


def check_mapping(classifier: Classifier, entries: Sequence[CatalogEntry], output: str | Path) -> None:
    """Check, from the headers of the scenes' files and before any work, that they can be mapped.

    Raises
    ------
    GlacierError
        Where there is no scene, a scene lacks a band or holds another kind of reflectance, or the folder
        cannot be written.
    """
    if not entries:
        raise GlacierError("predict: there is no scene to map; give a scene, a folder of scenes or a catalog")
    for entry in entries:
        with open_source(entry.path, entry.name, entry.sensor) as source:
            check_bands(entry.name, source.layers, classifier.bands)
            if learned := getattr(classifier, "quantity", None):  # thresholds learned from nothing
                check_quantity(entry.name, source.provenance.get("quantity"), learned)
    check_folder(Path(output))


def area_table(written: Mapping[str, MapFiles]) -> pd.DataFrame:
    """Table of mapped glacier areas: scene, area_km2, files."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "scene": name,
                "area_km2": round(files.area_km2, 3),
                "probability": files.probability.name,
                "mask": files.mask.name,
            }
            for name, files in written.items()
        ]
    )
