"""What the columns of GLIMS and of the Randolph Glacier Inventory (RGI) mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glacier_ml.errors import GlacierError

GLIMS, RGI_7, RGI_6, POLYGONS = "GLIMS", "RGI 7", "RGI 6", "polygons"

COLUMNS = (
    "line_type",
    "glac_id",
    "anlys_id",
    "src_date",
    "rec_status",
    "glac_stat",
    "rgi_id",
    "rgiid",
    "bgndate",
    "enddate",
)
"""The columns with a meaning here, in small letters: Shapefiles write some of them in capitals."""

# Year, month, day; 99 and 00 stand for a month or day that nobody knows, 9999 for a year.
_DATE = r"^\s*(?P<year>\d{4})[-/]?(?P<month>\d{2})?[-/]?(?P<day>\d{2})?"


@dataclass(frozen=True)
class OutlineDates:
    """When the ground that outlines in a scene's window show was seen.

    Attributes
    ----------
    earliest, latest : str
        YYYY-MM-DD; where only the year of an outline is known, its first and its last day.
    mean : str
        YYYY-MM-DD, weighted by the outlines' area in the window.
    undated : float
        Share of that area whose outlines have no date.
    """

    earliest: str
    latest: str
    mean: str
    undated: float

    def gap_years(self, date: str) -> float:
        """Years from the outlines' mean date to a day YYYY-MM-DD or YYYY-MM; negative where that is before.

        Examples
        --------
        >>> round(OutlineDates("2004-08-01", "2006-08-01", "2005-08-01", 0.0).gap_years("2007-09-17"), 1)
        2.1
        """
        import pandas

        _, _, day = _periods(pandas.Series([date]))
        return float((day.iloc[0] - pandas.Timestamp(self.mean)).days / 365.25)


def inventory_of(columns: list[str]) -> str:
    """Which inventory a file's columns are of.

    Examples
    --------
    >>> inventory_of(["anlys_id", "glac_id", "LINE_TYPE"]), inventory_of(["RGIId"]), inventory_of(["id"])
    ('GLIMS', 'RGI 6', 'polygons')
    """
    names = {column.lower() for column in columns}
    if "line_type" in names or {"glac_id", "src_date"} <= names and "rgi_id" not in names:
        return GLIMS
    if "rgi_id" in names:
        return RGI_7
    return RGI_6 if "rgiid" in names else POLYGONS


def outline_keys(frame: Any, inventory: str) -> list[str]:
    """What each row stands for: RGI's id; GLIMS' glacier, analysis and kind of line; '' where none is told.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns in small letters.
    inventory : str
        As `inventory_of` says.
    """
    parts = {RGI_7: ["rgi_id"], RGI_6: ["rgiid"], GLIMS: ["glac_id", "anlys_id", "line_type"]}.get(
        inventory, []
    )
    present = [part for part in parts if part in frame]
    if not present or (inventory == GLIMS and not {"glac_id", "anlys_id"} & set(present)):
        return [""] * len(frame)
    columns = [
        ["" if value != value or value is None else str(value) for value in frame[part]] for part in present
    ]
    return ["/".join(parts) if parts[0].strip() else "" for parts in zip(*columns, strict=True)]


def outline_days(frame: Any, inventory: str) -> tuple[Any, Any, Any]:
    """First, last and middle day on which each row's ground may have been seen, NaT where that is not told.

    RGI 6 has BgnDate and, where sources span several days, EndDate (YYYYMMDD, 99 and 9999 = unknown);
    GLIMS and RGI 7 have src_date (ISO 8601).

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns in small letters.
    inventory : str
        As `inventory_of` says.

    Returns
    -------
    first, last, middle : pandas.Series of datetime64
    """
    import pandas

    nothing = pandas.Series([""] * len(frame), index=frame.index, dtype=object)
    name = "bgndate" if inventory == RGI_6 else "src_date"
    first, last, middle = _periods(frame.get(name, nothing))
    if inventory == RGI_6 and "enddate" in frame:
        _, end, _ = _periods(frame["enddate"])
        last = last.where(~(end > last), end)
        middle = first + (last - first) / 2
    return first, last, middle


def _periods(values: Any) -> tuple[Any, Any, Any]:
    """First, last and middle day of dates as text, numbers or times, each known to the day, month or year."""
    import pandas

    parts = values.astype(str).str.extract(_DATE)
    year = parts["year"].where(~parts["year"].isin(["9999", "0000"]))
    month = parts["month"].where(~parts["month"].isin(["99", "00"]))
    day = parts["day"].where(~parts["day"].isin(["99", "00"]) & month.notna())
    low = year + "-" + month.fillna("01") + "-" + day.fillna("01")
    high = year + "-" + month.fillna("12") + "-" + day.fillna("01")
    first = pandas.to_datetime(low, format="%Y-%m-%d", errors="coerce")
    last = pandas.to_datetime(high, format="%Y-%m-%d", errors="coerce")
    last = last.where(day.notna(), last + pandas.offsets.MonthEnd(0))
    return first, last, first + (last - first) / 2


@dataclass(frozen=True)
class Drawn:
    """The rows of an inventory that count for a scene.

    Attributes
    ----------
    ice, rock, debris : geopandas.GeoDataFrame
        Glaciers, rock inside them, ice under debris; GLIMS alone tells the last two apart.
    notes : list of str
        What was left out, in words.
    """

    ice: Any
    rock: Any
    debris: Any
    notes: list[str]


def rows_for_date(frame: Any, inventory: str, date: str | None, where: str) -> Drawn:
    """Choose the rows that count for a scene's date.

    All of RGI and of plain polygons. Of GLIMS, for each glacier (`glac_id`), the `glac_bound` of the day
    nearest to the scene's; where several analyses are of that day, of the one with the largest `anlys_id`;
    and the `intrnl_rock` and `debris_cov` of the same analyses. Rows whose `rec_status` is not 'okay'
    (www.glims.org/MapsAndDocs/downloaded_field_desc.html) are left out, and glaciers 'gone' by that day.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Columns in small letters.
    inventory, where : str
        As `inventory_of` says; what errors begin with.
    date : str or None
        The scene's, YYYY-MM-DD or YYYY-MM.

    Raises
    ------
    GlacierError
        Where a glacier is drawn on several days and the scene's is not known.
    """
    nothing = frame.iloc[:0]
    if inventory != GLIMS:
        return Drawn(frame, nothing, nothing, [])
    frame, notes = _accepted(frame)
    kind = frame["line_type"].astype(str).str.strip() if "line_type" in frame else None
    ice = frame if kind is None else frame[kind == "glac_bound"]
    chosen = _nearest(ice, date, where)
    chosen, several = _last_analysis(chosen)
    if several:
        notes.append(f"{_counted(several, 'glacier')} drawn by several analyses: the last one counts")
    inside = [nothing if kind is None else frame[kind == name] for name in ("intrnl_rock", "debris_cov")]
    if {"anlys_id", "glac_id"} <= set(frame.columns):
        inside = [rows[rows["anlys_id"].isin(chosen["anlys_id"])] for rows in inside]
    gone = _text(chosen, "glac_stat") == "gone"
    if gone.any():
        notes.append(f"{_counted(int(gone.sum()), 'outline')} of glaciers that are gone left out")
    return Drawn(chosen[~gone], inside[0], inside[1], notes)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _text(frame: Any, name: str) -> Any:
    import pandas

    nothing = pandas.Series([""] * len(frame), index=frame.index, dtype=object)
    return frame.get(name, nothing).fillna("").astype(str).str.strip().str.lower()


def _accepted(frame: Any) -> tuple[Any, list[str]]:
    """Rows that GLIMS stands by."""
    accepted = _text(frame, "rec_status").isin(["", "okay", "ok"])
    refused = int((~accepted).sum())
    return frame[accepted], [f"{_counted(refused, 'row')} that GLIMS does not call okay left out"] * bool(
        refused
    )


def _nearest(ice: Any, date: str | None, where: str) -> Any:
    """For each glacier the outlines of the day nearest to the scene's; undated where it has no others."""
    import pandas

    if not {"glac_id", "src_date"} <= set(ice.columns):
        return ice
    _, _, day = outline_days(ice, GLIMS)
    repeated = day.groupby(ice["glac_id"]).nunique() > 1
    if date is None:
        if repeated.any():
            raise GlacierError(
                f"{where}: outlines glacier {repeated.idxmax()} on several days; "
                "say the scene's 'date:' in a catalog"
            )
        apart = (day - day).abs()
    else:
        _, _, middle = _periods(pandas.Series([date]))
        apart = (day - middle.iloc[0]).abs()
    nearest = apart.groupby(ice["glac_id"]).transform("min")
    return ice[(apart == nearest) | nearest.isna()]


def _last_analysis(ice: Any) -> tuple[Any, int]:
    """Of glaciers with several analyses the last one, and how many glaciers have several."""
    import pandas

    if not {"glac_id", "anlys_id"} <= set(ice.columns) or ice.empty:
        return ice, 0
    several = int((ice.groupby("glac_id")["anlys_id"].nunique() > 1).sum())
    if not several:
        return ice, 0
    order = pandas.to_numeric(ice["anlys_id"], errors="coerce").fillna(-1)
    last = order.groupby(ice["glac_id"]).transform("max")
    return ice[(order == last) | last.isna()], several
