"""Area now, area then and change of known glaciers, with a verdict that minds the uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.products.inventory.existing import ExistingOutlines
from glacier_ml.scenes.vectors.inventories import RGI_6, RGI_7

if TYPE_CHECKING:
    import pandas as pd

GREW, SHRANK, WITHIN, NOT_SEEN = "grew", "shrank", "within uncertainty", "not seen"

OUTLINE_BUFFER_M = 15.0
"""Half a pixel of 30 m Landsat, from which outlines of RGI and GLIMS often come: how far they may be off."""

RGI_WARNING = (
    "RGI outlines were not made for rates of area change of single glaciers: the RGI is one snapshot near "
    "the year 2000, made for global coverage, and such rates need more care with dates, outlines and "
    "position (RGI 7.0 user guide, Introduction)"
)
"""Paraphrased from https://glims-rgi.github.io/rgi_user_guide/01_introduction.html, 'What is the RGI?'."""


def caveat(source: str) -> str:
    """What is to be said wherever change against outlines of a source is told; '' for nothing.

    Examples
    --------
    >>> caveat("RGI 7")[:23], caveat("polygons")
    ('RGI outlines were not m', '')
    """
    return RGI_WARNING if source in (RGI_6, RGI_7) else ""


def change_table(
    existing: ExistingOutlines,
    owned_km2: NDArray[np.float64],
    seen_km2: NDArray[np.float64],
    lengths_m: NDArray[np.float64],
) -> pd.DataFrame:
    """Tell what the outlines covered where the scene sees their ground.

    A scene that shows half a glacier shows no loss of the other half: what is compared is the part seen.

    Parameters
    ----------
    existing : ExistingOutlines
        n of them.
    owned_km2, seen_km2 : ndarray
        (n + 1,) area of each outline's pixels, and of those of them with data.
    lengths_m : ndarray
        (n + 1,) length of the outline where it is seen and no divide.

    Returns
    -------
    pandas.DataFrame
        n rows: outline_id, then_date, area_then_km2, then_touches_edge, share_seen, area_then_seen_km2,
        then_uncertainty_km2: the earlier inventory's own combined one, on the part seen, or else a buffer of
        `OUTLINE_BUFFER_M` around the outline.
    """
    table = existing.table
    share = np.divide(seen_km2[1:], owned_km2[1:], out=np.zeros(len(table)), where=owned_km2[1:] > 0)
    share = np.minimum(share * table["share_in_window"].to_numpy(), 1.0)
    share[share > 1 - 1e-6] = 1.0  # rounding of an outline that ends at the scene's edge
    own = table["then_uncertainty_km2"].to_numpy(float)
    buffer = lengths_m[1:] * OUTLINE_BUFFER_M / 1e6
    return table[["outline_id", "then_date", "area_then_km2", "then_touches_edge"]].assign(
        share_seen=share,
        area_then_seen_km2=table["area_then_km2"].to_numpy(float) * share,
        then_uncertainty_km2=np.where(np.isfinite(own), own * share, buffer),
    )


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """Add the change of each glacier, its uncertainty and whether the one exceeds the other.

    Parameters
    ----------
    table : pandas.DataFrame
        area_km2, combined_uncertainty_km2; area_then_seen_km2, then_uncertainty_km2, share_seen, NaN for
        glaciers that have no earlier outline.

    Returns
    -------
    pandas.DataFrame
        With change_km2 and change_percent, of the part seen; change_uncertainty_km2, the root of the sum of
        both dates' squares; verdict: 'grew', 'shrank', 'within uncertainty', 'not seen'; missing without
        an earlier outline, and where the uncertainty is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> now = {"area_km2": [8.0, 9.9, 5.0], "combined_uncertainty_km2": 0.3}
    >>> then = {"area_then_seen_km2": [10.0, 10.0, None], "then_uncertainty_km2": 0.4, "share_seen": 1.0}
    >>> told = judge(pd.DataFrame(now | then))
    >>> told["change_km2"].tolist(), told["verdict"].fillna("").tolist()
    ([-2.0, -0.1, nan], ['shrank', 'within uncertainty', ''])
    """
    change = (table["area_km2"] - table["area_then_seen_km2"].astype(float)).round(9)
    seen = table["share_seen"].astype(float) > 0
    change = change.where(seen)
    uncertainty = np.hypot(table["combined_uncertainty_km2"], table["then_uncertainty_km2"]).where(seen)
    verdict = np.array([verdict_of(*pair) for pair in zip(change, uncertainty, strict=True)], dtype=object)
    verdict[(table["share_seen"] == 0).to_numpy()] = NOT_SEEN
    percent = 100 * change / table["area_then_seen_km2"].astype(float)
    return table.assign(
        change_km2=change, change_percent=percent, change_uncertainty_km2=uncertainty, verdict=verdict
    )


def verdict_of(change: Any, uncertainty: Any) -> str | None:
    """Whether a change exceeds its uncertainty; None where there is none.

    Examples
    --------
    >>> verdict_of(0.3, 0.2), verdict_of(-0.3, 0.2), verdict_of(-0.1, 0.2)
    ('grew', 'shrank', 'within uncertainty')
    """
    if not np.isfinite(change) or not np.isfinite(uncertainty):
        return None
    if abs(change) <= uncertainty:
        return WITHIN
    return GREW if change > 0 else SHRANK


def much_beyond_outline(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which glaciers have more ice beyond their existing outline than is uncertain: it may not be theirs.

    Examples
    --------
    >>> import pandas as pd
    >>> areas = {"area_outside_outline_km2": [0.5, 0.1, None], "change_uncertainty_km2": 0.2}
    >>> much_beyond_outline(pd.DataFrame(areas)).tolist()
    [True, False, False]
    """
    return (table["area_outside_outline_km2"] > table["change_uncertainty_km2"]).to_numpy(np.bool_)
