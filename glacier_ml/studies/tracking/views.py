"""Pages of MLflow's UI that show a study: saved views, which say what is plotted, and links to them.

A view is a tag of the experiment, the JSON that MLflow's own menu 'Views' writes. Without one a page shows
some thirty metrics in the order of the alphabet, and neither maps nor parameters.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from glacier_ml.studies.tracking.runs import client, tracking_uri

VIEW_TAG = "mlflow.sharedViewState."
COMPRESSED = "deflate;"
SHOWN_SCENES = 5  # whose scores and maps a view has; of all others MLflow's menu offers them
ROWS_SHOWN = 3  # of maps, without scrolling
# Folded away below the plots of a view: what MLflow would else put above them or between.
FOLDED = ("best", "train", "val", "score", "area_km2", "Model metrics", "System metrics")


def study_view(
    trials: str, objective: str, searched: Mapping[str, str], scenes: Sequence[str]
) -> dict[str, Any]:
    """What a view of trials shows: ranked bars, overlaid curves, maps, parallel coordinates.

    Parameters
    ----------
    trials : str
        Which ones, in MLflow's words: "tags.`study` = '...'".
    objective : str
        Metric that ranks, such as 'best/iou'.
    searched : mapping of str to str
        Searched parameters, and the name of each one's axis: that of its logarithm where that is searched.
    scenes : sequence of str
        Names of the scenes that the trials map.
    """
    shown = list(scenes)[:SHOWN_SCENES]
    by_scene = [f"{objective}_{scene}" for scene in shown if len(scenes) > 1]
    plots = {
        "Ranking": [_bars(metric) for metric in (objective, *by_scene)],
        "Curves": [_curves(metric) for metric in ("val/iou", "val/loss", "train/loss")],
        "Maps": [_maps([map_key(scene) for scene in shown])],
        "Parameters": [_coordinates(list(searched.values()), "val/iou")],
    }
    heights = {"Maps": 120 + 270 * min(len(shown), ROWS_SHOWN), "Parameters": 460}  # [px]
    tags = (f"tags.`{tag}`" for tag in ("study", "state", "reason"))
    return {
        "searchFilter": f"tags.`kind` = 'trial' and {trials}",
        "orderByKey": f"metrics.`{objective}`",
        "orderByAsc": False,
        "selectedColumns": [*tags, f"metrics.`{objective}`", *(f"params.`{name}`" for name in searched)],
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,  # else sections stand in the order of the alphabet
        "compareRunCharts": _placed(plots),
        "compareRunSections": [
            _section(name, name in plots, heights.get(name)) for name in (*plots, *FOLDED)
        ],
    }


def _placed(plots: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Plots, each with its section and an id of its own."""
    return [
        {"uuid": f"{section}-{number}", "metricSectionId": section, "deleted": False} | plot
        for section, several in plots.items()
        for number, plot in enumerate(several)
    ]


def _section(name: str, unfolded: bool, height: int | None = None) -> dict[str, Any]:
    """Part of a page; one plot across it where its height is given."""
    about = {"uuid": name, "name": name, "display": unfolded, "isReordered": True, "deleted": False}
    return about | ({"columns": 1, "cardHeight": height} if height else {})


def map_key(scene: str) -> str:
    """Key of the images that map a scene, the same in every run; MLflow takes few characters.

    Examples
    --------
    >>> map_key("fjord (1)")
    'maps/fjord _1_'
    """
    return "maps/" + "".join(
        one if one.isascii() and (one.isalnum() or one in "_-. ") else "_" for one in scene
    )


def _bars(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "runsCountToCompare": 20}


def _curves(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "runsCountToCompare": 20,
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "range": {},
    }


def _maps(keys: list[str]) -> dict[str, Any]:
    return {"type": "IMAGE", "imageKeys": keys, "step": 0, "showRunParams": False}


def _coordinates(parameters: list[str], metric: str) -> dict[str, Any]:
    """Lines of all trials with the metric: pruned ones have its last value, failed ones mostly none."""
    return {
        "type": "PARALLEL",
        "selectedParams": parameters,
        "selectedMetrics": [metric],
        "showAllRuns": True,
    }


def save_view(run_id: str, name: str, state: Mapping[str, Any]) -> str:
    """Write a view, see `study_view`, into the experiment of a run; gives its address.

    MLflow's menu 'Views' lists it. One with its name is replaced.
    """
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode())
    now = time.time_ns() // 1_000_000  # [ms]
    told = {"name": name, "createdAt": now, "updatedAt": now}
    content = json.dumps(told | {"state": COMPRESSED + base64.b64encode(packed).decode()})
    client().set_experiment_tag(_experiment(run_id), VIEW_TAG + name, content)
    return f"{_server()}/{view_page(run_id, name)}"


def view_page(run_id: str, name: str) -> str:
    """Where a saved view is among MLflow's pages, to be linked from another of them."""
    query = {"workflowType": "machine_learning", "compareRunsMode": "CHART", "viewStateShareKey": name}
    return f"{runs_page(run_id)}?{urlencode(query, quote_via=quote)}"


def runs_page(run_id: str) -> str:
    """Where the runs of a run's experiment are among MLflow's pages; a run is at <this>/<its id>."""
    return f"#/experiments/{_experiment(run_id)}/runs"


def _experiment(run_id: str) -> str:
    return str(client().get_run(run_id).info.experiment_id)


def _server() -> str:
    """Where MLflow's pages are: at the tracking server, or where a bare `mlflow ui` will have them."""
    uri = tracking_uri()
    return uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
