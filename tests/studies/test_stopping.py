"""When a search should stop: sequences worked by hand, and what holds for all of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_studies import experiment_content, tiny_training

from glacier_ml.studies import commands, searching, tracking
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.stopping import (
    COUNTED,
    Finished,
    Plateau,
    Standing,
    Watch,
    end_text,
    first_plateau,
    reason_to_end,
    should_stop,
    standing,
)
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.tuning import study_name, tune

RULE = Plateau(patience=3, gain=0.005, at_least=4)


def finished(*values, first=0):
    """Trials by number: a value is a complete one, 'pruned' and 'failed' are what they say."""
    return [
        Finished(None, value, number) if isinstance(value, str) else Finished(value, "complete", number)
        for number, value in enumerate(values, start=first)
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((), None),
        (("pruned", "failed", "pruned", "pruned", "pruned"), None),  # nothing to keep: nothing to stop for
        ((0.5, 0.4, 0.4), None),  # two trials since the best, and three in all
        ((0.5, 0.4, 0.4, 0.4), "no gain of 0.005 in the last 3 trials; best 0.500 in trial 0"),
        ((0.4, 0.5, 0.4, 0.4), None),  # two since the best
        ((0.4, 0.5, 0.4, 0.4, 0.4), "no gain of 0.005 in the last 3 trials; best 0.500 in trial 1"),
        # .502 is the best, but within .005 of trial 0's: three trials have not gained that much.
        ((0.5, 0.4, 0.502, 0.4), "no gain of 0.005 in the last 3 trials; best 0.502 in trial 2"),
        # Small rises add up: .508 is .008 above trial 0, and .004 above trial 2, two trials ago.
        ((0.5, 0.4, 0.504, 0.508, 0.4), None),
        ((0.5, 0.4, 0.4, 0.6), None),
        ((0.5, 0.4, 0.4, 0.6, 0.4, 0.4), None),
        ((0.5, 0.4, 0.4, 0.6, 0.4, 0.4, 0.4), "no gain of 0.005 in the last 3 trials; best 0.600 in trial 3"),
        # A pruned trial counts as one without gain; a failed one tells nothing.
        ((0.5, "pruned", "pruned", "pruned"), "no gain of 0.005 in the last 3 trials; best 0.500 in trial 0"),
        ((0.5, "failed", "failed", "failed", 0.4, 0.4), None),
        ((float("nan"), 0.5, 0.4, 0.4, 0.4), "no gain of 0.005 in the last 3 trials; best 0.500 in trial 1"),
        ((0.5, float("nan"), 0.4, 0.4), "no gain of 0.005 in the last 3 trials; best 0.500 in trial 0"),
    ],
)
def test_sequences_worked_by_hand(values, reason):
    assert should_stop(finished(*values), RULE) == reason


def test_it_never_stops_before_at_least():
    flat = finished(*[0.5] * 10)
    stops = [end for end in range(11) if should_stop(flat[:end], replace(RULE, at_least=8))]
    assert stops == [8, 9, 10]


def test_a_rise_of_just_the_gain_is_one():
    # Powers of two, which floating point holds exactly: .75 is .25 above .5, two trials ago.
    assert should_stop(finished(0.5, 0.5, 0.75, 0.5), replace(RULE, gain=0.25)) is None


def test_without_a_gain_any_rise_counts():
    rule = replace(RULE, gain=0.0)
    assert should_stop(finished(0.5, 0.4, 0.5001, 0.4), rule) is None
    assert should_stop(finished(0.5, 0.4, 0.5, 0.4), rule) == (
        "no gain in the last 3 trials; best 0.500 in trial 0"
    )


def test_the_order_of_finish_counts_and_not_that_of_numbers():
    early, *others = finished(0.9, 0.5, 0.5, 0.5, 0.5)
    assert "last 4 trials" in should_stop([early, *others], RULE)
    assert should_stop([*others, early], RULE) is None  # trial 0 took longest, and gained
    assert standing([*others, early], RULE) == Standing(0.9, 0, 0, 5, 0)


def test_where_a_search_stands():
    # .702 is trial 4's; trial 1 was within .005 of it, and two counted trials came after: 2 and 4.
    trials = finished(0.5, 0.7, "pruned", "failed", 0.702)
    assert standing(trials, RULE) == Standing(best=0.702, number=4, since=1, trials=4, idle=2)
    assert standing(finished("failed", "pruned"), RULE) is None


def test_the_first_plateau_is_where_the_rule_would_have_ended_the_search():
    # Trial 1 is the second that finished; pruned, .41 and .4 gain nothing: the rule stops after the sixth.
    trials = finished(0.4, 0.5, "failed", "pruned", 0.41, 0.4, 0.9)
    assert first_plateau(trials, RULE) == (2, 6)
    assert first_plateau(trials[:5], RULE) is None


values = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from(["pruned", "failed", "interrupted"])), max_size=20
)
rules = st.builds(
    Plateau, patience=st.integers(1, 6), gain=st.sampled_from([0.0, 0.01, 0.2]), at_least=st.integers(1, 12)
)


@given(values, rules)
def test_it_stops_where_the_best_rose_by_less_than_the_gain_over_the_last_trials(drawn, rule):
    """Against the definition: the best of all trials less the best of all but the last `patience`."""
    trials = finished(*drawn)
    counted = [one for one in trials if one.state in COUNTED]
    known = [one.value for one in counted if one.state == "complete"]
    before = [one.value for one in counted[: -rule.patience] if one.state == "complete"]
    rise = max(known) - max(before) if before else None
    expected = rise is not None and (rise < rule.gain or rise == 0) and len(counted) >= rule.at_least
    assert (should_stop(trials, rule) is not None) == expected


@given(values, rules)
def test_a_better_value_starts_the_wait_anew(drawn, rule):
    trials = finished(*drawn)
    better = finished(1.0 + rule.gain + 1e-6, first=len(trials))
    for more in range(rule.patience):
        assert should_stop([*trials, *better, *finished(*[0.1] * more, first=99)], rule) is None


@given(values, rules, st.integers(0, 20), st.sampled_from(["failed", "interrupted"]))
def test_failed_and_interrupted_trials_change_nothing(drawn, rule, place, state):
    trials = finished(*drawn)
    more = [*trials[:place], Finished(None, state, 99), *trials[place:]]
    assert should_stop(more, rule) == should_stop(trials, rule)


@given(values, rules, st.floats(0, 9))
def test_what_a_pruned_trial_had_reached_changes_nothing(drawn, rule, reached):
    trials = finished(*drawn)
    marked = [replace(one, value=reached) if one.state == "pruned" else one for one in trials]
    assert should_stop(marked, rule) == should_stop(trials, rule)


FLAT = finished(0.5, 0.4, 0.4, 0.4, 0.4)


def test_a_binding_rule_ends_the_study_and_leaves_the_telling_to_its_end():
    said = []
    watch = Watch(RULE, True, said.append)
    assert [watch.ends(FLAT[:end], 9) for end in range(6)] == [False] * 4 + [True] * 2
    assert said == []
    reason = reason_to_end(FLAT[:4], RULE, 9)
    assert end_text(FLAT[:4], RULE, 9, reason) == (
        "stopped by stop: {rule: plateau, patience: 3, gain: 0.005, at_least: 4}: "
        "no gain of 0.005 in the last 3 trials; best 0.500 in trial 0; 5 of 9 trials left out"
    )


def test_an_advising_rule_says_so_once_and_ends_nothing():
    said = []
    watch = Watch(RULE, False, said.append)
    assert not any(watch.ends(FLAT[:end], 9) for end in range(6))
    assert said == [
        "no gain of 0.005 in the last 3 trials; best 0.500 in trial 0: the remaining 5 of 9 trials may be in "
        "vain; stop: {rule: plateau, patience: 3, gain: 0.005, at_least: 4} in the experiment file ends a "
        "search there"
    ]


@pytest.mark.parametrize("binding", [True, False])
def test_nothing_is_said_of_a_study_that_has_all_its_trials_or_no_rule(binding):
    said = []
    assert not Watch(RULE, binding, said.append).ends(FLAT, 5)
    assert not Watch(None, binding, said.append).ends(FLAT, 9)
    assert said == []


STOP = {"rule": "plateau", "patience": 2, "gain": 0.005, "at_least": 3}


@pytest.fixture(scope="module")
def data():
    return tiny_training()


def experiment(**changes):
    return Experiment.model_validate(experiment_content("ffnn", **changes))


def tuned(wanted, data, chosen):
    """Tune inside a run."""
    with tracking.start_run("study", "study"):
        return tune(chosen, data, trials=wanted)


def test_a_search_that_gains_nothing_ends_and_a_resumed_one_obeys(trained, data, capsys):
    # .6 of the second trial is a gain; the two after it are none.
    tried = trained(lambda number, parameters: [[0.5], [0.6], [0.602], [0.4]][number] * 2)
    chosen = experiment(stop=STOP, trials=9, pruner="none")
    result = tuned(None, data, chosen)
    reason = "no gain of 0.005 in the last 2 trials; best 0.602 in trial 2"
    assert len(tried) == 4 and (result.number, result.stopped) == (2, reason)
    told = capsys.readouterr().err
    assert told.count(f"{reason}; 5 of 9 trials left out") == 1 and "in vain" not in told
    again = tuned(None, data, chosen)
    assert len(tried) == 4 and again == result


def test_trials_asked_for_by_number_are_all_run_and_the_rule_advises_once(trained, data, capsys):
    tried = trained(lambda number, parameters: [0.5, 0.5])
    result = tuned(7, data, experiment(stop=STOP, trials=9))
    assert len(tried) == 7 and result.stopped is None
    told = capsys.readouterr().err
    assert told.count("the remaining 4 of 7 trials may be in vain") == told.count("in vain") == 1


@pytest.mark.parametrize(
    ("stop", "trials", "rule", "binding"),
    [
        (STOP, None, Plateau(2, 0.005, 3), True),
        (STOP, 1, Plateau(2, 0.005, 3), False),
        (None, None, Plateau(), False),
        ("none", None, None, True),  # without a rule nothing binds
    ],
)
def test_the_file_s_rule_binds_unless_a_number_of_trials_is_asked_for(
    trained, data, monkeypatch, stop, trials, rule, binding
):
    made = []
    monkeypatch.setattr(searching, "Watch", lambda *given: made.append(given) or Watch(*given))
    trained(lambda number, parameters: [0.5, 0.5])
    tuned(trials, data, experiment(stop=stop, trials=1))
    assert made[0][:2] == (rule, binding)


def test_a_rule_makes_no_new_study(trained, data):
    trained(lambda number, parameters: [0.5, 0.5])
    first = tuned(1, data, experiment())
    assert study_name(experiment(stop=STOP), data, 0) == study_name(experiment(stop="none"), data, 0)
    assert study_name(experiment(stop=STOP), data, 0) == first.name


def test_the_study_s_run_shows_how_far_the_search_came(trained, data):
    trained(lambda number, parameters: [0.5, 0.5])
    chosen = experiment(stop=STOP, trials=9)
    with tracking.start_run("study", "study") as run_id:
        commands._log_progress(tune(chosen, data), chosen.stop_rule, None)
    run = client().get_run(run_id)
    assert run.data.tags["plateau_since"] == "0" and run.data.metrics["idle_trials"] == 2
    assert run.data.tags["stopped"] == "no gain of 0.005 in the last 2 trials; best 0.500 in trial 0"
    assert [item.path for item in client().list_artifacts(run_id, "study")] == ["study/progress.png"]
