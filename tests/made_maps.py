"""Map rasters of tiny grids, as `predict` writes them, with known masks."""

import numpy as np
import rasterio

TAGS = {
    "scene": "peak",
    "scene_date": "2009-09-06",
    "scene_digest": "abc",
    "threshold": "0.5",
    "model": "glacier-unet",
    "model_version": "3",
    "run_id": "r7",
    "software": "glacier_ml 0.1.0",
}


def write_maps(folder, mask, grid, *, stem="peak", probability=None, members=None, percent=False, **tags):
    """Write mask, probability (default that of a certain map) and members, all with the same tags.

    The tags replace those of TAGS; None leaves one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.asarray(mask).astype(np.uint8)
    if probability is None:
        probability = np.where(mask == 255, np.nan, mask)
    told = TAGS | {"scene": stem} | tags
    if percent:
        stored = np.where(np.isnan(probability), 255, np.rint(100 * np.nan_to_num(probability)))
        _write(folder / f"{stem}_probability.tif", stored[None].astype(np.uint8), grid, 255, told, 0.01)
    else:
        _write(folder / f"{stem}_probability.tif", probability[None].astype(np.float32), grid, np.nan, told)
    _write(folder / f"{stem}_mask.tif", mask[None], grid, 255, told)
    if members is not None:
        _write(folder / f"{stem}_members.tif", np.asarray(members, np.uint8), grid, 255, told)
    return folder


def _write(path, values, grid, nodata, tags, scale=None):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(values),
        height=grid.shape[0],
        width=grid.shape[1],
        dtype=values.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=nodata,
    ) as dataset:
        dataset.write(values)
        dataset.update_tags(**{name: value for name, value in tags.items() if value is not None})
        if scale:
            dataset.scales = (scale,)
