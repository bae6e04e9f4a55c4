"""End runs that are not this process's own."""

from __future__ import annotations

import time
from collections.abc import Mapping

from glacier_ml.studies.tracking.runs import STATUS, client, end_marks, run_exists, tag_run

TOGETHER = 1.0  # that processes may take that end the same run at the same moment [s]


def complete_run(run_id: str, metrics: Mapping[str, float], tags: Mapping[str, object]) -> None:
    """Say of a run that was stopped that others have brought its work to its end."""
    from mlflow.entities import Metric, RunTag

    if not run_exists(run_id):
        return
    now = time.time_ns() // 1_000_000  # [ms]
    told = {"state": "complete", **tags}
    client().log_batch(
        run_id,
        metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
        tags=[RunTag(key, str(value)) for key, value in told.items()],
    )
    if "reason" in client().get_run(run_id).data.tags:
        client().delete_tag(run_id, "reason")
    client().set_terminated(run_id, STATUS["complete"])


def end_run(run_id: str, state: str, reason: str | None = None) -> None:
    """End a run that its own process cannot end any more; one that has ended stays as it is.

    Parameters
    ----------
    state : str
        'complete', 'pruned', 'failed' or 'killed': the tag `state`.
    reason : str, optional
        The tag `reason`.
    """
    if not run_id or not run_exists(run_id):
        return
    from mlflow.exceptions import MlflowException

    try:
        _end(run_id, state, reason)
    except MlflowException:  # another process may be doing the same
        time.sleep(TOGETHER)
        if client().get_run(run_id).info.status == "RUNNING":
            _end(run_id, state, reason)


def _end(run_id: str, state: str, reason: str | None) -> None:
    run = client().get_run(run_id)
    said = run.data.tags.get("state", state)
    # A run may have been taken for killed by who knew its process alone, and not what it had come to.
    known_better = said == "killed" and state != "killed"
    if said == "running" or known_better:
        tag_run(run_id, {"state": state} | ({"reason": reason} if reason else {}) | end_marks(run, state))
        if known_better and not reason and "reason" in run.data.tags:
            client().delete_tag(run_id, "reason")
    else:
        state = said
    if run.info.status == "RUNNING" or known_better:
        client().set_terminated(run_id, STATUS.get(state, "KILLED"))
