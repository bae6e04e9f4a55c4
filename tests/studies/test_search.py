"""Runs found again by their tags."""

import pytest

from glacier_ml.studies import tracking


def test_the_newest_complete_run_with_all_the_tags_is_found(store):
    with tracking.start_run("parent", "study"):
        with tracking.start_run("old", "fold", tags={"place": "cape"}):
            pass
        with tracking.start_run("new", "fold", tags={"place": "cape"}) as newest:
            pass
        with tracking.start_run("other", "seed", tags={"place": "cape"}):
            pass
        assert tracking.finished_run({"kind": "fold", "place": "cape"}) == newest
        assert tracking.finished_run({"kind": "fold", "place": "fjord"}) is None


def test_a_run_that_failed_or_still_runs_is_not_finished(store):
    with tracking.start_run("parent", "study"):
        with (
            pytest.raises(ValueError, match="no"),
            tracking.start_run("failed", "fold", tags={"place": "O'Higgins"}),
        ):
            raise ValueError("no")
        with tracking.start_run("running", "fold", tags={"place": "O'Higgins"}) as run_id:
            assert tracking.finished_run({"place": "O'Higgins"}) is None
        assert tracking.finished_run({"place": "O'Higgins"}) == run_id
