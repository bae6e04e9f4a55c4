"""An inventory in numbers: one row a scene, with sums whose errors are independent, or all alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.products.inventory.changes import GREW, SHRANK, WITHIN, caveat, verdict_of
from glacier_ml.products.inventory.scene_inventory import BELOW_MINIMUM, MAPPED, NOT_MAPPED

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "uncertainty not known"


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Sum an inventory up, scene by scene.

    Errors of single glaciers partly cancel in a sum if they are independent, and not at all if all err alike
    (a classifier that maps too much everywhere, a shifted image). Both sums are given: `_independent`, the
    root of the sum of squares, and `_correlated`, the plain sum. The truth lies between.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `scene_inventory`, of one or several scenes.

    Returns
    -------
    pandas.DataFrame
        One row a scene. Areas and uncertainties are of the outlines in the file; change is of all known
        glaciers that the scene sees, gone ones included, new ones not. A sum of uncertainties is NaN where
        one of them is not known.
    """
    import pandas as pd

    return pd.DataFrame([_summed(str(scene), rows) for scene, rows in table.groupby("scene", sort=False)])


def _summed(scene: str, rows: pd.DataFrame) -> dict[str, Any]:
    mapped = rows[rows["status"] == MAPPED]
    independent, correlated = _error_sums(mapped["combined_uncertainty_km2"])
    first = rows.iloc[0]
    told = {
        "scene": scene,
        "src_date": first["src_date"],
        "model": first["model"],
        "glaciers": len(mapped),
        "touching_edge": int(mapped["touches_edge"].sum()),
        "area_km2": mapped["area_km2"].sum(),
        "uncertainty_independent_km2": independent,
        "uncertainty_correlated_km2": correlated,
        "half_pixel_buffer_km2": mapped["half_pixel_buffer_km2"].sum(),
        "one_pixel_buffer_km2": mapped["one_pixel_buffer_km2"].sum(),
        "probability_sum_area_km2": mapped["probability_sum_area_km2"].sum(skipna=False),
        "combined_terms": (mapped if len(mapped) else rows)["combined_terms"].iloc[0],
    }
    return told | (_changed(rows) if "outline_id" in rows and rows["outline_id"].notna().any() else {})


def _error_sums(errors: pd.Series) -> tuple[float, float]:
    """Root of the sum of squares, and sum [km2]; NaN where one of the errors is not known."""
    return float(np.sqrt((errors**2).sum(skipna=False))), float(errors.sum(skipna=False))


def _changed(rows: pd.DataFrame) -> dict[str, Any]:
    known = rows[rows["change_km2"].notna()]
    new = rows[rows["outline_id"].isna() & (rows["status"] == MAPPED)]
    change = known["change_km2"].sum()
    independent, correlated = _error_sums(known["change_uncertainty_km2"])
    source = str(rows["outline_source"].dropna().iloc[0])
    counts = {
        name.replace(" ", "_"): int((known["verdict"] == name).sum()) for name in (GREW, SHRANK, WITHIN)
    }
    return {
        "outline_source": source,
        "then_first_date": known["then_date"].dropna().min() if len(known) else None,
        "then_last_date": known["then_date"].dropna().max() if len(known) else None,
        "known_glaciers_seen": len(known),
        "area_then_seen_km2": known["area_then_seen_km2"].sum(),
        "area_now_of_known_km2": known["area_km2"].sum(),
        "area_outside_outlines_km2": known["area_outside_outline_km2"].sum(),
        "change_km2": change,
        "change_uncertainty_independent_km2": independent,
        "verdict_independent": verdict_of(change, independent),
        "change_uncertainty_correlated_km2": correlated,
        "verdict_correlated": verdict_of(change, correlated),
        **counts,
        "not_mapped": int((known["status"] == NOT_MAPPED).sum()),
        "below_minimum_area": int((known["status"] == BELOW_MINIMUM).sum()),
        "new_glaciers": len(new),
        "new_glaciers_km2": new["area_km2"].sum(),
        "warning": caveat(source),
    }


def summary_lines(summary: pd.DataFrame) -> list[str]:
    """Tell a summary in words, a line for each scene and one for its change.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"scene": "peak", "glaciers": 2, "area_km2": 3.5, "uncertainty_independent_km2": 0.25}
    >>> summary_lines(pd.DataFrame([row | {"uncertainty_correlated_km2": 0.35}]))
    ['peak: 2 glaciers, 3.500 km2, +- 0.250 (errors independent) to 0.350 (all alike)']
    """
    lines = []
    for row in summary.to_dict("records"):
        lines.append(f"{row['scene']}: {counted(row['glaciers'])}, {row['area_km2']:.3f} km2, {_errors(row)}")
        if row.get("known_glaciers_seen", 0) > 0:  # NaN for a scene that the outlines miss
            lines.append(
                f"{row['scene']}: change of {counted(row['known_glaciers_seen'], 'known glacier')} "
                f"{row['change_km2']:+.3f} km2: {_verdicts(row)}"
            )
    return lines


def counted(number: float, name: str = "glacier") -> str:
    """A number and what it counts.

    Examples
    --------
    >>> counted(1), counted(1234, "known glacier")
    ('1 glacier', '1,234 known glaciers')
    """
    return f"{number:,.0f} {name}{'' if number == 1 else 's'}"


def _errors(row: dict[str, Any]) -> str:
    independent, correlated = row["uncertainty_independent_km2"], row["uncertainty_correlated_km2"]
    if not np.isfinite(independent):
        return UNKNOWN
    return f"+- {independent:.3f} (errors independent) to {correlated:.3f} (all alike)"


def _verdicts(row: dict[str, Any]) -> str:
    if not np.isfinite(row["change_uncertainty_independent_km2"]):
        return UNKNOWN
    return f"{row['verdict_independent']} (errors independent), {row['verdict_correlated']} (all alike)"
