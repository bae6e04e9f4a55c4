"""Runs: open and close them, log into them, read them."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.studies.processes import own_name, unbroken
from glacier_ml.studies.tracking.stale import close_stale_runs

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from numpy.typing import NDArray

    from glacier_ml.learning.classifier import NetworkClassifier

# Before anything imports mlflow: it reports every database table and every file of a model otherwise.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a trial, with a server

EXPERIMENT = "glacier_ml"
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100  # MLflow's limits
QUICK_PNG = {"compress_level": 1}  # a third of the usual time, files larger by a tenth
# Of trials that did not complete: greys, of which MLflow gives other runs none.
COLOURS = {"pruned": "#A8A8A8", "failed": "#DCDCDC", "killed": "#DCDCDC"}
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # such as bold-crane-481


@contextmanager
def start_run(
    name: str, kind: str, parent: str | None = None, tags: Mapping[str, object] | None = None
) -> Iterator[str]:
    """Track what happens in the block as one run.

    The first run takes over the one that `mlflow run` has opened. Others are opened under `parent`, else
    under the active run, else at the top of the experiment (glacier_ml, or what MLFLOW_EXPERIMENT_NAME says).

    The tag `state` is 'running', at the end 'complete', 'failed' (with the tag `reason`) or 'killed', unless
    the block has set another, as 'pruned'; the tag `process` names the process. The first run closes those
    that dead processes have left open.

    Parameters
    ----------
    name : str
        Such as 'trial-007'.
    kind : str
        Becomes the tag `kind`: 'study', 'trial', 'comparison' ...
    parent : str, optional
        Id of the run to open it under, also one of another process.
    tags : mapping, optional
        More tags.

    Yields
    ------
    str
        The run's id.
    """
    with unbroken():  # an exception amid a transaction would leave the database locked
        run_id = _open_run(name, parent, {"kind": kind, "state": "running", **(tags or {})})
    try:
        yield run_id
    except BaseException as error:
        state = "failed" if isinstance(error, Exception) else "killed"
        told = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        with suppress(Exception):  # a store that is away hears nothing; the block's own error says more
            _close_run(run_id, state, told[:500])
        raise
    _close_run(run_id, "complete")


def _open_run(name: str, parent: str | None, tags: Mapping[str, object]) -> str:
    from mlflow.tracking.context.registry import resolve_tags

    mlflow = _mlflow()
    plain = {key: str(value) for key, value in tags.items()} | {"process": own_name()}
    active = mlflow.active_run()
    if active is None and parent is None:
        close_stale_runs(client(), STATUS)
    given = os.environ.pop("MLFLOW_RUN_ID", None)  # else mlflow would take it for the next child
    if given and active is None and parent is None:
        mlflow.start_run(run_id=given, run_name=_name_of_given(given, name), tags=plain)
        return given
    above = parent or (active.info.run_id if active else None)
    if above:
        plain["mlflow.parentRunId"] = above
    # mlflow.start_run opens children of the active run alone; a worker's trials belong to another's study.
    experiment = client().get_run(above).info.experiment_id if above else experiment_id()
    made = client().create_run(experiment, tags=resolve_tags(plain), run_name=name)
    mlflow.start_run(run_id=made.info.run_id, nested=True)
    return made.info.run_id


def _name_of_given(run_id: str, name: str) -> str:
    """Check the run that `mlflow run` opened, and keep the name that the user gave it."""
    info = client().get_run(run_id).info
    if info.artifact_uri.startswith("mlflow-artifacts:") and not tracking_uri().startswith("http"):
        raise GlacierError(
            f"run {run_id}: its experiment keeps artifacts on a server, and none is the tracking address; "
            f"name another experiment: mlflow run --experiment-name {EXPERIMENT} ..."
        )
    return name if GENERATED_NAME.fullmatch(info.run_name or "") else info.run_name or name


def _close_run(run_id: str, state: str, reason: str | None = None) -> None:
    """End the run; a state that the block has set stays, so that a pruned trial's exception is no failure."""
    from mlflow.entities import RunTag

    with unbroken():
        run = client().get_run(run_id)
        told = run.data.tags
        settled = told["state"] if told.get("state") in STATUS else state
        tags = end_marks(run, settled)
        if told.get("state") == "running":
            tags |= {"state": state} | ({"reason": reason} if reason else {})
        if tags:
            client().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        _mlflow().end_run(STATUS[settled])


def end_marks(run: Run, state: str) -> dict[str, str]:
    """Tags of a trial that did not complete: MLflow's charts show a run's name and colour, and no others."""
    if run.data.tags.get("kind") != "trial" or state not in COLOURS:
        return {}
    return {"mlflow.runName": f"{run.info.run_name} {state}", "mlflow.runColor": COLOURS[state]}


def active_run_id() -> str:
    """Id of the active run; RuntimeError where there is none (MLflow itself would open a nameless one)."""
    run = _mlflow().active_run()
    if run is None:
        raise RuntimeError("no run is active: log inside `with start_run(...)`")
    return run.info.run_id


def run_exists(run_id: str) -> bool:
    """Say whether there is such a run that nobody has deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return client().get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise  # a store that is away says nothing about the run
        return False


def experiment_id() -> str:
    """Find or make the experiment for new runs: glacier_ml, unless the environment names another."""
    if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return chosen
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client().get_experiment_by_name(name)
    if found is None:
        try:
            return client().create_experiment(name)
        except MlflowException:  # another process was quicker
            found = client().get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise GlacierError(
            f"experiment {name}: it was deleted; restore it with "
            f"`mlflow experiments restore -x {found.experiment_id}` or name another in MLFLOW_EXPERIMENT_NAME"
        )
    return found.experiment_id


def client() -> MlflowClient:
    """MLflow's client for the tracking address in force."""
    return _mlflow().MlflowClient()


