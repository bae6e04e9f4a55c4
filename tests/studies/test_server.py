"""A tracking server as people run one: what MLflow's pages ask it for is there."""

import json
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest
from tiny_studies import tiny_training

from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.views import VIEW_TAG


def asked(address, **sent):
    """What the server answers, to a POST where something is sent."""
    body = json.dumps(sent).encode() if sent else None
    with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=60) as answer:
        return answer.read()


@pytest.fixture
def server(store, monkeypatch):
    """Address of a server whose database and artifacts lie in the working folder; runs go to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # free a moment ago
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(
        command, cwd=store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(240):
            try:
                asked(f"{address}/health")
                break
            except URLError:
                time.sleep(0.5)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield address
        process.terminate()


@pytest.mark.thorough
def test_a_server_gives_what_the_view_asks_for(server):
    data = tiny_training()
    with tracking.start_run("made-1", "study") as study:
        for number, iou in enumerate((0.5, 0.7)):
            with tracking.start_run(f"trial-{number:03d}", "trial", tags={"study": "made-1"}):
                tracking.log_metrics({"best/iou": iou})
                tracking.log_scenes(data.scenes, "training", data.catalog.source, data.digest, each=False)
                tracking.log_images({"maps/early": np.full((40, 30, 3), 9, np.uint8)})
        state = tracking.study_view("tags.`study` = 'made-1'", "best/iou", {"nodes": "nodes"}, ["early"])
        link = tracking.save_view(study, "made-1", state)
    assert link.startswith(f"{server}/#/experiments/")
    experiment, api = link.split("/experiments/")[1].split("/")[0], f"{server}/ajax-api/2.0/mlflow"
    found = json.loads(asked(f"{api}/experiments/get?experiment_id={experiment}"))["experiment"]
    assert VIEW_TAG + "made-1" in {tag["key"] for tag in found["tags"]}
    order = [f"{state['orderByKey']} DESC"]
    search = {"experiment_ids": [experiment], "filter": state["searchFilter"], "order_by": order}
    runs = json.loads(asked(f"{api}/runs/search", **search))["runs"]
    assert [run["info"]["run_name"] for run in runs] == ["trial-001", "trial-000"]
    for run in runs:
        dataset = run["inputs"]["dataset_inputs"][0]["dataset"]
        assert (dataset["name"], dataset["digest"]) == ("early, fjord", data.digest[:12])
        run_id = run["info"]["run_id"]
        listed = json.loads(asked(f"{api}/artifacts/list?{urlencode({'run_id': run_id, 'path': 'images'})}"))
        (picture,) = [one["path"] for one in listed["files"] if one["path"].endswith(".png")]
        assert picture.startswith("images/maps~early+step+0+")
        wanted = urlencode({"path": picture, "run_uuid": run_id})
        assert asked(f"{server}/get-artifact?{wanted}")[:4] == b"\x89PNG"
