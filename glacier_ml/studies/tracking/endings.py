"""End runs that are not this process's own."""

from __future__ import annotations

import time
from collections.abc import Mapping

from glacier_ml.studies.tracking.runs import STATUS, client, run_exists


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
    run = client().get_run(run_id)
    if run.data.tags.get("state") == "running":
        client().set_tag(run_id, "state", state)
        if reason:
            client().set_tag(run_id, "reason", reason)
    else:
        state = run.data.tags.get("state", state)
    if run.info.status == "RUNNING":
        client().set_terminated(run_id, STATUS.get(state, "KILLED"))
