"""All that talks to MLflow: runs and what they hold, registered models. MLflow is imported inside functions.

MLflow's own defaults are kept: `mlflow.db` in the working folder, artifacts under `mlruns/`; `mlflow ui`
without arguments shows what was tracked.
"""

from glacier_ml.studies.tracking.classifiers import kept_classifiers, mark_classifier, remove_classifier
from glacier_ml.studies.tracking.datasets import log_scenes
from glacier_ml.studies.tracking.endings import complete_run, end_run
from glacier_ml.studies.tracking.environment import environment_tags
from glacier_ml.studies.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    describe_model,
    load_classifier,
    model_version,
    move_alias,
    register_model,
    version_of,
)
from glacier_ml.studies.tracking.runs import (
    active_run_id,
    log_classifier,
    log_dict,
    log_epochs,
    log_figure,
    log_files,
    log_images,
    log_metrics,
    log_params,
    log_text,
    logged_dict,
    run_classifier,
    run_exists,
    run_parameters,
    run_tags,
    set_tags,
    start_run,
    tag_run,
)
from glacier_ml.studies.tracking.search import finished_run, run_history, run_metrics, run_with
from glacier_ml.studies.tracking.views import map_key, runs_page, save_view, study_view, view_page

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "active_run_id",
    "complete_run",
    "end_run",
    "describe_model",
    "environment_tags",
    "finished_run",
    "kept_classifiers",
    "load_classifier",
    "log_classifier",
    "log_dict",
    "log_epochs",
    "log_figure",
    "log_files",
    "log_images",
    "log_metrics",
    "log_params",
    "log_scenes",
    "log_text",
    "logged_dict",
    "map_key",
    "mark_classifier",
    "model_version",
    "move_alias",
    "register_model",
    "remove_classifier",
    "run_classifier",
    "run_exists",
    "run_history",
    "run_metrics",
    "runs_page",
    "run_parameters",
    "run_tags",
    "run_with",
    "save_view",
    "set_tags",
    "start_run",
    "study_view",
    "tag_run",
    "version_of",
    "view_page",
]
