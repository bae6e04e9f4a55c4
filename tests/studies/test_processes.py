"""Who is still there, told by a name: this process, one that was killed, a later one with the same number."""

import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from glacier_ml.studies import processes
from glacier_ml.studies.processes import is_dead, process_name


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    """A process that does nothing."""
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_a_name_tells_machine_number_and_time_of_birth():
    node, pid, born, *_ = process_name().split()
    assert node == platform.node() and process_name(int(pid)) == process_name() and int(born) > 1_500_000_000


def test_a_killed_process_is_dead_before_and_after_its_parent_asked(sleeper):
    name = process_name(sleeper.pid)
    assert not is_dead(name)
    sleeper.kill()
    while not is_dead(name):  # the test's time limit ends this
        pass
    sleeper.wait()
    assert is_dead(name)


@pytest.mark.parametrize(("earlier", "dead"), [(3600, True), (1, False)])
def test_a_later_process_with_its_number_is_another_one(sleeper, earlier, dead):
    node, pid, born, *space = process_name(sleeper.pid).split()
    assert is_dead(" ".join([node, pid, str(int(born) - earlier), *space])) is dead  # a second is the clock's


@pytest.mark.parametrize(
    "name",
    [
        "elsewhere 4194305 0",
        f"{platform.node()} 4194305",
        f"{platform.node()} -1 0",
        "",
        f"{platform.node()}",
    ],
)
def test_what_names_no_process_of_this_machine_is_not_called_dead(name):
    assert not is_dead(name)


def test_another_container_s_processes_are_not_called_dead(monkeypatch):
    # Its host name may be the machine's, and its numbers mean nothing here.
    name = f"{platform.node()} 4194305 0"
    monkeypatch.setattr(processes, "number_space", lambda: "")
    assert is_dead(name) and not is_dead(f"{name} pid:[4026532281]")
    monkeypatch.setattr(processes, "number_space", lambda: "pid:[4026532281]")
    assert is_dead(f"{name} pid:[4026532281]") and not is_dead(name)
    assert process_name().endswith(" pid:[4026532281]")