def tracking_uri() -> str:
    """Where runs are kept: mlflow.db in the working folder unless MLFLOW_TRACKING_URI says otherwise."""
    return _mlflow().get_tracking_uri()


def _mlflow() -> Any:
    import mlflow

    return mlflow


def log_params(parameters: Mapping[str, object]) -> None:
    """Log parameters of the active run: nested mappings become 'outer.inner', floats four digits.

    MLflow never changes a parameter. Where `mlflow run` has logged one with another value, the new value is
    logged as '<name>_used'.
    """
    from mlflow.entities import Param

    present = client().get_run(active_run_id()).data.params
    params = []
    for key, value in flatten(parameters).items():
        key = f"{key}_used" if present.get(key, value) != value else key
        if key not in present:
            params.append(Param(key, value))
    for start in range(0, len(params), PARAMS_A_BATCH):
        client().log_batch(active_run_id(), params=params[start : start + PARAMS_A_BATCH])


def flatten(parameters: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Make short flat text of parameters.

    Examples
    --------
    >>> flatten({"rate": 0.00123456789, "unet": {"filters": [8, 16], "batch_norm": True}})
    {'rate': '0.001235', 'unet.filters': '[8, 16]', 'unet.batch_norm': 'True'}
    """
    flat: dict[str, str] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = f"{value:.4g}" if isinstance(value, float) else str(value)
    return flat


def log_epochs(epochs: Sequence[Mapping[str, float]], first: int = 0) -> None:
    """Log metrics by epoch in one go.

    Parameters
    ----------
    epochs : sequence of mapping
        One mapping an epoch: `[{'train/loss': .7, 'val/iou': .4}, {'train/loss': .5, 'val/iou': .6}]`.
    first : int
        Number of the first epoch.
    """
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000  # [ms]
    metrics = [
        Metric(key, float(value), now, epoch)
        for epoch, values in enumerate(epochs, first)
        for key, value in values.items()
    ]
    for start in range(0, len(metrics), METRICS_A_BATCH):
        client().log_batch(active_run_id(), metrics=metrics[start : start + METRICS_A_BATCH])


def log_metrics(metrics: Mapping[str, float], model: str | None = None) -> None:
    """Log single values, such as `{'best/iou': .81}`, of the active run and of a logged model if given."""
    _mlflow().log_metrics(dict(metrics), run_id=active_run_id(), model_id=model)


def set_tags(tags: Mapping[str, object]) -> None:
    """Set tags of the active run."""
    from mlflow.entities import RunTag

    client().log_batch(active_run_id(), tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_figure(figure: Any, path: str) -> None:
    """Log a matplotlib figure ('curve.png') or a plotly one ('importance.html', readable offline)."""
    options: dict[str, Any] | None = None
    if hasattr(figure, "to_html") and path.endswith(".html"):
        options = {"include_plotlyjs": True}
    elif hasattr(figure, "savefig") and path.endswith(".png"):
        options = {"pil_kwargs": QUICK_PNG}
    client().log_figure(active_run_id(), figure, path, save_kwargs=options)


def log_images(images: Mapping[str, NDArray[np.uint8]]) -> None:
    """Log pictures, uint8 (rows, columns, 3), by keys that are the same in runs to be compared.

    MLflow's page of several runs shows pictures of one key side by side.
    """
    for key, image in images.items():
        client().log_image(active_run_id(), image, key=key, step=0)


def log_text(text: str, path: str) -> None:
    """Log text as a file of the active run."""
    client().log_text(active_run_id(), text, path)


def log_dict(values: Mapping[str, Any], path: str) -> None:
    """Log plain values, exactly, as a JSON file of the active run; `logged_dict` reads it back."""
    log_text(json.dumps(values, indent=2, allow_nan=False) + "\n", path)


def log_files(source: Path, folder: str | None = None) -> None:
    """Log a file, or all that a folder holds, into the active run's artifacts."""
    log = client().log_artifacts if source.is_dir() else client().log_artifact
    log(active_run_id(), str(source), folder)


def tag_run(run_id: str, tags: Mapping[str, object]) -> None:
    """Set tags of any run."""
    for key, value in tags.items():
        client().set_tag(run_id, key, str(value))


def run_tags(run_id: str) -> dict[str, str]:
    """Read the tags of a run."""
    return dict(client().get_run(run_id).data.tags)


def run_parameters(run_id: str) -> dict[str, str]:
    """Read the logged parameters of a run; GlacierError where there is no such run."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(client().get_run(run_id).data.params)
    except MlflowException as error:
        raise GlacierError(
            f"run {run_id}: not in {tracking_uri()}; take an id from `mlflow ui`, run where mlflow.db lies"
        ) from error


def logged_dict(run_id: str, path: str) -> dict[str, Any]:
    """Read what `log_dict` wrote; GlacierError where the run or the file is missing."""
    import mlflow
    from mlflow.exceptions import MlflowException

    run_parameters(run_id)
    try:
        return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
    except (MlflowException, OSError) as error:
        raise GlacierError(f"run {run_id}: has no {path}; name a run of another kind") from error


def log_classifier(classifier: NetworkClassifier) -> None:
    """Save a classifier into the active run, for `run_classifier`."""
    with tempfile.TemporaryDirectory() as folder:
        classifier.save(Path(folder))
        log_files(Path(folder), "classifier")


def run_classifier(run_id: str) -> NetworkClassifier | None:
    """Load what `log_classifier` saved, None where the run holds none."""
    from glacier_ml.learning.classifier import NetworkClassifier

    run_parameters(run_id)
    if not client().list_artifacts(run_id, "classifier"):
        return None
    return NetworkClassifier.load(Path(client().download_artifacts(run_id, "classifier")))
