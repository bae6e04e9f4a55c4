"""Scenes on a Dask cluster: the model travels once to every worker, scenes go to whoever is free.

A scene is one task. A worker that dies takes nothing along: what it had finished lies in the folder, and the
scene it was at is given to another one, which begins it anew.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import threading
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.ensembles import Ensemble, ensemble_of
from glacier_ml.products.mapping import Job, MapOptions, hindrance, map_scene
from glacier_ml.products.records import MappedScene
from glacier_ml.scenes.catalog import CatalogEntry

WAIT_S = 15
"""Seconds to wait for a scheduler's answer, and for its first worker. Chosen here."""

WORKER_BYTES = 3e9
"""Memory that a worker may need: see docs/maps.md."""

_ADDRESS = re.compile(r"tcp://(?:\[[0-9a-fA-F:]+\]|[^\s/:]+):\d+/?")

# Of a worker process: the models that were sent to it, by batch, and those that it has loaded, by model.
_sent: dict[str, PackedModel] = {}
_loaded: dict[str, Classifier] = {}
_loads: dict[str, int] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class PackedModel:
    """A classifier as it travels: each network's folder as a zip archive, anything else as it is."""

    key: str
    archives: tuple[bytes, ...]
    other: Classifier | None = None

    def open(self) -> Classifier:
        """Load the classifier."""
        if self.other is not None:
            return self.other
        members = []
        for archive in self.archives:
            with tempfile.TemporaryDirectory() as folder:
                zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
                members.append(NetworkClassifier.load(Path(folder)))
        return ensemble_of(members)


def packed(classifier: Classifier) -> PackedModel:
    """Pack a classifier."""
    if isinstance(classifier, NetworkClassifier):
        return PackedModel(classifier.digest, (_archive(classifier),))
    if isinstance(classifier, Ensemble):
        return PackedModel(classifier.digest, tuple(_archive(one) for one in classifier.members))
    return PackedModel(repr(classifier), (), classifier)


def _archive(network: NetworkClassifier) -> bytes:
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder))
        with zipfile.ZipFile(content, "w") as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    return content.getvalue()


def map_on_cluster(
    job: Job, entries: Sequence[CatalogEntry], scheduler: str
) -> Iterator[tuple[str, MappedScene | GlacierError]]:
    """Map scenes on a cluster, giving each as it is done.

    Parameters
    ----------
    job : Job
        By what, where to, how; the folder is on a disk that all workers see.
    entries : sequence of CatalogEntry
        The scenes.
    scheduler : str
        'local' or an address.

    Yields
    ------
    str, MappedScene or GlacierError
        Name of a scene, and its map or why there is none.

    Raises
    ------
    GlacierError
        Where Dask is not installed, or there is no scheduler at the address.
    """
    with _client(scheduler, len(entries)) as client:
        from distributed import as_completed

        plugin = _plugin(packed(job.classifier))
        client.register_plugin(plugin)
        told = (plugin.name, job.folder.absolute(), job.tags, job.options)
        try:
            futures = {
                client.submit(_map_on_worker, _absolute(entry), *told, pure=False): entry.name
                for entry in entries
            }
            for future in as_completed(list(futures)):
                yield futures[future], _result(future, futures[future])
        finally:
            with suppress(ValueError, OSError, TimeoutError):  # the cluster may be gone
                client.unregister_worker_plugin(plugin.name)


def _absolute(entry: CatalogEntry) -> CatalogEntry:
    """The entry with its path as it is from any folder."""
    return entry if isinstance(entry.path, str) else replace(entry, path=entry.path.absolute())


def _plugin(model: PackedModel) -> Any:
    from distributed import WorkerPlugin

    class SendModel(WorkerPlugin):
        """Hands the model to every worker, also to those that start later in the place of dead ones."""

        name = f"glacier-model-{uuid.uuid4().hex}"  # of this batch: another may send the same model

        def setup(self, worker: Any) -> None:
            receive(self.name, model)

        def teardown(self, worker: Any) -> None:
            forget(self.name)

    return SendModel()


def receive(batch: str, model: PackedModel) -> None:
    """Keep a model that was sent to this process for a batch."""
    with _lock:
        _sent[batch] = model


def forget(batch: str) -> None:
    """Drop a batch's model, and what was loaded of it where no other batch has the same."""
    with _lock:
        model = _sent.pop(batch, None)
        if model and model.key not in {other.key for other in _sent.values()}:
            _loaded.pop(model.key, None)


def _map_on_worker(
    entry: CatalogEntry, batch: str, folder: Path, tags: dict[str, Any], options: MapOptions
) -> MappedScene | GlacierError:
    """Map a scene in a worker process, which loads the model when it is first asked."""
    try:
        return map_scene(Job(_classifier(batch), folder, tags, options), entry)
    except Exception as error:
        hindered = hindrance(error, entry.name)
        if hindered is None:
            raise
        return hindered  # handed over, not raised: Dask would print its traceback


def _classifier(batch: str) -> Classifier:
    with _lock:
        model = _sent[batch]
        if model.key not in _loaded:
            _loaded[model.key] = model.open()
            _loads[model.key] = _loads.get(model.key, 0) + 1
        return _loaded[model.key]


def loads() -> dict[str, int]:
    """How often this process has loaded each model, by the model's key."""
    return dict(_loads)


def _result(future: Any, name: str) -> MappedScene | GlacierError:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        result: MappedScene | GlacierError = future.result()
        return result
    except KilledWorker as error:
        return GlacierError(
            f"{name}: every worker that tried it died ({error.last_worker.address}); give workers more memory"
        )
    except (CancelledError, CommClosedError) as error:
        return GlacierError(
            f"{name}: the scheduler was lost ({type(error).__name__}); start it again, and the same command "
            "maps what is left"
        )


def check_scheduler(scheduler: str | None) -> None:
    """Refuse, before any work, what is no scheduler, and any where Dask is not installed."""
    if not scheduler:
        return
    if scheduler != "local" and not _ADDRESS.fullmatch(scheduler):
        raise GlacierError(
            f"scheduler: {scheduler} is neither 'local' nor an address such as tcp://host:8786; correct it"
        )
    if find_spec("distributed") is None:
        raise GlacierError(
            "scheduler: Dask is not installed; pip install 'glacier_ml[dask]', or leave scheduler out"
        )


@contextmanager
def _client(scheduler: str, scenes: int) -> Iterator[Any]:
    from distributed import Client

    if scheduler == "local":
        with _local_cluster(scenes) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=WAIT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise GlacierError(
            f"scheduler: none answers at {scheduler} within {WAIT_S} s; start one with 'dask scheduler' and "
            "workers with 'dask worker'"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError as error:
            raise GlacierError(
                f"scheduler: {scheduler} has no worker after {WAIT_S} s; start some with "
                f"'dask worker {scheduler} --nthreads 1'"
            ) from error
        yield client


def _local_cluster(scenes: int) -> Any:
    """Worker processes of this machine: as many as scenes, cores and free memory allow."""
    import psutil
    from distributed import LocalCluster

    cores = os.cpu_count() or 1
    roomy = int(psutil.virtual_memory().available / WORKER_BYTES)
    workers = max(1, min(scenes, max(2, cores // 2), roomy))
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(1, cores // workers)), "TF_NUM_INTEROP_THREADS": "1"}
    try:
        # A scene's memory is bounded here, and a worker that Dask ends for its memory has to begin anew.
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            env=threads,
        )
    except RuntimeError as error:
        raise GlacierError(
            f"scheduler: no worker process could be started ({' '.join(str(error).split())}); in a script of "
            "your own call map_scenes below if __name__ == '__main__':"
        ) from error
