"""How uncertain an area is, by several means, each named for what it is, and all of them combined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.areas import M2_A_KM2, PixelAreas, sum_by_label
from glacier_ml.products.inventory.divides import Labels, Mask, grow
from glacier_ml.products.inventory.map_rasters import MapRasters, strip_rows

if TYPE_CHECKING:
    import pandas as pd

SURROUNDING_PX = 3
"""Ground around a glacier whose probability is counted for it: where a network's edge blurs. Chosen here."""

TERMS = ("half_pixel", "probability", "ensemble")
"""What the combined uncertainty may be made of."""


def check_terms(terms: Sequence[str]) -> tuple[str, ...]:
    """Refuse terms that are not known, or none; gives them in the order of `TERMS`."""
    strange = [term for term in terms if term not in TERMS]
    if strange or not terms:
        came = f"'{strange[0]}' is not known" if strange else "none is given"
        raise GlacierError(f"terms: {came}; choose among {', '.join(TERMS)}")
    return tuple(term for term in TERMS if term in terms)


def zones(labels: Labels, valid: Mask, owners: Labels | None) -> Labels:
    """Allot to each glacier its ice, what its existing outline covers, and `SURROUNDING_PX` of ground around.

    Parameters
    ----------
    labels : ndarray of int32
        (rows, columns): mapped glaciers, 0 elsewhere.
    valid : ndarray of bool
        (rows, columns)
    owners : ndarray of int32 or None
        (rows, columns): existing outlines by the same numbers; ice that is mapped no more is theirs, too.

    Returns
    -------
    ndarray of int32
        (rows, columns); 0 where no glacier is near, or no data.
    """
    allotted = labels.copy()
    if owners is not None:
        np.copyto(allotted, owners, where=valid & (labels == 0))
    grow(allotted, valid, steps=SURROUNDING_PX)
    return allotted


def mapped_areas(labels: Labels, count: int, pixels: PixelAreas) -> NDArray[np.float64]:
    """Area of each label: (count + 1,) [km2]."""
    areas = np.zeros(count + 1)
    for start, stop in strip_rows(labels.shape[0]):
        areas += sum_by_label(labels[start:stop], pixels.strip(start, stop), count)
    areas[0] = 0
    return areas / M2_A_KM2


def probability_sums(
    rasters: MapRasters, allotted: Labels, count: int, pixels: PixelAreas
) -> NDArray[np.float64]:
    """Sum probability times area over each glacier's zone: the area to be expected, if they are calibrated.

    Parameters
    ----------
    rasters : MapRasters
        The scene's.
    allotted : ndarray of int32
        As `zones` gives it.
    count : int
        The largest label.
    pixels : PixelAreas
        Of the same grid.

    Returns
    -------
    ndarray
        (count + 1,) [km2]; NaN for a zone of which no pixel has a probability.
    """
    sums = np.zeros(count + 1)
    pixels_there, pixels_known = np.zeros(count + 1, np.intp), np.zeros(count + 1, np.intp)
    for (start, stop), probability in zip(
        strip_rows(allotted.shape[0]), rasters.probabilities(), strict=True
    ):
        strip, known = allotted[start:stop], np.isfinite(probability)
        expected = np.where(known, probability, 0.0) * pixels.strip(start, stop)
        sums += sum_by_label(strip, expected, count)
        pixels_there += np.bincount(strip.ravel(), minlength=count + 1)
        pixels_known += np.bincount(strip[known], minlength=count + 1)
    sums[(pixels_there > 0) & (pixels_known == 0)] = np.nan
    sums[0] = 0
    return sums / M2_A_KM2


def ensemble_spreads(
    rasters: MapRasters, allotted: Labels, count: int, pixels: PixelAreas
) -> NDArray[np.float64]:
    """Standard deviation, over an ensemble's members, of what they map as ice in each glacier's zone.

    The sample's (one degree of freedom less than members); NaN without members or with a single one.

    Parameters
    ----------
    rasters, allotted, count, pixels
        As in `probability_sums`.

    Returns
    -------
    ndarray
        (count + 1,) [km2].
    """
    areas: NDArray[np.float64] | None = None
    for (start, stop), masks in zip(strip_rows(allotted.shape[0]), rasters.member_masks(), strict=False):
        size = pixels.strip(start, stop)
        found = [sum_by_label(allotted[start:stop], size * mask, count) for mask in masks]
        areas = np.stack(found) if areas is None else areas + np.stack(found)
    if areas is None or len(areas) < 2:
        return np.full(count + 1, np.nan)
    return areas.std(axis=0, ddof=1) / M2_A_KM2


def combine(table: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Add the combined uncertainty: the root of the sum of the squares of the terms that there are.

    Independent terms: where the border lies within the pixel (`half_pixel`: the half-pixel buffer),
    how far the mapped area is from the expected one (`probability`: the probability-sum area less the mapped
    one), how far trainings from other seeds disagree (`ensemble`: the ensemble's standard deviation). The
    one-pixel buffer is the wider alternative to the first, and no term. What a map cannot tell is in none of
    them: analysts differ by about 5 % of the area on clean ice, by up to 30 % where debris covers it (Paul et
    al. 2013, Annals of Glaciology 54(63), 171-182).

    Parameters
    ----------
    table : pandas.DataFrame
        With `area_km2`, `half_pixel_buffer_km2`, `probability_sum_area_km2`, `ensemble_std_km2`.
    terms : sequence of str
        Of `TERMS`; those without a value are left out.

    Returns
    -------
    pandas.DataFrame
        With `combined_uncertainty_km2` and `combined_terms`, which names those that went in; NaN and ''
        where no term has a value.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"area_km2": 9.0, "half_pixel_buffer_km2": 0.3, "probability_sum_area_km2": 9.4}
    >>> whole = combine(pd.DataFrame([row | {"ensemble_std_km2": float("nan")}]), TERMS)
    >>> whole.combined_uncertainty_km2.round(3).tolist(), whole.combined_terms[0]
    ([0.5], 'half_pixel+probability')
    """
    values = _terms(table)[list(terms)]
    names = [
        "+".join(term for term, told in zip(terms, row, strict=True) if told)
        for row in values.notna().to_numpy()
    ]
    root = np.sqrt((values**2).sum(axis=1, min_count=1))
    return table.assign(combined_uncertainty_km2=root, combined_terms=names)


def _terms(table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "half_pixel": table["half_pixel_buffer_km2"],
            "probability": table["probability_sum_area_km2"] - table["area_km2"],
            "ensemble": table["ensemble_std_km2"],
        }
    )
