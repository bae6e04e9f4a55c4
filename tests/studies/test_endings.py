"""Runs are ended by others as what their work had come to."""

import pytest

from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.runs import client, experiment_id


@pytest.fixture
def opened(store):
    """A run at work."""
    tags = {"kind": "trial", "state": "running"}
    return client().create_run(experiment_id(), tags=tags).info.run_id


def said(run_id):
    run = client().get_run(run_id)
    return run.data.tags["state"], run.info.status, run.data.tags.get("reason")


@pytest.mark.parametrize(
    ("state", "status"), [("complete", "FINISHED"), ("pruned", "FINISHED"), ("killed", "KILLED")]
)
def test_a_run_at_work_is_ended(opened, state, status):
    tracking.end_run(opened, state)
    assert said(opened) == (state, status, None)


def test_an_end_that_was_told_stays(opened):
    tracking.end_run(opened, "failed", "ValueError: shapes")
    tracking.end_run(opened, "killed", "its process ended without a word")
    assert said(opened) == ("failed", "FAILED", "ValueError: shapes")


def test_who_knows_the_outcome_corrects_who_knew_the_process_alone(opened):
    tracking.end_run(opened, "killed", "its process ended without a word")
    tracking.end_run(opened, "complete")
    assert said(opened) == ("complete", "FINISHED", None)


def test_a_run_that_is_not_there_is_none_to_end(store):
    tracking.end_run("", "killed")
    tracking.end_run("0" * 32, "killed")
