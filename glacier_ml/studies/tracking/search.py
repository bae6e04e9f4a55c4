"""Find runs again by what their tags say, so that finished work is not done twice."""

from __future__ import annotations

from collections.abc import Mapping

from glacier_ml.studies.tracking.runs import active_run_id, client


def finished_run(tags: Mapping[str, object], anywhere: bool = False) -> str | None:
    """Find the newest complete run with all these tags, in the active run's experiment.

    Parameters
    ----------
    tags : mapping
        Such as `{"kind": "fold", "fold_key": "5d1c..."}`; a value may hold no quotation mark of both kinds.
    anywhere : bool
        Look in every experiment; no run need be active.

    Returns
    -------
    str or None
        The run's id; None where there is none that ended well and that nobody has deleted.
    """
    if anywhere:
        experiments = [one.experiment_id for one in client().search_experiments()]
    else:
        experiments = [client().get_run(active_run_id()).info.experiment_id]
    wanted = " and ".join(f"tags.`{key}` = {_quoted(str(value))}" for key, value in tags.items())
    found = client().search_runs(
        experiments, f"{wanted} and tags.`state` = 'complete'", max_results=1, order_by=["start_time DESC"]
    )
    return found[0].info.run_id if found else None


def run_with(tags: Mapping[str, object]) -> str:
    """Id of the newest run with all these tags, in any experiment; '' where there is none."""
    experiments = [one.experiment_id for one in client().search_experiments()]
    wanted = " and ".join(f"tags.`{key}` = {_quoted(str(value))}" for key, value in tags.items())
    found = client().search_runs(experiments, wanted, max_results=1, order_by=["start_time DESC"])
    return str(found[0].info.run_id) if found else ""


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def run_history(run_id: str) -> list[dict[str, float]]:
    """Read what `log_epochs` logged: one mapping an epoch, of the metrics `train/...` and `val/...`."""
    epochs: dict[int, dict[str, float]] = {}
    for name in sorted(run_metrics(run_id)):
        if name.startswith(("train/", "val/")):
            for metric in client().get_metric_history(run_id, name):
                epochs.setdefault(metric.step, {})[name] = metric.value
    return [epochs[step] for step in sorted(epochs)]


def run_metrics(run_id: str) -> dict[str, float]:
    """Read the last value of every metric of a run; none where there is no such run."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(client().get_run(run_id).data.metrics)
    except MlflowException:
        return {}
