"""Runs whose process ended without a word."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glacier_ml.studies.processes import is_dead
from glacier_ml.studies.tracking.pages import every_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

REASON = "its process ended without a word"


def close_stale_runs(client: MlflowClient, statuses: Mapping[str, str]) -> list[str]:
    """End runs whose process is no more: kill -9, memory that ran out, a power cut.

    Looked at are runs of every experiment that are RUNNING, or whose tag `state` is (MLflow's own end of a
    process says FINISHED of what was at work), and whose tag `process` names this machine. Left as they are:
    those without the tag, as `mlflow run` opens them; those of other machines and of other
    containers, whose processes cannot be seen. Several processes may do this at once: they write the same.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    statuses : mapping
        MLflow's word for each of our states that is an end.

    Returns
    -------
    list of str
        Ids of the runs that were ended: killed, or as their tag `state` says where it was told in time.
    """
    here = f"tags.process LIKE '{platform.node()} %'"
    found = [
        run
        for open_ in ("attributes.status = 'RUNNING'", "tags.state = 'running'")
        for run in every_run(client, f"{open_} and {here}")
    ]
    stale = list({run.info.run_id: run for run in found if is_dead(run.data.tags["process"])}.values())
    for run in stale:
        state = run.data.tags.get("state", "running")
        if state not in statuses:
            client.set_tag(run.info.run_id, "state", "killed")
            client.set_tag(run.info.run_id, "reason", REASON)
        # last, since a run whose two words agree is not found again
        client.set_terminated(run.info.run_id, statuses.get(state, "KILLED"), run.info.end_time)
    return [run.info.run_id for run in stale]
