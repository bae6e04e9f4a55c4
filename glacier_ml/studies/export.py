"""A study as files for other programs: every trial and epoch as tables, and what plots show of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation import study_figures as drawn
from glacier_ml.products.maps import check_folder, staged
from glacier_ml.studies.records import DEFAULT_STORAGE, state_of, tried_values
from glacier_ml.studies.searching import OBJECTIVE
from glacier_ml.studies.storages import hide_password, open_storage
from glacier_ml.studies.tuning import study_figures

if TYPE_CHECKING:
    import optuna
    import pandas as pd

STATES = ("complete", "pruned", "failed", "interrupted", "dropped", "running", "waiting")
COLUMNS = {
    "number": "of the trial, from 0",
    "state": "complete, pruned, failed, interrupted (and queued anew), dropped (never begun: "
    "another was quicker), running or waiting",
    "value": f"{OBJECTIVE}: the highest of all epochs, of complete trials",
    "highest": "the same, of whatever trial has an epoch behind it",
    "epochs": "epochs that it reached",
    "run_id": "of its MLflow run",
    "start": "UTC",
    "end": "UTC; none while it runs",
    "duration_s": "from start to end [s]",
}
FILES = {
    "trials": "a row a trial",
    "epochs": "a row a trial and epoch",
    "history": "values in the order of the trials, and the best so far",
    "curves": "values by epoch, pruned trials apart",
    "slices": "values by parameter",
    "importances": "how much each parameter decided which complete trials are among the best (PED-ANOVA); "
    f"{drawn.ENOUGH} of them are wanted",
    "plots": "the same and more, to look into with a browser, offline too",
    "README": "this file",
}


@dataclass(frozen=True)
class StudySummary:
    """What a list of studies says of one.

    Attributes
    ----------
    name, network : str
        Of the study; the network '' where it is not told.
    states : dict of str to int
        Number of trials by state.
    best : float or None
        Value of the best complete trial.
    best_number : int or None
        Its number.
    last : datetime or None
        When the study was last worked on, in UTC.
    """

    name: str
    network: str
    states: dict[str, int]
    best: float | None
    best_number: int | None
    last: datetime | None


def list_studies(storage: str | None = None) -> list[StudySummary]:
    """Summarise all studies of a storage, the one worked on last at the end."""
    import optuna

    opened = _open(storage or DEFAULT_STORAGE)
    found = [
        _summarise(optuna.load_study(study_name=one.study_name, storage=opened))
        for one in optuna.get_all_study_summaries(opened, include_best_trial=False)
    ]
    return sorted(found, key=lambda one: (one.last or datetime.min.replace(tzinfo=UTC), one.name))


def _summarise(study: optuna.Study) -> StudySummary:
    trials = study.get_trials(deepcopy=False)
    states = [state_of(trial) for trial in trials]
    times = [_utc(time) for trial in trials for time in (trial.datetime_start, trial.datetime_complete)]
    if (opened := study.user_attrs.get("opened")) is not None:
        times.append(datetime.fromtimestamp(opened, UTC))
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    best = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    return StudySummary(
        study.study_name,
        str(study.user_attrs.get("network", "")),
        {state: states.count(state) for state in STATES if state in states},
        best.value if best else None,
        best.number if best else None,
        max((time for time in times if time), default=None),
    )


def study_lines(studies: Iterable[StudySummary]) -> list[str]:
    """A line a study in columns, below their names: for people, the one worked on last at the end."""
    rows = [("study", "network", "best", "last worked on (UTC)", "trials")]
    for one in studies:
        best = f"{one.best:.3f}" if one.best is not None else "-"
        last = f"{one.last:%Y-%m-%d %H:%M}" if one.last else "-"
        trials = ", ".join(f"{count} {state}" for state, count in one.states.items()) or "none"
        rows.append((one.name, one.network or "-", best, last, trials))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def choose_study(named: str | None, studies: Iterable[StudySummary]) -> StudySummary:
    """Find the study that a name or its beginning means; without one that worked on last.

    Raises
    ------
    GlacierError
        Where there is none, or several begin so: names them, or those nearest to it.
    """
    by_name = {one.name: one for one in studies}
    if not by_name:
        raise GlacierError("study: the storage holds none; tune a network first, or name another storage")
    if named is None:
        return list(by_name.values())[-1]
    if named in by_name:
        return by_name[named]
    begun = [name for name in by_name if name.startswith(named)]
    if len(begun) == 1:
        return by_name[begun[0]]
    if begun:
        raise GlacierError(f"study {named}: {len(begun)} begin so ({_few(begun)}); give more of its name")
    near = get_close_matches(named, by_name, n=5, cutoff=0.4) or list(by_name)[::-1]
    raise GlacierError(f"study {named}: not in the storage; there are {_few(near)}")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def export_study(
    named: str | None, storage: str | None = None, output: str | None = None, form: str = "both"
) -> tuple[StudySummary, list[Path]]:
    """Write the trials and epochs of a study as tables, and its plots, to a folder: all of it or nothing.

    Parameters
    ----------
    named : str, optional
        Its name or the beginning of it; by default the study that was worked on last.
    storage : str, optional
        Optuna storage URL; `optuna.db` in the working folder by default.
    output : str, optional
        Folder; the study's name by default.
    form : {'csv', 'parquet', 'both'}
        Of the tables.

    Returns
    -------
    The study, and the files that were written.

    Raises
    ------
    GlacierError
        Where there is no such study or storage, or the folder cannot be written.
    """
    address = storage or DEFAULT_STORAGE
    chosen = choose_study(named, list_studies(address))
    folder = Path(output or chosen.name)
    check_folder(folder)
    tables, pictures = _contents(chosen.name, address)
    page = _page(chosen, study_figures(chosen.name, address))
    names = _names(tables, pictures, form)
    with staged(folder, last="README.md", family=_names(tables, drawn.PICTURES, "both")) as beside:
        for name, table in tables.items():
            _write_table(table, beside / name, form)
        for name, figure in pictures.items():
            figure.savefig(beside / f"{name}.png")
        (beside / "plots.html").write_text(page, encoding="utf-8")
        (beside / "README.md").write_text(_describe(chosen, tables["trials"], names), encoding="utf-8")
    return chosen, [folder / name for name in names]


def _contents(name: str, address: str) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Tables and pictures of a study, by name."""
    import optuna

    study = optuna.load_study(study_name=name, storage=_open(address))
    tables = {"trials": trial_table(study), "epochs": epoch_table(study)}
    return tables, _pictures(study, tables)


