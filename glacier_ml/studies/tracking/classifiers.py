"""The networks that a study's runs hold: which are there, and how one is removed."""

from __future__ import annotations

from glacier_ml.studies.tracking.pages import every_run
from glacier_ml.studies.tracking.runs import client, tag_run

FOLDER = "classifier"  # of a run's artifacts, and the tag that says what became of it


def mark_classifier(run_id: str, state: str) -> None:
    """Say in the tag `classifier` of a run whether its network is 'kept' or 'removed'."""
    tag_run(run_id, {FOLDER: state})


def kept_classifiers(study: str) -> dict[str, dict[str, str]]:
    """Find the runs of a study whose network is marked as kept.

    Returns
    -------
    dict
        Run id to tags.
    """
    wanted = f"tags.study = '{study}' and tags.{FOLDER} = 'kept'"
    return {run.info.run_id: dict(run.data.tags) for run in every_run(client(), wanted)}


def remove_classifier(run_id: str) -> None:
    """Delete the network that a run holds, on a server too, and mark it so; one that is gone is no error."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if client().list_artifacts(run_id, FOLDER):
        get_artifact_repository(client().get_run(run_id).info.artifact_uri).delete_artifacts(FOLDER)
    mark_classifier(run_id, "removed")
