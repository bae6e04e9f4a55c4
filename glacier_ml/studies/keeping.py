"""Which trained networks of a study are kept: those of its best few trials, whoever else works on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from glacier_ml.studies import tracking
from glacier_ml.studies.records import TrialRecord

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import NetworkClassifier

KEEP = 3


def keep_best(trials: Iterable[TrialRecord], keep: int | None) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Part the complete trials of a study into those whose networks are kept and the others.

    Parameters
    ----------
    trials : iterable of TrialRecord
        In any order; those that are not complete, or whose value is no number, are in neither part.
    keep : int or None
        How many; None for all.

    Returns
    -------
    kept, removed : list of TrialRecord
        Best first; of equal values the earlier trial is the better one. More trials can only push one out of
        the first part, never back in: what one worker takes for removed, none takes for kept.

    Examples
    --------
    >>> scored = [TrialRecord(n, "complete", {}, "", value) for n, value in enumerate([0.5, 0.7, 0.7, 0.6])]
    >>> [[one.number for one in part] for part in keep_best(scored, 2)]
    [[1, 2], [3, 0]]
    """
    scored = [(one.value, one) for one in trials if one.state == "complete" and one.value is not None]
    numbers = [pair for pair in scored if not math.isnan(pair[0])]
    ranked = [one for _, one in sorted(numbers, key=lambda pair: (-pair[0], pair[1].number))]
    count = len(ranked) if keep is None else keep
    return ranked[:count], ranked[count:]


def log_if_best(
    classifier: NetworkClassifier,
    number: int,
    value: float,
    trials: Sequence[TrialRecord],
    keep: int | None,
) -> bool:
    """Log the network of the trial at work where its value is among the best so far; tells whether it was."""
    kept, _ = keep_best([*trials, TrialRecord(number, "complete", {}, "", value)], keep)
    if number not in {one.number for one in kept}:
        return False
    tracking.mark_classifier(tracking.active_run_id(), "kept")  # first, so that none is ever there unmarked
    tracking.log_classifier(classifier)
    return True


def remove_others(
    study: str,
    read_trials: Callable[[], Sequence[TrialRecord]],
    keep: int | None,
    say: Callable[[str], object] = print,
) -> list[str]:
    """Remove the networks of trials that are not among the best, but for registered ones.

    Called once a trial is recorded as complete: what ends the process before leaves one network too many for
    the next call, as does a trial that failed after its network was logged. Trials at work are left alone.

    Parameters
    ----------
    study : str
        Its name.
    read_trials : callable
        Gives its trials as they are now; asked after the runs, so that it knows of each of these.
    keep : int or None
        How many; None for all.
    say : callable
        Told of a network that could not be removed; the study does not end over it.

    Returns
    -------
    list of str
        Runs whose networks were removed.
    """
    if keep is None:
        return []
    marked = tracking.kept_classifiers(study)
    trials = read_trials()
    best, _ = keep_best(trials, keep)
    spared = {one.run_id for one in best} | {one.run_id for one in trials if one.state == "running"}
    # Another storage may hold a study of this name: its runs on the same server are not ours to touch.
    ours = {one.run_id for one in trials} - spared
    others = [one for one, tags in marked.items() if one in ours and "registered_version" not in tags]
    return [run_id for run_id in others if _remove(run_id, say)]


def _remove(run_id: str, say: Callable[[str], object]) -> bool:
    try:
        tracking.remove_classifier(run_id)
    except Exception as error:  # stores of artifacts raise what they like
        say(f"the classifier of run {run_id} could not be removed: {' '.join(str(error).split())[:200]}")
        return False
    return True
