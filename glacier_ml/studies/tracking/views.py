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
    few = list(scenes)[:SHOWN_SCENES] if len(scenes) > 1 else []
    bars = [objective, *(f"{objective}_{scene}" for scene in few)]
    curves = ["val/iou", "val/loss", "train/loss"]
    sections = {
        "Ranking": [_bars(metric) for metric in bars],
        "Curves": [_curves(metric) for metric in curves],
        "Maps": [_maps([map_key(scene) for scene in list(scenes)[:SHOWN_SCENES]])],
        "Parameters": [_coordinates(list(searched.values()), "val/iou")],
    }
    rows = min(len(scenes), ROWS_SHOWN)
    layout = {
        "Maps": {"columns": 1, "cardHeight": 140 + 290 * rows},  # [px]
        "Parameters": {"columns": 1, "cardHeight": 460},
    }
    columns = [
        *(f"tags.`{tag}`" for tag in ("study", "state", "reason")),
        f"metrics.`{objective}`",
        *(f"params.`{name}`" for name in searched),
    ]
    return {
        "searchFilter": f"tags.`kind` = 'trial' and {trials}",
        "orderByKey": f"metrics.`{objective}`",
        "orderByAsc": False,
        "selectedColumns": columns,
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,  # else sections stand in the order of the alphabet
        "compareRunCharts": [
            {"uuid": f"{name}-{number}", "metricSectionId": name, "deleted": False} | card
            for name, cards in sections.items()
            for number, card in enumerate(cards)
        ],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": name in sections, "isReordered": True, "deleted": False}
            | {"isGenerated": False}
            | layout.get(name, {})
            for name in (*sections, *FOLDED)
        ],
    }


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
    return {"type": "BAR", "metricKey": metric, "displayName": metric, "runsCountToCompare": 20}


def _curves(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayName": f"{metric} by epoch",
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
    return {"type": "IMAGE", "imageKeys": keys, "step": 0, "showRunParams": False, "displayName": "maps"}


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
