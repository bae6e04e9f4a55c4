"""Glacier mapping from Landsat scenes: a per-pixel network and a U-Net, searched, tracked and compared."""

from __future__ import annotations

from typing import Any


def map_scenes(model: Any, scenes: Any, output: Any = "maps", **options: Any) -> Any:
    """Map scenes with a registered model: probability, mask and uncertainty rasters, previews, areas.

    Parameters
    ----------
    model : str or Classifier
        `models:/glacier-unet@champion`, `models:/glacier-unet/3`, `runs:/<run>/model`, a folder that holds a
        model, several of them between commas (an ensemble), or a classifier.
    scenes : str, path or list
        A catalog, a folder that holds one, a folder of scenes, one scene (folder, GeoTIFF, Landsat bundle,
        STAC Item, address), or a list of such.
    output : str or path
        Folder for the maps; a scene that has been mapped there already by the same model is not mapped again.
    **options
        seeds (1): trainings of the model that map together; encoding ('float32' or 'uint8'); stitching (see
        `glacier_ml.learning.stitching.Stitching`); picture (True); scheduler ('local' or a Dask scheduler's
        address).

    Returns
    -------
    dict of str to glacier_ml.products.records.MappedScene
        By scene name: the files and the glacier area.

    Raises
    ------
    glacier_ml.errors.GlacierError
        Where there is no such model or scene, or a scene cannot be mapped.
    """
    from glacier_ml.studies.prediction import map_with

    return map_with(model, scenes, output, **options)
