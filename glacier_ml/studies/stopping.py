"""When a search should stop: a plateau of its best value, told in words.

Everything here is a function of the trials that have finished, in the order of their finish, so that all
processes on one storage, and a study that goes on later, come to the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

COUNTED = ("complete", "pruned")


@dataclass(frozen=True)
class Finished:
    """A trial that has ended.

    Attributes
    ----------
    value : float or None
        Its objective; None where it has none. Only that of a complete trial counts.
    state : str
        'complete', 'pruned', 'failed' or 'interrupted'. A pruned trial counts as one that gained nothing:
        the pruner found it poor. A failed or interrupted one tells nothing of the search and does not count.
    number : int
        In its study.
    """

    value: float | None
    state: str
    number: int


@dataclass(frozen=True)
class Plateau:
    """Stop where the best value has not risen by `gain` in the last `patience` trials.

    Attributes
    ----------
    patience : int
        Trials without that gain after which the search stops.
    gain : float
        Rise of the best value that is worth going on for, in units of the objective (IoU); smaller rises add
        up. With 0 any rise is.
    at_least : int
        Trials before which the search never stops.
    """

    patience: int = 20
    gain: float = 0.005
    at_least: int = 24

    def __str__(self) -> str:
        """Give the rule as an experiment file has it."""
        values = f"patience: {self.patience}, gain: {self.gain:g}, at_least: {self.at_least}"
        return f"{{rule: plateau, {values}}}"


@dataclass(frozen=True)
class Standing:
    """Where a search stands: its best so far, and since when nothing has been gained.

    Attributes
    ----------
    best, number : float and int
        The best value and the trial that reached it first.
    since : int
        The trial from which on the best was within the rule's gain of what it is now.
    trials, idle : int
        Counted trials in all, and those of them after `since`.
    """

    best: float
    number: int
    since: int
    trials: int
    idle: int


def standing(trials: Sequence[Finished], rule: Plateau) -> Standing | None:
    """Where a search stands after these trials; None where none of them is complete.

    Parameters
    ----------
    trials : sequence of Finished
        In the order of their finish.
    rule : Plateau
        What counts as a gain.

    Examples
    --------
    >>> trials = [Finished(value, "complete", n) for n, value in enumerate([0.5, 0.7, 0.6, 0.702])]
    >>> standing(trials, Plateau(patience=2, gain=0.005, at_least=3))
    Standing(best=0.702, number=3, since=1, trials=4, idle=2)
    """
    counted = [trial for trial in trials if trial.state in COUNTED]
    worth = [_worth(trial) for trial in counted]
    best = max(worth, default=-float("inf"))
    if best == -float("inf"):
        return None
    near = next(i for i, value in enumerate(worth) if best - value < rule.gain or value == best)
    first = counted[worth.index(best)].number
    return Standing(best, first, counted[near].number, len(counted), len(counted) - 1 - near)


def _worth(trial: Finished) -> float:
    value = trial.value if trial.state == "complete" else None
    return value if value is not None and value == value else -float("inf")


def should_stop(trials: Sequence[Finished], rule: Plateau) -> str | None:
    """Why the search should stop after these trials, in words; None where it should go on.

    Parameters
    ----------
    trials : sequence of Finished
        In the order of their finish.
    rule : Plateau
        When to stop.

    Examples
    --------
    >>> trials = [Finished(value, "complete", n) for n, value in enumerate([0.5, 0.7, 0.6, 0.702])]
    >>> should_stop(trials, Plateau(patience=2, gain=0.005, at_least=3))
    'no gain of 0.005 in the last 2 trials; best 0.702 in trial 3'
    >>> should_stop(trials, Plateau(patience=3, gain=0.005, at_least=3)) is None
    True
    """
    now = standing(trials, rule)
    if now is None or now.trials < rule.at_least or now.idle < rule.patience:
        return None
    gain = f"gain of {rule.gain:g}" if rule.gain else "gain"
    return f"no {gain} in the last {now.idle} trials; best {now.best:.3f} in trial {now.number}"


def first_plateau(trials: Sequence[Finished], rule: Plateau) -> tuple[int, int] | None:
    """Where the search first stood still for long enough; None where it never did.

    Returns
    -------
    tuple of int
        Places, from 1 in the order of finish with failed trials counted, of the trial since which nothing
        was gained and of the one after which the rule stops.

    Examples
    --------
    >>> trials = [Finished(value, "complete", n) for n, value in enumerate([0.5, 0.7, 0.6, 0.7, 0.9])]
    >>> first_plateau(trials, Plateau(patience=2, gain=0.005, at_least=3))
    (2, 4)
    """
    for end in range(1, len(trials) + 1):
        if should_stop(trials[:end], rule):
            now = standing(trials[:end], rule)
            numbers = [trial.number for trial in trials]
            return (numbers.index(now.since) + 1, end) if now else None
    return None


def reason_to_end(trials: Sequence[Finished], rule: Plateau | None, wanted: int) -> str | None:
    """Why a study should end after these trials, before it has all that are wanted; None where it goes on."""
    return should_stop(trials, rule) if rule and _left(trials, wanted) > 0 else None


def end_text(trials: Sequence[Finished], rule: Plateau | None, wanted: int, reason: str) -> str:
    """Say that a rule has ended a study, for which reason, and what was left out."""
    return f"stopped by stop: {rule}: {reason}; {_left(trials, wanted)} of {wanted} trials left out"


def _left(trials: Sequence[Finished], wanted: int) -> int:
    return wanted - sum(trial.state in COUNTED for trial in trials)


class Watch:
    """Applies a rule to a study at work: ends it, or says once that it goes on in vain.

    Parameters
    ----------
    rule : Plateau or None
        None never ends the study and says nothing.
    binding : bool
        Whether the rule ends the study; else it only advises.
    tell : callable
        Takes a line for people.
    """

    def __init__(self, rule: Plateau | None, binding: bool, tell: Callable[[str], None]) -> None:
        self.rule, self.binding, self.tell = rule, binding, tell
        self._advised = False

    def ends(self, trials: Sequence[Finished], wanted: int) -> bool:
        """Whether the study ends after these trials, before it has all that are wanted."""
        reason = reason_to_end(trials, self.rule, wanted)
        if reason and not self.binding and not self._advised:
            self._advised = True
            self.tell(
                f"{reason}: the remaining {_left(trials, wanted)} of {wanted} trials may be in vain; "
                f"stop: {self.rule} in the experiment file ends a search there"
            )
        return reason is not None and self.binding
