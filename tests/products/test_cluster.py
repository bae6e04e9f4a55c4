"""Scenes on a real Dask cluster: the same maps, one model a worker, and workers that die."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import rasterio
from made_networks import ffnn, unet, untrained
from tiny_studies import write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.learning.rules import NdsiClassifier
from glacier_ml.products import cluster
from glacier_ml.products.batch import map_scenes
from glacier_ml.products.cluster import check_scheduler, packed
from glacier_ml.products.mapping import MapOptions
from glacier_ml.scenes.catalog import open_catalog

PLAIN = MapOptions(picture=False)


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Four scenes as they lie on disk."""
    return open_catalog(write_catalog(tmp_path_factory.mktemp("scenes"), ("unseen",) * 4)).entries


@pytest.fixture(scope="module")
def workers():
    """A cluster of two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0"
    ) as made:
        yield made


def rasters(folder):
    """Every raster's values and tags but those that differ from run to run."""
    found = {}
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as raster:
            found[path.name] = raster.read(), raster.tags()
    return found


def assert_equal_maps(first, second):
    assert list(first) == list(second) and first
    for name, (values, tags) in first.items():
        np.testing.assert_allclose(values, second[name][0], atol=1e-6, equal_nan=True, err_msg=name)
        assert tags == second[name][1]


def killing(folder, workers, moment):
    """Kill a worker process as soon as `moment(folder)` is true; gives the thread and who is dead."""
    dead = []

    def wait_and_kill():
        while not moment(folder):
            time.sleep(0.005)
        victim = list(workers.workers.values())[0].process.process.pid
        os.kill(victim, signal.SIGKILL)
        dead.append(victim)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread, dead


def has_begun(folder):
    """Whether some scene is being mapped."""
    return folder.is_dir() and any(folder.glob(".partial-*/*"))


def has_finished_one(folder):
    """Whether a scene is finished and another begun."""
    return has_begun(folder) and any(folder.glob("*_map.json"))


@pytest.mark.parametrize("moment", [has_begun, has_finished_one])
def test_a_worker_killed_in_the_middle_loses_nothing(entries, workers, tmp_path, moment):
    network = untrained(unet())
    alone = map_scenes(network, entries, tmp_path / "alone", {"model": "it"}, PLAIN)
    thread, dead = killing(tmp_path / "together", workers, moment)
    together = map_scenes(
        network, entries, tmp_path / "together", {"model": "it"}, PLAIN, workers.scheduler_address
    )
    thread.join(120)
    assert dead and list(together) == [entry.name for entry in entries]
    assert_equal_maps(rasters(tmp_path / "alone"), rasters(tmp_path / "together"))
    areas = {name: mapped.files.area_km2 for name, mapped in together.items()}
    assert areas == pytest.approx({name: mapped.files.area_km2 for name, mapped in alone.items()})
    assert not list((tmp_path / "together").glob(".partial-*"))
    assert len(list((tmp_path / "together").glob("*_map.json"))) == 4


def test_every_worker_loads_the_model_once(entries, workers, tmp_path):
    from distributed import Client

    network = untrained(ffnn())
    with Client(workers) as client:
        client.run(cluster._loaded.clear)
        map_scenes(network, entries, tmp_path, options=PLAIN, scheduler=workers.scheduler_address)
        loads = client.run(cluster.loads)
        assert set(client.run(os.getpid).values()).isdisjoint({os.getpid()})
    assert loads and all(count.get(network.digest, 0) <= 1 for count in loads.values())
    assert sum(count.get(network.digest, 0) for count in loads.values()) >= 1


def test_two_batches_of_one_model_do_not_hinder_each_other(entries, workers, tmp_path):
    network = untrained(ffnn())
    results = {}

    def run(name):
        address = workers.scheduler_address
        results[name] = map_scenes(network, entries, tmp_path / name, options=PLAIN, scheduler=address)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert {name: list(maps) for name, maps in results.items()} == {
        name: [entry.name for entry in entries] for name in ("first", "second")
    }


def test_a_scheduler_without_workers_is_told(entries, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "WAIT_S", 0.5)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        with pytest.raises(GlacierError, match=r"has no worker after 0.5 s; start some with 'dask worker"):
            map_scenes(NdsiClassifier(), entries, tmp_path, scheduler=empty.scheduler_address)


def test_a_script_that_guards_no_main_is_told(entries, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from glacier_ml.learning.rules import NdsiClassifier\nimport glacier_ml\n"
        f"glacier_ml.map_scenes(NdsiClassifier(), {str(entries[0].path)!r}, 'maps', scheduler='local')\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": root},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "call map_scenes below if __name__ == '__main__':" in done.stderr


def test_the_local_cluster_of_the_command_maps_the_same(entries, tmp_path):
    # A rule: its workers need no TensorFlow.
    map_scenes(NdsiClassifier(), entries, tmp_path / "alone", options=PLAIN)
    map_scenes(NdsiClassifier(), entries, tmp_path / "local", options=PLAIN, scheduler="local")
    assert_equal_maps(rasters(tmp_path / "alone"), rasters(tmp_path / "local"))


def test_a_scene_that_fails_on_a_worker_is_told_in_one_line(workers, tmp_path):
    entries = open_catalog(write_catalog(tmp_path / "scenes", ("unseen",) * 2)).entries
    damaged = tmp_path / "scenes/early/green.tif"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1000] + bytes(4000) + whole[5000:])
    with pytest.raises(GlacierError, match=r"^1 of 2 scenes not mapped \(early; .*green.*cannot be read"):
        map_scenes(NdsiClassifier(), entries, tmp_path / "maps", scheduler=workers.scheduler_address)
    assert (tmp_path / "maps/fjord_map.json").is_file()


def test_a_model_travels_whole():
    scene_network = untrained(unet()).calibrated(0.3, 1.7)
    ensemble = Ensemble((scene_network, untrained(ffnn())))
    for classifier in (scene_network, ensemble):
        opened = packed(classifier).open()
        assert opened.digest == classifier.digest and opened.threshold == classifier.threshold
    rule = NdsiClassifier(ndsi=0.5)
    assert packed(rule).open() == rule


@pytest.mark.parametrize("scheduler", ["dask", "tcp://", "10.0.0.1:8786", "http://host:1", "tls://host:1"])
def test_what_is_no_scheduler_is_refused(scheduler):
    with pytest.raises(GlacierError, match="scheduler: .* is neither 'local' nor an address such as tcp"):
        check_scheduler(scheduler)


def test_addresses_of_schedulers_are_taken():
    for address in ("tcp://host:8786", "tcp://10.0.0.1:8786/", "tcp://[::1]:8786"):
        check_scheduler(address)


def test_without_dask_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(GlacierError, match=r"Dask is not installed; pip install 'glacier_ml\[dask\]'"):
        check_scheduler("local")
    check_scheduler(None)


def test_a_scheduler_that_does_not_answer_is_told(entries, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_S", 0.2)
    with pytest.raises(GlacierError, match=r"scheduler: none answers at tcp://127.0.0.1:9 within"):
        map_scenes(NdsiClassifier(), entries, tmp_path / "maps", scheduler="tcp://127.0.0.1:9")
    assert "distributed" in sys.modules and not (tmp_path / "maps").exists()
