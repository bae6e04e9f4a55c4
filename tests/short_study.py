"""A program whose studies can be started again and again at once, to be stopped in every way there is.

`ShortStudies` starts it. Each study is a process of its own, split off from one that has everything imported;
its trials train nothing: an epoch is a moment's sleep, and the value follows from the parameters. All else -
storage, tracked runs, workers - is as in any study.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from tiny_studies import experiment_content, tiny_training

from glacier_ml.errors import GlacierError
from glacier_ml.studies import searching, tracking
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.processes import stop_when_told, unbroken
from glacier_ml.studies.tuning import tune

EPOCHS = 3
MOMENT = float(os.environ.get("MOMENT", "0.02"))  # of an epoch [s]
SEARCH = {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "nodes": {"low": 1, "high": 100}}


def short_experiment(**changes):
    """An experiment of two numbers, no trial of which is pruned."""
    chosen = {"search": SEARCH, "parameters": {"epochs": EPOCHS}, "pruner": "none", "startup_trials": 3}
    return Experiment.model_validate(experiment_content("ffnn", **{**chosen, **changes}))


def value_of(parameters):
    """The IoU that a trial ends with."""
    return 1 / (1 + abs(parameters.learning_rate - 0.1) + abs(parameters.nodes - 40) / 40)


def run_short(parameters, data, *, seed, on_epoch, **_):
    """Stand in for a training: as many epochs, tracked alike."""
    with unbroken():
        tracking.log_params({"learning_rate": parameters.learning_rate, "nodes": parameters.nodes})
    value = value_of(parameters)
    for epoch in range(parameters.epochs):
        time.sleep(MOMENT)
        on_epoch(epoch, {"val/iou": value * (epoch + 1) / parameters.epochs})
    with unbroken():
        tracking.log_metrics({"best/iou": value})
    with open("trained.txt", "a", encoding="utf-8") as file:
        file.write(f"{parameters.learning_rate:.12g} {parameters.nodes}\n")
    return SimpleNamespace(best={"val/iou": value}, classifier=None)


# At the top, so that workers, which import this file again, have it too.
searching.run_trial = run_short
tracking.log_classifier = lambda classifier: None


def run_study(options):
    """Run or resume the study in the working folder; what the command does, less the registration."""
    stop_when_told()
    try:
        with tracking.start_run("study", "study"):
            tune(short_experiment(), tiny_training(), **options)
    except GlacierError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def serve():
    """Start a study for each line of options read; tell its process, and how it ended."""
    import mlflow  # noqa: F401
    import optuna  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            status = 1
            try:
                run_study(json.loads(line))
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class ShortStudies:
    """Starts studies in a working folder, one after the other, each in a process of its own."""

    def __init__(self, folder, **environment):
        told = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment}
        command = [sys.executable, __file__]
        self.errors = open(folder / "errors.txt", "a", encoding="utf-8")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.server = subprocess.Popen(command, cwd=folder, env=told, text=True, **pipes)
        assert self.server.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(60)
        self.server.stdout.close()
        self.errors.close()

    def start(self, **options):
        """Start a study; gives its process id."""
        print(json.dumps(options), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def end(self, pid=None, number=signal.SIGKILL):
        """Send a signal to a study and to its workers, if a process is named; gives its exit status."""
        if pid is not None:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                pass
        return int(self.server.stdout.readline())

    def run(self, **options):
        """Run a study to its end; gives its exit status."""
        self.start(**options)
        return self.end()


if __name__ == "__main__":
    serve()