def _names(tables: Iterable[str], pictures: Iterable[str], form: str) -> list[str]:
    endings = ("csv", "parquet") if form == "both" else (form,)
    files = [f"{table}.{ending}" for table in tables for ending in endings]
    return [*files, *(f"{picture}.png" for picture in pictures), "plots.html", "README.md"]


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """Tabulate all trials: the columns of `COLUMNS`, then `params_...` and `user_attrs_...`."""
    import pandas as pd

    rows = []
    for trial in study.get_trials(deepcopy=False):
        start, end = _utc(trial.datetime_start), _utc(trial.datetime_complete)
        told = {key: value for key, value in trial.user_attrs.items() if key != "run_id"}
        row = {
            "number": trial.number,
            "state": state_of(trial),
            "value": trial.value if trial.state.name == "COMPLETE" else None,
            "highest": max(trial.intermediate_values.values(), default=None),
            "epochs": max(trial.intermediate_values, default=-1) + 1,
            "run_id": trial.user_attrs.get("run_id"),
            "start": start,
            "end": end,
            "duration_s": (end - start).total_seconds() if start and end else None,
        }
        row |= {f"params_{name}": _plain(value) for name, value in tried_values(trial).items()}
        rows.append(row | {f"user_attrs_{name}": _plain(value) for name, value in told.items()})
    table = pd.DataFrame(rows, dtype=object)  # a whole number stays one where others lack it
    last = [column for prefix in ("params_", "user_attrs_") for column in table if column.startswith(prefix)]
    table = table.reindex(columns=[*COLUMNS, *last])
    return table.astype({column: _kind(column, table[column]) for column in table})


def _kind(column: str, values: pd.Series[Any]) -> Any:
    """Type of a column that every row can have, a missing value included."""
    known = dict.fromkeys(("number", "epochs"), "int64") | dict.fromkeys(
        ("start", "end"), "datetime64[us, UTC]"
    )
    known |= dict.fromkeys(("value", "highest", "duration_s"), "float64")
    kinds = {type(value) for value in values.dropna()}
    if column in known:
        return known[column]
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64"
    return "float64" if kinds and kinds <= {int, float} else "string"


