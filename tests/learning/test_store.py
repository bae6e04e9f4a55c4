"""The store: computed once, whole or not there, shared by processes, bounded, never the end of a study."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.learning import store as module
from glacier_ml.learning.store import DAY, SampleStore, StoreWarning, open_store

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


class Counted:
    """Something to compute that counts how often it was."""

    def __init__(self, values=VALUES):
        self.values, self.calls = values, 0

    def __call__(self):
        self.calls += 1
        return self.values.copy()


@pytest.fixture
def store(tmp_path):
    return SampleStore(tmp_path / "samples")


def files(store):
    return sorted(file.name for file in store.folder.iterdir())


def kept_file(store):
    (file,) = store.folder.iterdir()
    return file


@pytest.mark.parametrize(
    "values", [VALUES, VALUES.T, VALUES > 3, np.int64(7), np.zeros((0, 3), np.float32)], ids=str
)
def test_what_is_kept_is_computed_once_and_read_as_it_was(store, values):
    compute = Counted(np.asarray(values))
    for trial in range(3):
        found = (store if trial else SampleStore(store.folder)).array("squares", (3, "a"), compute)
        assert found.dtype == compute.values.dtype
        np.testing.assert_array_equal(found, compute.values)
    assert compute.calls == 1


def test_what_is_kept_is_a_memory_map_that_nobody_can_write_to(store):
    for _ in range(2):  # from the one that computed it on
        found = store.array("squares", (), Counted())
        assert type(found) is np.ndarray and isinstance(found.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1


def test_without_a_folder_nothing_is_kept():
    compute = Counted()
    for _ in range(2):
        found = SampleStore().array("squares", (), compute)
        found[0] = 1  # one's own
    assert compute.calls == 2


words, numbers = st.text("ab,' ", max_size=3), st.integers(0, 3)
plain = st.one_of(numbers, words, st.tuples(numbers, words))
names = st.sampled_from(["stack", "features"])


@given(names, names, st.lists(plain, max_size=3), st.lists(plain, max_size=3))
def test_two_arrays_are_one_only_where_product_and_all_they_depend_on_are_the_same(one, two, first, second):
    digests = [module._digest(name, tuple(parts)) for name, parts in ((one, first), (two, second))]
    assert (digests[0] == digests[1]) == ((one, first) == (two, second))


def test_other_code_computes_anew(store, monkeypatch):
    store.array("squares", (), Counted())
    monkeypatch.setattr(module, "_code", lambda: "the next version")
    compute = Counted()
    store.array("squares", (), compute)
    assert compute.calls == 1


def test_the_code_is_that_of_the_modules_and_numpy(monkeypatch):
    digest = module._code()
    monkeypatch.setattr(np, "__version__", "9.9")
    module._code.cache_clear()
    assert module._code() != digest
    monkeypatch.undo()
    module._code.cache_clear()
    assert module._code() == digest


@pytest.mark.parametrize("length", [0, 5, 100, 128, 128 + 47, -1])
def test_a_file_that_is_not_whole_is_not_taken(store, length):
    # The header has 128 bytes, the values 12 * 4 = 48; -1: garbage of the right length.
    store.array("squares", (), Counted())
    file = kept_file(store)
    whole = file.read_bytes()
    assert len(whole) == 128 + 48
    file.write_bytes(whole[:length] if length >= 0 else b"\xff" * len(whole))
    compute = Counted()
    np.testing.assert_array_equal(store.array("squares", (), compute), VALUES)
    assert compute.calls == 1
    assert file.read_bytes() == whole


def python(code, *arguments):
    """A process of its own that knows `store` and `VALUES`."""
    begin = (
        "import os, signal, sys, time\nimport numpy as np\n"
        "from glacier_ml.learning.store import SampleStore\n"
        "store = SampleStore(__import__('pathlib').Path(sys.argv[1]))\n"
        "VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)\n"
    )
    command = [sys.executable, "-c", begin + code, *map(str, arguments)]
    root = str(Path(module.__file__).parents[2])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}, text=True
    )


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_taken_for_whole(store):
    code = (
        "def half(file, values, **options):\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "np.lib.format.write_array = half\n"
        "store.array('squares', (), lambda: VALUES)"
    )
    killed = python(code, store.folder)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert {Path(name).suffix for name in files(store)} == {".lock", ".partial"}
    begun, compute = time.monotonic(), Counted()
    np.testing.assert_array_equal(store.array("squares", (), compute), VALUES)
    assert compute.calls == 1
    assert time.monotonic() - begun < module.PATIENCE / 2  # a dead process holds up nobody


def test_processes_that_need_the_same_at_once_compute_it_once_and_read_one_file(store):
    code = (
        "def compute():\n"
        "    print('computed'); time.sleep(0.5); return VALUES\n"
        "while not os.path.exists(sys.argv[2]): time.sleep(0.01)\n"
        "found = store.array('squares', (), compute)\n"
        "print(found.sum(), os.stat(found.base.filename).st_ino)"
    )
    go = store.folder.parent / "go"
    both = [python(code, store.folder, go) for _ in range(2)]
    time.sleep(0.2)
    go.touch()
    told = [one.communicate(timeout=60)[0].split() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(len(words) for words in told) == [2, 3]  # one of them said 'computed'
    assert told[0][-2:] == told[1][-2:] and told[0][-2] == "66.0"
    assert Path(kept_file(store)).suffix == ".npy"


@pytest.mark.parametrize("obstacle", ["no locks", "no patience"])
def test_where_nobody_waits_both_compute_and_both_end_well(store, monkeypatch, obstacle):
    import fcntl

    def refuse(*given):
        raise OSError(errno.ENOLCK, "no locks available")

    if obstacle == "no locks":
        monkeypatch.setattr(fcntl, "flock", refuse)
    else:
        monkeypatch.setattr(module, "PATIENCE", 0.0)
    meet, found = threading.Barrier(2, timeout=60), []

    def compute():
        meet.wait()  # both are at it
        return VALUES

    threads = [
        threading.Thread(target=lambda: found.append(store.array("squares", (), compute))) for _ in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for values in found:
        np.testing.assert_array_equal(values, VALUES)
    assert len(found) == 2 and kept_file(store).suffix == ".npy"


def full(*given, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_one_warning_and_no_trial(store, monkeypatch):
    store.array("kept before", (), Counted())
    monkeypatch.setattr(np.lib.format, "write_array", full)
    compute = Counted()
    with pytest.warns(
        StoreWarning, match=r"samples: what trials share cannot be kept \(No space left"
    ) as told:
        for _ in range(2):
            np.testing.assert_array_equal(store.array("squares", (), compute), VALUES)
    assert (len(told), compute.calls) == (1, 2)
    assert [Path(name).suffix for name in files(store)] == [".npy"]  # nothing half-written
    before = Counted()
    store.array("kept before", (), before)
    assert before.calls == 0


def test_a_disk_is_not_filled_to_the_brim(store, monkeypatch):
    usage = type("Usage", (), {"free": VALUES.nbytes + module.SPARE - 1})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    with pytest.warns(StoreWarning, match="1.0 GB are free, 1.0 GB needed"):
        store.array("squares", (), Counted())
    usage.free += 1
    SampleStore(store.folder).array("squares", (), Counted())
    assert kept_file(store).suffix == ".npy"


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(StoreWarning, match="Not a directory.*set GLACIER_ML_CACHE to another folder"):
        found = SampleStore(tmp_path / "file" / "samples").array("squares", (), Counted())
    np.testing.assert_array_equal(found, VALUES)


def test_what_computing_raises_is_not_hidden_and_leaves_nothing(store):
    with pytest.raises(OSError, match="No space left"):  # the computation's own, not the store's
        store.array("squares", (), full)
    assert files(store) == []


def test_a_store_is_pickled_as_its_folder(store):
    store.array("squares", (), Counted())
    again = pickle.loads(pickle.dumps(store))
    assert again.folder == store.folder
    compute = Counted()
    again.array("squares", (), compute)
    assert compute.calls == 0
    assert len(pickle.dumps(store)) < 300


def aged(store, name, days, size=10):
    """A file of the store that was last used some days ago."""
    store.folder.mkdir(exist_ok=True)
    file = store.folder / name
    file.write_bytes(b"0" * size)
    used = time.time() - days * DAY
    os.utime(file, (used, used))


def test_what_was_unused_for_30_days_or_left_half_written_is_removed(store):
    ages = {"stack-1.npy": 29, "stack-2.npy": 31, "stack-3-a.partial": 4, "stack-4-b.partial": 2}
    for name, days in {**ages, "stack-5.lock": 4, "stack-6.lock": 1}.items():
        aged(store, name, days)
    store.sweep()
    assert files(store) == ["stack-1.npy", "stack-4-b.partial", "stack-6.lock"]


def test_beyond_its_bound_a_folder_loses_what_was_unused_for_longest(store, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 25)
    for name, days in {"a-1.npy": 10, "a-2.npy": 20, "a-3.npy": 5, "a-4.npy": 1}.items():
        aged(store, name, days)
    # 40 bytes: the oldest two go, and 20 remain
    store.sweep()
    assert files(store) == ["a-3.npy", "a-4.npy"]
    monkeypatch.setattr(module, "LARGEST", 5)
    store.sweep()
    assert files(store) == ["a-4.npy"]  # used yesterday: a training may be reading it


def test_reading_is_use(store):
    store.array("squares", (), Counted())
    file = kept_file(store)
    os.utime(file, (0, 0))
    store.array("squares", (), Counted())
    store.sweep()
    assert file.exists()


def test_the_store_lies_in_the_cache_and_is_swept_when_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path))
    aged(SampleStore(tmp_path / "samples"), "stack-1.npy", 31)
    opened = open_store()
    assert opened.folder == tmp_path / "samples" and files(opened) == []
    SampleStore().sweep()  # there is nothing to sweep


def test_a_user_without_a_home_is_told(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(module, "cache_folder", homeless)
    with pytest.warns(StoreWarning, match="Could not determine home directory.*set GLACIER_ML_CACHE"):
        assert open_store().folder is None
