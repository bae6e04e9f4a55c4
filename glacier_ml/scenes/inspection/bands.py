"""Figures of each band: data, range, saturation and the lattice of its DN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.scenes.inspection.lattice import Lattice, dn_of, find_lattice, settle_irradiance
from glacier_ml.scenes.inspection.registration import Shift, band_shifts
from glacier_ml.scenes.inspection.sample import Sample
from glacier_ml.scenes.scene import CEILING_SHARE, Scene

QUANTILES = (0.0, 0.01, 0.5, 0.99, 1.0)
PLAUSIBLE = (-0.1, 1.6)
"""Reflectances beyond these are told: dark water comes near -0.02, snow that faces a low sun passes 1.3.
Typical values, chosen here."""

NDSI, NIR = 0.4, 0.11
"""The usual rule for snow: NDSI above 0.4 where near infrared above 0.11 (Hall et al. 2001)."""

FEWEST_AT_CEILING = 10
"""Pixels at a band's largest value from which it counts as a ceiling in a small scene; chosen here."""

_DARK = np.float32(0.005)  # reflectance below which an index is noise: about one DN of Landsat 5


def band_figures(sample: Sample, sensor: str | None) -> tuple[dict[str, dict[str, Any]], dict[str, Lattice]]:
    """Figures of each band, and the lattices found.

    Parameters
    ----------
    sample : Sample
        What is looked at.
    sensor : str or None
        'TM', 'ETM+' or 'OLI'.

    Returns
    -------
    tuple of dict
        Plain numbers by band; `inspection.lattice.Lattice` by band where the values lie on one.
    """
    shifts = band_shifts(sample.scenes)
    lattices = _lattices(sample, sensor)
    figures = {}
    for band in sample.bands:
        lattice = lattices.get(band)
        figures[band] = {
            **_range(sample.finite(band), sample.pixels),
            **_saturation(sample, band, lattice),
            "lattice": lattice is not None,
            "lattice_step": lattice.step if lattice else None,
            "lattice_table": lattice.table if lattice else None,
            "sun_factor": lattice.sun_factor if lattice else None,
            "sun_sine": lattice.sun_sine if lattice else None,
            **_shift(shifts.get(band)),
        }
    return figures, lattices


def _lattices(sample: Sample, sensor: str | None) -> dict[str, Lattice]:
    """Lattices of the bands that have one, under the irradiances on which they agree."""
    found = {band: find_lattice(sample.finite(band), band, sensor) for band in sample.bands}
    return settle_irradiance({band: lattice for band, lattice in found.items() if lattice is not None})


def _range(values: NDArray[np.float32], pixels: int) -> dict[str, Any]:
    quantiles = np.quantile(values, QUANTILES) if values.size else np.full(len(QUANTILES), np.nan)
    beyond = (values < PLAUSIBLE[0]) | (values > PLAUSIBLE[1])
    return {
        "data_percent": 100 * values.size / pixels,
        "negative": int((values < 0).sum()),
        "negative_percent": percent((values < 0).sum(), values.size),
        "quantiles": {
            f"{100 * share:g}%": float(one) for share, one in zip(QUANTILES, quantiles, strict=True)
        },
        "beyond": int(beyond.sum()),
        "beyond_percent": percent(beyond.sum(), values.size),
        "constant": bool(values.size and values.min() == values.max()),
    }


def _saturation(sample: Sample, band: str, lattice: Lattice | None) -> dict[str, Any]:
    """Share of the valid pixels that are saturated, and by what that is told."""
    if all(f"saturated_{band}" in scene.quality for scene in sample.scenes):
        source = "quality"
        count = sum(int(scene.saturated(band).sum()) for scene in sample.scenes)
    elif lattice is not None and lattice.ceiling is not None:
        source = "DN"
        count = int((dn_of(sample.valid(band), lattice) >= lattice.ceiling).sum())
    else:
        source = "largest value"
        count = _common_largest(sample.valid(band))
    return {"saturated_percent": percent(count, sample.valid_pixels), "saturation_from": source}


def _common_largest(values: NDArray[np.float32]) -> int:
    """Pixels at the largest value where a sensor's ceiling makes it common, as `Scene.saturated` has it."""
    if not values.size or values.min() == values.max():
        return 0
    count = int((values == values.max()).sum())
    return count if count >= max(CEILING_SHARE * values.size, FEWEST_AT_CEILING) else 0


def _shift(shift: Shift | None) -> dict[str, float | None]:
    return {
        "shift_rows": shift.rows if shift else None,
        "shift_columns": shift.columns if shift else None,
        "shift_spread": shift.spread if shift else None,
    }


def ndsi_bright(scene: Scene) -> NDArray[np.bool_] | None:
    """Valid pixels that the NDSI rule takes for snow or ice, (rows, columns); None where a band lacks."""
    if not {"green", "nir", "swir1"} <= set(scene.bands):
        return None
    green, swir1 = (np.maximum(scene.bands[band], _DARK) for band in ("green", "swir1"))
    index = (green - swir1) / (green + swir1)
    return scene.valid & (index > NDSI) & (scene.bands["nir"] > NIR)


def bright(sample: Sample) -> tuple[NDArray[np.bool_], ...] | None:
    """`ndsi_bright` in each window."""
    found = [ndsi_bright(scene) for scene in sample.scenes]
    return None if any(one is None for one in found) else tuple(one for one in found if one is not None)


def identical_bands(sample: Sample) -> list[list[str]]:
    """Pairs of bands that hold the same values."""
    names = sample.bands
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    return [
        [one, other]
        for one, other in pairs
        if all(
            np.array_equal(scene.bands[one], scene.bands[other], equal_nan=True) for scene in sample.scenes
        )
    ]


def flagged(sample: Sample) -> dict[str, float]:
    """Share of the valid pixels under each quality mask but fill and saturation, in percent."""
    masks = [
        mask for mask in sample.scenes[0].quality if mask != "fill" and not mask.startswith("saturated_")
    ]
    return {
        mask: percent(
            sum(int((scene.quality[mask] & scene.valid).sum()) for scene in sample.scenes),
            sample.valid_pixels,
        )
        for mask in masks
    }


def percent(part: Any, whole: Any) -> float:
    """Part of a whole in percent; 0 of nothing."""
    return 100.0 * float(part) / float(whole) if whole else 0.0
