"""One of the commands that work on a study leads it; another takes the lead where that one is gone."""

import time

import optuna
import pytest

from glacier_ml.studies import leading, liveness
from glacier_ml.studies.leading import LEADER, Lead
from glacier_ml.studies.processes import process_name

DEAD, ELSEWHERE = process_name().split()[0] + " 4194305 0", "elsewhere 1 2"


@pytest.fixture
def study(monkeypatch):
    """A study in memory, whose claims are settled at once."""
    monkeypatch.setattr(leading, "SETTLING", 0.0)
    monkeypatch.setattr(leading, "NEWBORN", 0.0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study()


def as_process(monkeypatch, name):
    monkeypatch.setattr(leading, "own_name", lambda: name)


@pytest.mark.parametrize(
    ("leader", "age", "taken"),
    [
        (None, 0, True),  # nobody has it
        ("", 0, True),  # it was left
        (DEAD, 0, True),
        ("this machine's", 10_000, False),  # it can be seen to live
        (ELSEWHERE, 10, False),
        (ELSEWHERE, liveness.SILENCE + 10, True),
    ],
)
def test_the_lead_is_taken_where_nobody_alive_has_it(study, monkeypatch, leader, age, taken):
    mine = process_name()
    if leader is not None:
        name = mine if leader == "this machine's" else leader
        study.set_user_attr(LEADER, [name, time.time() - age])
    as_process(monkeypatch, "ice 7 8")
    assert Lead(study).take() is taken


def test_whoever_makes_a_study_leads_it(study, monkeypatch):
    as_process(monkeypatch, ELSEWHERE)
    assert Lead(study).take(made=True)
    as_process(monkeypatch, "ice 7 8")
    assert not Lead(study).take()


def test_of_two_that_claim_it_at_once_the_later_has_it(study, monkeypatch):
    lead = Lead(study)
    as_process(monkeypatch, "ice 7 8")
    assert lead.take()
    study.set_user_attr(LEADER, [ELSEWHERE, time.time()])  # written after we have looked
    assert not lead.take() and not lead.held
    assert study.user_attrs[LEADER][0] == ELSEWHERE


def test_who_has_resigned_shows_no_sign_of_leading(study, monkeypatch):
    monkeypatch.setattr(liveness, "BEAT", 0.01)
    as_process(monkeypatch, "ice 7 8")
    lead = Lead(study)
    lead.take()
    with lead.kept():
        lead.resign()
        time.sleep(0.1)
    assert study.user_attrs[LEADER][0] == ""


def test_at_the_end_a_silent_leader_is_waited_for_until_it_is_dead(study, monkeypatch):
    monkeypatch.setattr(liveness, "SILENCE", 1.0)
    as_process(monkeypatch, "ice 7 8")
    study.set_user_attr(LEADER, [ELSEWHERE, time.time()])
    assert Lead(study).take_or_leave()


def test_at_the_end_a_living_leader_keeps_the_lead(study, monkeypatch):
    as_process(monkeypatch, "ice 7 8")
    study.set_user_attr(LEADER, [ELSEWHERE, time.time()])

    def beat(seconds):
        study.set_user_attr(LEADER, [ELSEWHERE, time.time() + 1])

    monkeypatch.setattr(leading.time, "sleep", beat)
    assert not Lead(study).take_or_leave()
