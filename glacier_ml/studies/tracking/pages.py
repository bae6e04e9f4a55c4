"""Searches that MLflow answers page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def every_run(client: MlflowClient, wanted: str) -> list[Run]:
    """Find all runs of all experiments, in MLflow's language of filters; deleted ones are not among them."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    if not experiments:  # MLflow would ask for one
        return []
    page = client.search_runs(experiments, wanted)
    runs = list(page)
    while page.token:
        page = client.search_runs(experiments, wanted, page_token=page.token)
        runs += page
    return runs
