"""A study as tables and plots: every trial with its end, all files or none, and names that are found."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from glacier_ml.errors import GlacierError
from glacier_ml.studies import export
from glacier_ml.studies.export import (
    StudySummary,
    choose_study,
    epoch_table,
    export_study,
    list_studies,
    study_lines,
    trial_table,
)

SPACE = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "levels": IntDistribution(2, 6),
    "head": CategoricalDistribution(["[]", "[32, 32]"]),
}
BEGAN = datetime(2026, 3, 1, 12)


def trial(state, curve=(), value=None, values=None, minutes=0, **attributes):
    """A trial that began so many minutes after the study and took one a value of its curve."""
    values = values or {}
    made = create_trial(
        state=state,
        value=value,
        params=values,
        distributions={name: SPACE[name] for name in values},
        user_attrs=attributes,
        intermediate_values=dict(enumerate(curve)),
    )
    if state != TrialState.WAITING:
        made.datetime_start = BEGAN + timedelta(minutes=minutes)
    if state.is_finished():
        made.datetime_complete = made.datetime_start + timedelta(minutes=len(curve))
    return made


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A storage with three studies: one worked on last, one before it, one empty."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = tmp_path_factory.mktemp("studies") / "optuna.db"
    address = f"sqlite:///{path}"
    low, high = {"learning_rate": 0.01, "levels": 3, "head": "[]"}, {"learning_rate": 0.001, "levels": 5}
    unet = optuna.create_study(study_name="unet-0a1b2c3d4e", storage=address, direction="maximize")
    unet.set_user_attr("network", "unet")
    unet.add_trials(
        [
            trial(TrialState.COMPLETE, [0.4, 0.6, 0.5], 0.6, low, run_id="r0", process="here 1 2"),
            trial(TrialState.PRUNED, [0.3, 0.2], 0.2, high, 5, run_id="r1"),
            trial(TrialState.COMPLETE, [0.5, 0.7], 0.7, high, 10, run_id="r2", tried=[1, 2]),
            trial(TrialState.FAIL, [], None, low, 20, run_id="r3"),
            trial(TrialState.FAIL, [0.1], None, high, 25, run_id="r4", interrupted=True),
        ]
    )
    unet.enqueue_trial(high)
    older = optuna.create_study(study_name="unet-ffffffffff", storage=address, direction="maximize")
    older.add_trial(trial(TrialState.COMPLETE, [0.5], 0.5, low, -60))
    optuna.create_study(study_name="ffnn-0123456789", storage=address)
    return path


@pytest.fixture
def storage(database, tmp_path, monkeypatch):
    """A copy of it in the working folder."""
    shutil.copy(database, tmp_path)
    monkeypatch.chdir(tmp_path)
    return "sqlite:///optuna.db"


def opened(name, storage):
    return optuna.load_study(study_name=name, storage=storage)


def test_every_trial_is_a_row_with_its_end_in_our_words(storage):
    table = trial_table(opened("unet-0a1b2c3d4e", storage))
    assert list(table.number) == [0, 1, 2, 3, 4, 5]
    assert list(table.state) == ["complete", "pruned", "complete", "failed", "interrupted", "waiting"]
    assert table.value.tolist()[::2] == pytest.approx([0.6, 0.7, float("nan")], nan_ok=True)
    assert pd.isna(table.value[1])  # optuna would call the last epoch's a pruned trial's value
    assert table.highest.tolist() == pytest.approx(
        [0.6, 0.3, 0.7, float("nan"), 0.1, float("nan")], nan_ok=True
    )
    assert list(table.epochs) == [3, 2, 2, 0, 1, 0]
    assert list(table.run_id[:5]) == ["r0", "r1", "r2", "r3", "r4"] and pd.isna(table.run_id[5])
    assert table.duration_s.tolist()[:5] == [180, 120, 120, 0, 60]
    assert table.start[0] == BEGAN.astimezone(UTC) and pd.isna(table.start[5])
    # whole numbers stay whole where others lack them; what waits has what it will try; lists are JSON
    assert table.params_levels.dtype == "Int64" and list(table.params_levels) == [3, 5, 5, 3, 5, 5]
    assert table.params_head.isna().tolist() == [False, True, True, False, True, True]
    assert table.user_attrs_process[0] == "here 1 2" and json.loads(table.user_attrs_tried[2]) == [1, 2]
    assert table.user_attrs_interrupted.dtype == "boolean" and table.user_attrs_interrupted.sum() == 1


def test_every_epoch_is_a_row(storage):
    table = epoch_table(opened("unet-0a1b2c3d4e", storage))
    rows = [
        (0, 1, 0.4),
        (0, 2, 0.6),
        (0, 3, 0.5),
        (1, 1, 0.3),
        (1, 2, 0.2),
        (2, 1, 0.5),
        (2, 2, 0.7),
        (4, 1, 0.1),
    ]
    assert list(table.itertuples(index=False, name=None)) == rows


def test_an_export_is_read_back_and_says_what_is_what(storage, tmp_path):
    chosen, files = export_study(None)
    folder = tmp_path / "unet-0a1b2c3d4e"
    assert chosen.name == folder.name and {path.name for path in files} == {p.name for p in folder.iterdir()}
    assert {path.name for path in files} == {
        *("trials.csv", "trials.parquet", "epochs.csv", "epochs.parquet", "README.md"),
        *("history.png", "curves.png", "slices.png", "importances.png", "plots.html"),
    }
    parquet = pd.read_parquet(folder / "trials.parquet")
    told = trial_table(opened(chosen.name, storage))
    pd.testing.assert_frame_equal(parquet, told)
    csv = pd.read_csv(folder / "trials.csv", parse_dates=["start", "end"])
    assert list(csv) == list(told) and csv.start[0] == told.start[0]
    assert csv.value.tolist() == pytest.approx(told.value.tolist(), nan_ok=True)
    assert len(pd.read_csv(folder / "epochs.csv")) == len(pd.read_parquet(folder / "epochs.parquet")) == 8
    readme = (folder / "README.md").read_text()
    for column in told:
        assert re.sub("(params|user_attrs)_.*", r"\1_...", column) in readme, column
    assert all(f"- {path.name}: " in readme for path in files)
    assert "2 complete, 1 pruned, 1 failed, 1 interrupted, 1 waiting; best is trial 2 with 0.700" in readme


def test_the_plots_open_offline(storage, tmp_path):
    _, files = export_study("unet-0a", output=str(tmp_path / "out"), form="csv")
    page = (tmp_path / "out/plots.html").read_text()
    assert page.count("Plotly.newPlot(") >= 5
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    assert page.count("* plotly.js v") == 1  # once for all plots


def test_an_export_anew_replaces_the_old_one_whole_or_not_at_all(storage, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    export_study("unet-0a", output=str(folder))
    (folder / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export, "_describe", full)
        with pytest.raises(GlacierError, match="cannot be written .No space left on device."):
            export_study("unet-ff", output=str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    _, files = export_study("unet-ff", output=str(folder), form="csv")
    # The other study has one trial, too few for importances; what is not ours stays.
    assert {path.name for path in folder.iterdir()} == {path.name for path in files} | {"notes.txt"}
    assert "importances.png" not in {path.name for path in files}


def test_a_study_without_trials_is_exported(storage, tmp_path):
    _, files = export_study("ffnn-0123456789", output=str(tmp_path / "out"))
    assert {path.name for path in files} >= {"trials.csv", "epochs.parquet", "plots.html", "README.md"}
    assert not [path for path in files if path.suffix == ".png"]
    assert list(pd.read_parquet(tmp_path / "out/trials.parquet")) == list(export.COLUMNS)


def test_studies_are_listed_the_one_worked_on_last_at_the_end(storage):
    studies = list_studies()
    assert [one.name for one in studies] == ["ffnn-0123456789", "unet-ffffffffff", "unet-0a1b2c3d4e"]
    last = (BEGAN + timedelta(minutes=26)).astimezone(UTC)
    states = {"complete": 2, "pruned": 1, "failed": 1, "interrupted": 1, "waiting": 1}
    assert studies[-1] == StudySummary("unet-0a1b2c3d4e", "unet", states, 0.7, 2, last)
    lines = study_lines(studies)
    assert lines[0].split() == "study network best last worked on (UTC) trials".split()
    assert lines[1].split() == ["ffnn-0123456789", "-", "-", "-", "none"]
    assert lines[3].startswith(f"unet-0a1b2c3d4e  unet     0.700  {last:%Y-%m-%d %H:%M}")


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("unet", r"2 begin so \(unet-ffffffffff, unet-0a1b2c3d4e\); give more of its name"),
        ("unet-0a1b2c3d4f", r"not in the storage; there are unet-0a1b2c3d4e"),
        ("zzz", r"not in the storage; there are unet-0a1b2c3d4e, unet-ffffffffff, ffnn-0123456789$"),
    ],
)
def test_a_name_that_means_no_study_is_told_with_those_near(storage, named, told):
    with pytest.raises(GlacierError, match=f"study {named}: {told}"):
        choose_study(named, list_studies())


def test_a_name_goes_before_a_beginning():
    studies = [StudySummary(name, "", {}, None, None, None) for name in ("unet", "unet-2")]
    assert choose_study("unet", studies).name == "unet"
    assert choose_study("unet-", studies).name == "unet-2"
    with pytest.raises(GlacierError, match="study: the storage holds none; tune a network first"):
        choose_study(None, [])


def test_a_storage_that_is_none_is_told_and_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database " * 100)
    (tmp_path / "empty.db").touch()
    for address, told in [
        ("sqlite:///optuna.db", "sqlite:///optuna.db holds no .*no such file"),
        ("sqlite:///text.db", "text.db holds no studies that can be read .*not a database"),
        ("sqlite:///empty.db", "empty.db holds no studies that can be read .no table of studies"),
        ("journal:study.log", "journal:study.log holds no studies that can be read .no such file"),
        ("nonsense", "holds no studies that can be read"),
        ("nosuchdb://me:secret@host/name", r"nosuchdb://me:\*\*\*@host/name holds no .*nosuchdb"),
    ]:
        with pytest.raises(GlacierError, match=told) as error:
            list_studies(address)
        assert "\n" not in str(error.value) and "secret" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "text.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0
