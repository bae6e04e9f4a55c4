"""Where MLflow's pages show what was tracked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from glacier_ml.studies.tracking.runs import client, tracking_uri


def runs_link(parent: str, metric: str, tags: Mapping[str, str] | None = None) -> str:
    """Address of the page that ranks runs by a metric: bars, curves overlaid, best first.

    Parameters
    ----------
    parent : str
        Id of the run whose children are shown, or those of the run that its tag `study_run` names: a resumed
        study's trials lie under the run that began it.
    metric : str
        Such as 'best/iou'.
    tags : mapping, optional
        Show the runs of the parent's experiment with these tags instead, such as `{'study': ...}`.
    """
    uri = tracking_uri()
    base = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    run = client().get_run(parent)
    wanted = tags or {"mlflow.parentRunId": run.data.tags.get("study_run", parent)}
    query = {
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
        "searchFilter": " and ".join(f"tags.`{key}` = '{value}'" for key, value in wanted.items()),
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": "false",
    }
    return f"{base}/#/experiments/{run.info.experiment_id}/runs?{urlencode(query, quote_via=quote)}"
