"""The columns of an inventory: those of RGI 7 or of a GLIMS submission first, then our own.

RGI 7's are those of its glacier product, in its order
(https://glims-rgi.github.io/rgi_user_guide/products/glacier_product.html). GLIMS' are those of its polygons
as they are handed out (https://www.glims.org/MapsAndDocs/downloaded_field_desc.html); a submission wants
closed polygons in longitude and latitude on WGS 84, nunataks as holes, with local and global uncertainties in
x and y (https://nsidc.org/glims/information-glims-data-providers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError

if TYPE_CHECKING:
    import pandas as pd

TEXT, WHOLE, NUMBER, FLAG = "string", "Int64", "float64", "bool"

RGI7_COLUMNS = {
    "rgi_id": TEXT,
    "o1region": TEXT,
    "o2region": TEXT,
    "glims_id": TEXT,
    "anlys_id": WHOLE,
    "subm_id": WHOLE,
    "src_date": TEXT,
    "cenlon": NUMBER,
    "cenlat": NUMBER,
    "utm_zone": WHOLE,
    "area_km2": NUMBER,
    "primeclass": WHOLE,
    "conn_lvl": WHOLE,
    "surge_type": WHOLE,
    "term_type": WHOLE,
    "glac_name": TEXT,
    "is_rgi6": WHOLE,
    "termlon": NUMBER,
    "termlat": NUMBER,
    "zmin_m": NUMBER,
    "zmax_m": NUMBER,
    "zmed_m": NUMBER,
    "zmean_m": NUMBER,
    "slope_deg": NUMBER,
    "aspect_deg": NUMBER,
    "aspect_sec": WHOLE,
    "dem_source": TEXT,
    "lmax_m": NUMBER,
}

GLIMS_COLUMNS = {
    "line_type": TEXT,
    "anlys_id": WHOLE,
    "glac_id": TEXT,
    "anlys_time": TEXT,
    "area": NUMBER,
    "db_area": NUMBER,
    "width": NUMBER,
    "length": NUMBER,
    "primeclass": WHOLE,
    "min_elev": NUMBER,
    "mean_elev": NUMBER,
    "max_elev": NUMBER,
    "src_date": TEXT,
    "rec_status": TEXT,
    "glac_name": TEXT,
    "wgms_id": TEXT,
    "local_id": TEXT,
    "glac_stat": TEXT,
    "subm_id": WHOLE,
    "release_dt": TEXT,
    "proc_desc": TEXT,
    "rc_id": WHOLE,
    "geog_area": TEXT,
    "chief_affl": TEXT,
    "loc_unc_x": NUMBER,
    "loc_unc_y": NUMBER,
    "glob_unc_x": NUMBER,
    "glob_unc_y": NUMBER,
    "submitters": TEXT,
    "analysts": TEXT,
}

OWN_COLUMNS = {
    "glacier_id": TEXT,
    "outline_id": TEXT,
    "outline_source": TEXT,
    "parts": WHOLE,
    "touches_edge": FLAG,
    "half_pixel_buffer_km2": NUMBER,
    "one_pixel_buffer_km2": NUMBER,
    "probability_sum_area_km2": NUMBER,
    "ensemble_std_km2": NUMBER,
    "combined_uncertainty_km2": NUMBER,
    "combined_terms": TEXT,
    "area_outside_outline_km2": NUMBER,
    "then_date": TEXT,
    "area_then_km2": NUMBER,
    "share_seen": NUMBER,
    "area_then_seen_km2": NUMBER,
    "then_uncertainty_km2": NUMBER,
    "then_touches_edge": FLAG,
    "change_km2": NUMBER,
    "change_percent": NUMBER,
    "change_uncertainty_km2": NUMBER,
    "verdict": TEXT,
    "scene": TEXT,
    "scene_digest": TEXT,
    "model": TEXT,
    "model_version": TEXT,
    "run_id": TEXT,
    "threshold": NUMBER,
    "software": TEXT,
    "minimum_area_km2": NUMBER,
    "simplified_m": NUMBER,
}

SCHEMAS = {"rgi7": RGI7_COLUMNS, "glims": GLIMS_COLUMNS}

SHAPEFILE_NAMES = {
    "outline_source": "outl_src",
    "touches_edge": "touch_edge",
    "half_pixel_buffer_km2": "buf_half",
    "one_pixel_buffer_km2": "buf_one",
    "probability_sum_area_km2": "prob_area",
    "ensemble_std_km2": "ens_std",
    "combined_uncertainty_km2": "unc_km2",
    "combined_terms": "unc_terms",
    "area_outside_outline_km2": "outside",
    "area_then_km2": "area_then",
    "area_then_seen_km2": "then_seen",
    "then_uncertainty_km2": "then_unc",
    "then_touches_edge": "then_edge",
    "change_km2": "chg_km2",
    "change_percent": "chg_pct",
    "change_uncertainty_km2": "chg_unc",
    "scene_digest": "scene_dig",
    "model_version": "model_vers",
    "minimum_area_km2": "min_area",
    "simplified_m": "simplif_m",
}
"""Names in a Shapefile of the columns whose own have more than the ten letters that it holds."""


def check_schema(name: str) -> dict[str, str]:
    """Columns of a schema and their types; GlacierError where its name is not known."""
    if name not in SCHEMAS:
        raise GlacierError(f"schema: '{name}' is not known; choose {' or '.join(SCHEMAS)}")
    return SCHEMAS[name] | OWN_COLUMNS


def long_names(frame: Any) -> Any:
    """Give the columns of an inventory that went through a Shapefile their names back; others stay."""
    if "glacier_id" not in frame or "unc_km2" not in frame:
        return frame
    return frame.rename(columns={short: name for name, short in SHAPEFILE_NAMES.items()})


def in_schema(table: pd.DataFrame, schema: str) -> pd.DataFrame:
    """Put an inventory's rows into a schema: all its columns, in order, null where a map cannot know them.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns by the names of RGI 7 and `OWN_COLUMNS`; half_pixel_m.
    schema : {'rgi7', 'glims'}

    Returns
    -------
    pandas.DataFrame
        Typed; without geometry.
    """
    import pandas as pd

    columns = check_schema(schema)
    filled = _as_glims(table) if schema == "glims" else table
    nothing = pd.Series([None] * len(table), index=table.index, dtype=object)
    return pd.DataFrame(
        {name: _typed(filled.get(name, nothing), kind) for name, kind in columns.items()}, index=table.index
    )


def _typed(values: Any, kind: str) -> Any:
    import pandas as pd

    if kind in (WHOLE, NUMBER):
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        return numbers.round().astype(WHOLE) if kind == WHOLE else numbers
    if kind == FLAG:
        return values.fillna(False).astype(bool)
    return values.map(_text).astype(TEXT)


def _text(value: Any) -> str | None:
    return None if value is None or value != value or value == "" else str(value)


def _as_glims(table: pd.DataFrame) -> pd.DataFrame:
    """GLIMS' names for what RGI 7's tell, and what GLIMS wants besides."""
    described = (
        "automatic, " + table["software"].fillna("glacier_ml") + ", model " + table["model"].fillna("unknown")
        + ", run " + table["run_id"].fillna("unknown") + ", scene " + table["scene"]
    )  # fmt: skip
    return table.assign(
        line_type="glac_bound",
        glac_id=table.get("glims_id"),
        area=table["area_km2"],
        glac_stat="exists",
        local_id=table["glacier_id"],
        proc_desc=described.str.slice(0, 254),
        loc_unc_x=table["half_pixel_m"],
        loc_unc_y=table["half_pixel_m"],
    )
