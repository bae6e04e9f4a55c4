"""A program whose studies can be started again and again at once, to be stopped in every way there is.

`ShortStudies` starts it. Each study is a process of its own, split off from one that has everything imported;
its trials train nothing: an epoch is a moment's sleep, and the value follows from the parameters. All else -
storage, tracked runs, workers - is as in any study.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from tiny_studies import experiment_content, tiny_training

from glacier_ml.errors import GlacierError
from glacier_ml.studies import searching, tracking
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.outages import stop_for
from glacier_ml.studies.processes import stop_when_told, unbroken
from glacier_ml.studies.tuning import tune

EPOCHS = 3
SEARCH = {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "nodes": {"low": 1, "high": 100}}


def short_experiment(**changes):
    """An experiment of two numbers, no trial of which is pruned."""
    chosen = {"search": SEARCH, "parameters": {"epochs": EPOCHS}, "pruner": "none", "startup_trials": 3}
    return Experiment.model_validate(experiment_content("ffnn", **{**chosen, **changes}))


training = cache(tiny_training)


def value_of(parameters):
    """The IoU that a trial ends with."""
    return 1 / (1 + abs(parameters.learning_rate - 0.1) + abs(parameters.nodes - 40) / 40)


def run_short(parameters, data, *, seed, on_epoch, **_):
    """Stand in for a training: as many epochs, tracked alike."""
    with open("begun.txt", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    with unbroken():
        tracking.log_params({"learning_rate": parameters.learning_rate, "nodes": parameters.nodes})
    value = value_of(parameters)
    for epoch in range(parameters.epochs):
        time.sleep(float(os.environ.get("MOMENT", "0")))
        on_epoch(epoch, {"val/iou": value * (epoch + 1) / parameters.epochs})
    with unbroken():
        tracking.log_metrics({"best/iou": value})
        tracking.log_dict({"value": value}, "value.json")
    with open("trained.txt", "a", encoding="utf-8") as file:
        file.write(f"{parameters.learning_rate:.12g} {parameters.nodes}\n")
    return SimpleNamespace(best={"val/iou": value}, classifier=None)


if __name__ in ("__main__", "__mp_main__"):  # the latter in workers, which import this file again
    searching.run_trial = run_short
    tracking.log_classifier = lambda classifier: None


def note_end(result):
    """Stand in for the registration: a line each time."""
    with open("finished.txt", "a", encoding="utf-8") as file:
        file.write(f"{result.number}\n")


def run_study(folder, environment, options):
    """Run or resume the study in a folder; what the command does, less the registration."""
    os.chdir(folder)
    os.environ.update(environment)
    stop_when_told()
    try:
        with tracking.start_run("study", "study"):
            tune(short_experiment(), training(), finish=note_end, **options)
    except Exception as error:
        stop = error if isinstance(error, GlacierError) else stop_for(error, "command")
        if stop is None:
            raise
        print(stop, file=sys.stderr)
        raise SystemExit(2) from None


def split_off(order):
    """Start a study in a process of its own; gives its number."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    status = 1
    try:
        errors = os.open(f"{order['folder']}/errors.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(errors, 1)  # standard output is for what the server says
        os.dup2(errors, 2)
        run_study(**order)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def serve():
    """Start a study for each order read, or wait for a process; tell its number, or how it ended."""
    import mlflow  # noqa: F401
    import optuna  # noqa: F401

    training()
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        else:
            print(split_off(order), flush=True)


class ShortStudies:
    """Starts studies, each in a process of its own, and waits for them."""

    def __init__(self):
        here = Path(__file__).parent
        told = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen([sys.executable, __file__], env=told, text=True, **pipes)
        assert self.server.stdout.readline() == "ready\n"

    def close(self):
        """End the server."""
        self.server.stdin.close()
        self.server.wait(60)
        self.server.stdout.close()

    def _ask(self, order):
        print(json.dumps(order), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def start(self, folder, moment=0.0, environment=None, **options):
        """Start a study in a folder, whose epochs take so long [s]; gives its process id."""
        told = {"MOMENT": str(moment), **(environment or {})}
        return self._ask({"folder": str(folder), "environment": told, "options": options})

    def end(self, pid, number=None):
        """Send a signal, if any, to a study and its workers; gives its exit status."""
        if number is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        return self._ask(pid)

    def run(self, folder, **options):
        """Run a study to its end; gives its exit status."""
        return self.end(self.start(folder, **options))


if __name__ == "__main__":
    serve()