def _plain(value: Any) -> Any:
    """A value that a cell can hold."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value, default=str)


def epoch_table(study: optuna.Study) -> pd.DataFrame:
    """Tabulate the objective of all trials by epoch: number, epoch (from 1), value."""
    import pandas as pd

    rows = [
        (trial.number, step + 1, value)
        for trial in study.get_trials(deepcopy=False)
        for step, value in sorted(trial.intermediate_values.items())
    ]
    table = pd.DataFrame(rows, columns=["number", "epoch", "value"])
    return table.astype({"number": "int64", "epoch": "int64", "value": "float64"})


def _write_table(table: pd.DataFrame, path: Path, form: str) -> None:
    if form in ("csv", "both"):
        table.to_csv(path.with_suffix(".csv"), index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    if form in ("parquet", "both"):
        table.to_parquet(path.with_suffix(".parquet"), index=False)


def _pictures(study: optuna.Study, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Pictures that there are trials enough for."""
    trials = tables["trials"]
    searched = [
        (name, space) for one in study.get_trials(deepcopy=False) for name, space in one.distributions.items()
    ]
    logarithmic = {name for name, space in searched if getattr(space, "log", False)}
    made = {
        "history": drawn.draw_history(trials),
        "curves": drawn.draw_curves(trials, tables["epochs"]),
        "slices": drawn.draw_slices(trials, logarithmic),
        "importances": drawn.draw_importances(_importances(study), sum(trials.state == "complete")),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter decided which trials are among the best; none where trials cannot tell."""
    from optuna.importance import get_param_importances

    values = {one.value for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"}
    if len(values) < 2:
        return {}
    with suppress(ValueError, RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's, of importances that few trials cannot tell apart
        return dict(get_param_importances(study))  # its default, PED-ANOVA, as in the interactive plot
    return {}


def _page(study: StudySummary, figures: Mapping[str, Any]) -> str:
    """One page of all interactive plots, with the library that draws them: it opens offline."""
    parts = [
        f"<h2>{escape(name.replace('_', ' '))}</h2>"
        + figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, (name, figure) in enumerate(figures.items())
    ]
    body = "\n".join(parts) or "<p>There are no trials to plot yet.</p>"
    title = escape(study.name)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<p>{escape(_told(study))}</p>\n{body}\n</body></html>\n"
    )


def _told(study: StudySummary) -> str:
    states = ", ".join(f"{count} {state}" for state, count in study.states.items()) or "no trials"
    best = f"; best is trial {study.best_number} with {study.best:.3f}" if study.best is not None else ""
    return f"{states}{best}"


def _describe(study: StudySummary, trials: pd.DataFrame, names: list[str]) -> str:
    """What the folder holds and what the columns mean, in Markdown."""
    columns = [f"- `{name}`: {meaning}" for name, meaning in COLUMNS.items()]
    if any(name.startswith("params_") for name in trials):
        columns.append("- `params_...`: the value that it tried; a list as its JSON text")
    if any(name.startswith("user_attrs_") for name in trials):
        columns.append("- `user_attrs_...`: what else the study noted of it, such as the process")
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return "\n".join(
        [
            f"# {study.name}",
            "",
            f"Exported {date}: {_told(study)}.",
            f"{OBJECTIVE} is the glacier IoU of the validation pixels, the mean over scenes.",
            "",
            *(f"- {name}: {FILES[name.partition('.')[0]]}" for name in names),
            "",
            "Columns of trials:",
            "",
            *columns,
            "",
            "Columns of epochs:",
            "",
            "- `number`: of the trial",
            "- `epoch`: from 1",
            f"- `value`: {OBJECTIVE} after it",
            "",
        ]
    )


def _utc(time: datetime | None) -> datetime | None:
    """Optuna notes the local time of the machine at work, without its zone."""
    return time.astimezone(UTC) if time else None


def _open(address: str) -> optuna.storages.BaseStorage:
    """Open a storage that is there; what is not is not made."""
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url

    try:
        other = address.startswith(("journal:", "grpc:"))
        url = None if other else make_url(address)
        file = url.database if url and url.get_backend_name() == "sqlite" else None
        file = address.removeprefix("journal:") if address.startswith("journal:") else file
        if file and not Path(file).is_file():
            raise FileNotFoundError("no such file")
        if url and not inspect(create_engine(url)).has_table("studies"):
            raise LookupError("no table of studies")
    except Exception as error:  # drivers raise what they like; all of them mean the same to the user
        reason = hide_password(" ".join(str(error).split())[:200])
        raise GlacierError(
            f"storage: {hide_password(address)} holds no studies that can be read ({reason}); "
            "run in the folder of the study, or name its storage"
        ) from error
    return open_storage(address)
