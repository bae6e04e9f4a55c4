"""Progress bars of long work, with the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from glacier_ml.learning.training import Metrics


class Progress:
    """A bar over the epochs of all trials, with the time left and the best so far."""

    def __init__(self, bar: Any, epochs: int, best: float) -> None:
        self.bar, self.epochs, self.best, self.done = bar, epochs, best, 0
        self.told = (0, "")

    def step(self, trial: int, epoch: int, value: float) -> None:
        """Count one epoch."""
        self.best, self.done = max(self.best, value), epoch + 1
        self.bar.update(1)
        self.bar.set_postfix_str(f"trial {trial} IoU {value:.3f}, best {self.best:.3f}")

    def finish(self) -> None:
        """Count the epochs that a pruned or failed trial left out."""
        self.bar.update(max(0, self.epochs - self.done))
        self.done = 0

    def watch(self, trials: Sequence[Any], wanted: int) -> int:
        """Show how far the trials of several processes are; gives the epochs that they have seen."""
        ended = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
        seen = sum(len(trial.intermediate_values) for trial in trials)
        at_work = [trial for trial in trials if trial.state.name == "RUNNING"]
        complete = [trial.value or 0.0 for trial in ended if trial.state.name == "COMPLETE"]
        self.best = max(complete, default=0.0)
        shown = len(ended) * self.epochs + sum(len(trial.intermediate_values) for trial in at_work)
        told = f"{len(ended)} of {wanted} trials, {len(at_work)} at work, best {self.best:.3f}"
        if (shown, told) != self.told:
            self.told = (shown, told)
            self.bar.n = min(shown, wanted * self.epochs)
            self.bar.set_postfix_str(told)
        return seen

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text, file=sys.stderr)


def silent_progress() -> Progress:
    """A bar that is not shown: for a process whose work another one watches."""
    from tqdm import tqdm

    return Progress(tqdm(disable=True), 0, 0.0)


@contextmanager
def show_progress(title: str, trials: int, done: int, epochs: int, best: float) -> Iterator[Progress]:
    """Show a bar over `trials` trials of `epochs` epochs, `done` of which an earlier call has finished."""
    from tqdm import tqdm

    with tqdm(total=trials * epochs, initial=done * epochs, desc=title, unit="epoch") as bar:
        yield Progress(bar, epochs, best)


def tell_epochs(epochs: int) -> Any:
    """A listener for `run_trial` that draws a progress bar with the time left."""
    from tqdm import tqdm

    bar = tqdm(total=epochs, desc="training", unit="epoch")

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        bar.update(1)
        bar.set_postfix_str(f"IoU {metrics['val/iou']:.3f}")
        if epoch + 1 == epochs:
            bar.close()

    return on_epoch


class FoldProgress:
    """A bar over the epochs of all folds' trainings, with the time left."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.name, self.left = bar, "", 0

    def begin(self, name: str, epochs: int) -> None:
        """Name the training that comes next, and how long it may be."""
        self.name, self.left = name, epochs
        self.bar.set_postfix_str(name)

    def on_epoch(self, epoch: int, metrics: Metrics) -> None:
        """Count one epoch."""
        self.left -= 1
        self.bar.update(1)
        self.bar.set_postfix_str(f"{self.name}: validation IoU {metrics['val/iou']:.3f}")

    def finish(self) -> None:
        """Count the epochs that the training did without."""
        self.bar.update(self.left)
        self.left = 0

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text, file=sys.stderr)


@contextmanager
def show_folds(epochs: int) -> Iterator[FoldProgress]:
    """Show a bar over so many epochs of all folds' trainings together."""
    from tqdm import tqdm

    with tqdm(total=epochs, desc="cross-validating", unit="epoch") as bar:
        yield FoldProgress(bar)


@contextmanager
def tell_steps(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar over so many steps; hands out a listener that hears of each one in words."""
    from tqdm import tqdm

    with tqdm(total=total, desc=title, unit="step") as bar:

        def tell(words: str) -> None:
            bar.set_postfix_str(words)
            bar.update(1)

        yield tell
