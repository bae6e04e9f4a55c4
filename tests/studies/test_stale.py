"""Runs that dead processes have left RUNNING are closed when a command opens its first, and no others."""

import platform

import pytest

from glacier_ml.studies import tracking
from glacier_ml.studies.processes import number_space, process_name
from glacier_ml.studies.tracking.runs import STATUS, client
from glacier_ml.studies.tracking.stale import close_stale_runs

DEAD = f"{platform.node()} 4194305 0 {number_space()}".strip()


@pytest.fixture
def opened(store):
    """Factory of runs that are RUNNING in an experiment: `opened(process, experiment, **tags)` -> run id."""

    def open_run(process=None, experiment="glacier_ml", **tags):
        found = client().get_experiment_by_name(experiment)
        where = found.experiment_id if found else client().create_experiment(experiment)
        tags |= {"process": process} if process else {}
        return client().create_run(where, tags=tags).info.run_id

    return open_run


def told(run_id):
    run = client().get_run(run_id)
    return run.info.status, run.data.tags.get("state"), run.data.tags.get("reason")


def test_the_first_run_of_a_command_closes_what_the_dead_left(opened):
    stale = [opened(DEAD, state="running"), opened(DEAD, "another experiment", state="running")]
    with tracking.start_run("study", "study") as study:
        assert {told(run) for run in stale} == {("KILLED", "killed", "its process ended without a word")}
        assert client().get_run(study).data.tags["process"] == process_name()
        late = opened(DEAD, state="running")
        with tracking.start_run("trial-000", "trial"):
            assert told(late)[0] == "RUNNING"  # a command's other runs look for nothing
    assert told(study) == ("FINISHED", "complete", None)


def test_what_mlflow_ended_in_our_place_is_closed_as_killed(opened):
    # At the end of a process that did not end its run, MLflow calls it finished.
    run = opened(DEAD, state="running")
    client().set_terminated(run, "FINISHED", 1_700_000_000_000)
    assert close_stale_runs(client(), STATUS) == [run]
    assert told(run) == ("KILLED", "killed", "its process ended without a word")
    assert client().get_run(run).info.end_time == 1_700_000_000_000
    assert close_stale_runs(client(), STATUS) == []


@pytest.mark.parametrize("process", [None, "elsewhere 4194305 0", "nonsense", "this one"])
def test_a_run_that_may_go_on_is_left_alone(opened, process):
    run = opened(process_name() if process == "this one" else process, state="running")
    assert close_stale_runs(client(), STATUS) == []
    assert told(run) == ("RUNNING", "running", None)


@pytest.mark.parametrize(
    ("state", "status"), [("pruned", "FINISHED"), ("complete", "FINISHED"), ("failed", "FAILED")]
)
def test_an_end_that_was_told_in_time_stays(opened, state, status):
    run = opened(DEAD, state=state)
    assert close_stale_runs(client(), STATUS) == [run]
    assert told(run) == (status, state, None)


def test_more_runs_than_a_page_are_all_closed_once(opened, monkeypatch):
    runs = {opened(DEAD, state="running") for _ in range(5)}
    search = client().search_runs
    monkeypatch.setattr(
        "mlflow.MlflowClient.search_runs",
        lambda self, *given, **options: search(*given, **options, max_results=2),
    )
    assert set(close_stale_runs(client(), STATUS)) == runs
    assert close_stale_runs(client(), STATUS) == []


def test_a_store_without_experiments_has_nothing_to_close(store):
    for experiment in client().search_experiments():
        client().delete_experiment(experiment.experiment_id)
    assert close_stale_runs(client(), STATUS) == []
