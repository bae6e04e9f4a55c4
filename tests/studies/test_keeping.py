"""Only the networks of a study's best few trials are kept, with several workers and after crashes too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.studies import tracking
from glacier_ml.studies.keeping import keep_best, log_if_best, remove_others
from glacier_ml.studies.records import TrialRecord
from glacier_ml.studies.tracking.runs import client

VALUES = st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.75]), min_size=1, max_size=12)
KEEP = st.one_of(st.none(), st.integers(1, 5))


def record(number, value=None, state="complete", run_id=""):
    return TrialRecord(number, state, {}, run_id or f"run{number}", value)


def numbers(part):
    return [one.number for one in part]


def test_the_best_are_kept_and_earlier_ones_where_values_are_equal():
    trials = [record(number, value) for number, value in enumerate([0.5, 0.9, 0.7, 0.9, 0.7])]
    assert [numbers(part) for part in keep_best(trials, 3)] == [[1, 3, 2], [4, 0]]
    assert [numbers(part) for part in keep_best(trials, None)] == [[1, 3, 2, 4, 0], []]


def test_trials_without_a_value_are_in_neither_part():
    trials = [record(0, 0.5), record(1, None, "running"), record(2, None, "failed"), record(3, float("nan"))]
    trials += [record(4, 0.9, "pruned"), record(5, 0.4)]
    assert [numbers(part) for part in keep_best(trials, 1)] == [[0], [5]]


@given(VALUES, KEEP, st.randoms(use_true_random=False))
def test_what_fell_out_is_never_kept_again(values, keep, shuffled):
    # Whatever order workers see each other's trials in: what one has removed, a later look does not want.
    trials = [record(number, value) for number, value in enumerate(values)]
    shuffled.shuffle(trials)
    removed = set()
    for seen in range(len(trials) + 1):
        kept, others = keep_best(trials[:seen], keep)
        removed |= set(numbers(others))
        assert not removed & set(numbers(kept))
        assert len(kept) == (seen if keep is None else min(keep, seen))


class Study:
    """A study's records, changed as trials begin and end, with their runs in the store."""

    def __init__(self, classifier, keep):
        self.classifier, self.keep, self.trials, self.said = classifier, keep, {}, []

    def begin(self, number, value, logged=True):
        """Train a trial and log its network, as far as the moment before it is told complete."""
        tags = {"study": "ffnn-0123456789", "trial": str(number)}
        with tracking.start_run(f"trial-{number:03d}", "trial", tags=tags) as run_id:
            self.trials[number] = record(number, None, "running", run_id)
            if logged:
                log_if_best(self.classifier, number, value, list(self.trials.values()), self.keep)

    def end(self, number, value, state="complete", tidied=True):
        """Tell the trial's end; a process that dies then does not tidy up."""
        self.trials[number] = record(number, value, state, self.trials[number].run_id)
        return self.tidy() if tidied else []

    def tidy(self):
        """Remove the networks that are not among the best any more; gives the trials' numbers."""
        by_run = {one.run_id: one.number for one in self.trials.values()}
        read = lambda: list(self.trials.values())  # noqa: E731
        gone = remove_others("ffnn-0123456789", read, self.keep, self.said.append)
        return [by_run[run_id] for run_id in gone]

    def networks(self):
        """Numbers of the trials whose runs hold a network, and the tags of all."""
        runs = {number: one.run_id for number, one in self.trials.items()}
        held = {number for number, run_id in runs.items() if client().list_artifacts(run_id, "classifier")}
        return held, {number: tracking.run_tags(run_id).get("classifier") for number, run_id in runs.items()}


@pytest.fixture
def study(store, tiny_classifier):
    """Factory of studies: `study(keep)`."""
    return lambda keep: Study(tiny_classifier, keep)


def test_networks_come_and_go_with_their_trials(study):
    two = study(2)
    for number, value in enumerate([0.5, 0.4, 0.6, 0.3]):
        two.begin(number, value)
        two.end(number, value)
    held, tags = two.networks()
    assert held == {0, 2} and tags == {0: "kept", 1: "removed", 2: "kept", 3: None}
    assert tracking.run_classifier(two.trials[2].run_id) is not None
    assert tracking.run_classifier(two.trials[1].run_id) is None
    two.keep = None  # all from now on; what is gone stays so
    two.begin(4, 0.1)
    assert two.end(4, 0.1) == [] and two.networks()[0] == {0, 2, 4}
    two.keep = 1
    assert sorted(two.tidy()) == [0, 4]


def test_workers_leave_each_other_s_trials_alone(study):
    one = study(1)
    one.begin(0, 0.5)
    one.begin(1, 0.6)  # both at work: neither knows the other's value
    one.begin(2, 0.4)
    assert one.end(0, 0.5) == []
    assert one.end(2, 0.4) == [2] and one.networks()[0] == {0, 1}
    assert one.end(1, 0.6) == [0] and one.networks()[0] == {1}


def test_a_crash_leaves_one_too_many_for_the_next_to_mend(study):
    one = study(1)
    one.begin(0, 0.5)
    one.end(0, 0.5)
    one.begin(1, 0.6)  # killed before it is told complete: the best complete one is still there
    one.end(1, None, "interrupted", tidied=False)
    assert one.networks()[0] == {0, 1}
    one.begin(2, 0.7)  # killed after it is told complete
    one.end(2, 0.7, tidied=False)
    assert one.networks()[0] == {0, 1, 2}
    one.begin(3, 0.1)
    assert sorted(one.end(3, 0.1)) == [0, 1] and one.networks()[0] == {2}


def test_a_registered_trial_s_network_stays(study):
    one = study(1)
    one.begin(0, 0.5)
    one.end(0, 0.5)
    tracking.tag_run(one.trials[0].run_id, {"registered_version": "1"})
    one.begin(1, 0.9)
    assert one.end(1, 0.9) == [] and one.networks()[0] == {0, 1}


def test_another_study_s_networks_are_not_touched(study):
    one, other = study(1), study(1)
    one.begin(0, 0.5)
    one.end(0, 0.5)
    assert remove_others("ffnn-of-others", lambda: [record(0, 0.9)], 1) == []
    assert one.networks()[0] == {0} and other.trials == {}


def test_a_store_that_deletes_nothing_is_told_and_ends_nothing(study, monkeypatch):
    one = study(1)
    one.begin(0, 0.5)
    one.end(0, 0.5)
    one.begin(1, 0.9)

    def refuse(self, path=None):
        raise NotImplementedError("no deletion\nhere")

    with monkeypatch.context() as patch:
        patch.setattr(
            "mlflow.store.artifact.local_artifact_repo.LocalArtifactRepository.delete_artifacts", refuse
        )
        assert one.end(1, 0.9) == []
    run_id = one.trials[0].run_id
    assert one.said == [f"the classifier of run {run_id} could not be removed: no deletion here"]
    assert one.networks()[1] == {0: "kept", 1: "kept"}
    assert one.tidy() == [0]  # the next one tries again
