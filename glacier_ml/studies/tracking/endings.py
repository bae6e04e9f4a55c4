"""How runs end: our states and MLflow's for them, and runs whose process ended without a word."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from glacier_ml.studies.processes import is_dead
from glacier_ml.studies.tracking.pages import every_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
REASON = "its process ended without a word"


def close_stale_runs(client: MlflowClient) -> list[str]:
    """End runs whose process is no more: kill -9, memory that ran out, a power cut.

    Looked at are runs of every experiment that are RUNNING and whose tag `process` names this machine. Left
    as they are: those without the tag, as `mlflow run` opens them; those of other machines and of other
    containers, whose processes cannot be seen. Several processes may do this at once: they write the same.

    Parameters
    ----------
    client : MlflowClient
        Of the store.

    Returns
    -------
    list of str
        Ids of the runs that were ended: killed, or as their tag `state` says where it was told in time.
    """
    wanted = f"attributes.status = 'RUNNING' and tags.process LIKE '{platform.node()} %'"
    stale = [run for run in every_run(client, wanted) if is_dead(run.data.tags["process"])]
    for run in stale:
        _close(client, run.info.run_id, run.data.tags.get("state", "running"))
    return [run.info.run_id for run in stale]


def _close(client: MlflowClient, run_id: str, state: str) -> None:
    """End a run; its status comes last, since a run that is not RUNNING is not found again."""
    if state not in STATUS:
        client.set_tag(run_id, "state", "killed")
        client.set_tag(run_id, "reason", REASON)
    client.set_terminated(run_id, STATUS.get(state, "KILLED"))
