"""What storages of studies cost: trials a second of processes that train nothing, and connections held.

Every trial asks, tells its process, reports three epochs, settles the dead and tells its value, as a study's
do. Of each storage the ratio to SQLite, by as many processes in the same run, counts, not the seconds.

    python -m benchmarks.storages [--postgresql postgresql://user@host/database] [--workers 4] [--trials 40]
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import tempfile
import time
import uuid
from pathlib import Path

import optuna

from benchmarks.tables import Table, run
from glacier_ml.studies.liveness import settle
from glacier_ml.studies.processes import own_name
from glacier_ml.studies.storages import open_storage, serve_proxy

EPOCHS = 3


def run_trials(url: str, name: str, trials: int, ready: object) -> None:
    """Run trials of one process."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=open_storage(url))
    ready.wait()  # type: ignore[attr-defined]
    for _ in range(trials):
        settle(study)
        trial = study.ask()
        trial.set_user_attr("process", own_name())
        value = trial.suggest_float("rate", 1e-4, 1.0, log=True)
        for epoch in range(EPOCHS):
            trial.report(value * epoch, epoch)
            trial.should_prune()
        study.tell(trial, value)


def seconds_of(url: str, workers: int, trials: int) -> tuple[float, int]:
    """Seconds that the processes take together, and the most connections to a PostgreSQL meanwhile."""
    name = uuid.uuid4().hex
    sampler = optuna.samplers.RandomSampler(seed=0)
    optuna.create_study(study_name=name, storage=open_storage(url), sampler=sampler, direction="maximize")
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers + 1)
    processes = [context.Process(target=run_trials, args=(url, name, trials, ready)) for _ in range(workers)]
    for process in processes:
        process.start()
    ready.wait()
    begun, most = time.perf_counter(), 0
    while any(process.is_alive() for process in processes):
        most = max(most, connections())
        time.sleep(0.05)
    assert all(process.exitcode == 0 for process in processes), "a process has failed"
    return time.perf_counter() - begun, most


SERVER: list[str] = []


def connections() -> int:
    """How many connections the benchmark's database has, this look apart."""
    if not SERVER:
        return 0
    import psycopg

    with psycopg.connect(SERVER[0]) as connection:
        told = "select count(*) - 1 from pg_stat_activity where datname = current_database()"
        row = connection.execute(told).fetchone()
    return int(row[0]) if row else 0


def server_urls(database: str) -> tuple[dict[str, str], multiprocessing.process.BaseProcess]:
    """Storages on a database server, and the process of the proxy before it."""
    SERVER.append(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (database, "127.0.0.1", port)
    proxy = multiprocessing.get_context("spawn").Process(target=serve_proxy, args=arguments)
    proxy.start()
    return {"PostgreSQL": database, "proxy before it": f"grpc://127.0.0.1:{port}"}, proxy


def measure(options: argparse.Namespace) -> Table:
    """Let as many processes work on each storage."""
    table, proxy = Table(notes=[f"{options.workers} processes, {options.trials} trials each"]), None
    with tempfile.TemporaryDirectory() as folder:
        urls = {"SQLite": f"sqlite:///{folder}/optuna.db", "journal": f"journal:{Path(folder) / 'study.log'}"}
        if options.postgresql:
            servers, proxy = server_urls(options.postgresql)
            urls |= servers
        peer = 0.0
        for title, url in urls.items():
            seconds, most = seconds_of(url, options.workers, options.trials)
            rate = options.workers * options.trials / seconds
            table.rows.append({"storage": title, "trials/s": rate, "connections": most})
            if peer:
                table.ratio(f"{title} over SQLite", peer / seconds)
            peer = peer or seconds
        if proxy:
            proxy.terminate()
            proxy.join()
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--postgresql", help="database to use; studies are added to it")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--trials", type=int, default=40, help="of each process")


if __name__ == "__main__":
    run(measure, __doc__, more)
