"""Processes are told from one another, and dead ones from living ones."""

import platform
import subprocess
import sys

from glacier_ml.studies.processes import is_dead, process_name


def test_a_process_is_told_from_a_later_one_with_its_number():
    name = process_name()
    node, pid, born = name.split()
    assert node == platform.node() and process_name(int(pid)) == name and int(born) > 1_500_000_000
    assert not is_dead(name)
    assert is_dead(f"{node} {pid} {int(born) - 100}")  # its number was given anew


def test_a_process_that_has_ended_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = process_name(process.pid)
    assert not is_dead(name)
    process.communicate()
    assert is_dead(name)


def test_nothing_is_said_of_other_machines_and_of_no_name():
    assert not is_dead("elsewhere 4194305 0")
    assert not is_dead("")
