"""What trials share: arrays computed once, kept as .npy files, and read as memory maps by every process."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MADE_BY = ("features", "recipe", "report_features", "samples", "splits", "store", "stored_scenes", "tiles")
"""Modules of this folder that what is kept depends on: where one changes, it is computed anew."""

DAY = 86_400.0  # s
UNUSED = 30 * DAY  # after which a file is removed
RECENT = 3 * DAY  # for which it stays whatever the size of the folder: a training may still be reading it
LARGEST = 20e9  # bytes of a folder, beyond which those unused for longest go
SPARE = 1e9  # bytes that a disk keeps free: the runs and models of a study are written there, too
PATIENCE = 600.0  # s that one process waits for what another computes


class StoreWarning(UserWarning):
    """What trials share cannot be kept: each computes it for itself."""


class SampleStore:
    """A folder of arrays that are named by what they depend on.

    Any number of processes use one folder at a time. Who needs an array first computes it, the others wait.
    A file is written beside and renamed: it is whole or not there. Where it cannot be written (a full disk,
    a folder of another user) there is one warning, and the process goes on with what it has in memory.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Made where missing; None keeps nothing. It is all that a store is pickled as.

    Examples
    --------
    >>> SampleStore().array("twos", (3,), lambda: np.full(3, 2)).tolist()
    [2, 2, 2]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._writes = folder is not None

    def __reduce__(self) -> tuple[type[SampleStore], tuple[Path | None]]:
        return SampleStore, (self.folder,)

    def array(self, product: str, depends_on: tuple[object, ...], compute: Callable[[], NDArray]) -> NDArray:
        """Give an array: as a read-only memory map of what is kept, or computed now.

        Parameters
        ----------
        product : str
            What it is, in a word: the file's name begins with it.
        depends_on : tuple
            All that decides the values, the code apart; of plain types, whose `repr` tells them.
        compute : callable
            Called without arguments where the array is not kept.
        """
        if self.folder is None:
            return compute()
        path = self.folder / f"{product}-{_digest(product, depends_on)}.npy"
        if (kept := _open(path)) is not None:
            return kept
        if not self._writes:
            return compute()
        with _turn(path):
            if (kept := _open(path)) is not None:
                return kept
            return self._keep(path, compute())

    def _keep(self, path: Path, values: NDArray) -> NDArray:
        try:
            _write(path, values)
        except OSError as error:
            self._writes = False
            warnings.warn(
                f"{path.parent}: what trials share cannot be kept ({error.strerror or error}); each computes "
                "it for itself: free some space or set GLACIER_ML_CACHE to another folder",
                StoreWarning,
                stacklevel=2,
            )
            return values
        kept = _open(path)
        return values if kept is None else kept

    def sweep(self) -> None:
        """Remove what was unused for 30 days or left half-written; beyond 20 GB what was unused for longest.

        What was used within the last three days stays.
        """
        now, kept = time.time(), []
        for file in sorted(self.folder.glob("*-*.*")) if self.folder else []:
            with suppress(OSError):  # another process, or another user's
                told = file.stat()
                age = now - told.st_mtime
                if age > (UNUSED if file.suffix == ".npy" else RECENT):
                    file.unlink()
                elif file.suffix == ".npy":
                    kept.append((told.st_mtime, told.st_size, file))
        size = sum(one[1] for one in kept)
        for used, bytes_, file in sorted(kept):
            if size <= LARGEST or now - used < RECENT:
                return
            with suppress(OSError):
                file.unlink()
                size -= bytes_


def open_store() -> SampleStore:
    """Open the store of all studies, swept: `samples` in GLACIER_ML_CACHE or ~/.cache/glacier_ml."""
    try:
        store = SampleStore(cache_folder())
    except RuntimeError as error:  # a user without a home
        warnings.warn(
            f"what trials share cannot be kept ({error}); set GLACIER_ML_CACHE to a folder",
            StoreWarning,
            stacklevel=2,
        )
        return SampleStore()
    store.sweep()
    return store


def cache_folder() -> Path:
    """Folder of what the trials of all studies share."""
    return Path(os.environ.get("GLACIER_ML_CACHE") or Path.home() / ".cache" / "glacier_ml") / "samples"


def _digest(product: str, depends_on: tuple[object, ...]) -> str:
    return hashlib.sha256(repr((product, depends_on, _code())).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """Digest of the code that computes what is kept, and numpy's version."""
    here = Path(__file__).parent
    state = hashlib.sha256(np.__version__.encode())
    for source in [*(here / f"{module}.py" for module in MADE_BY), here.parent / "scenes" / "scene.py"]:
        state.update(source.read_bytes())
    return state.hexdigest()


def _open(path: Path) -> NDArray | None:
    """A file's array as a memory map; None where there is none, or not a whole one."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):
        return None
    with suppress(OSError):  # another user's file
        os.utime(path)  # `sweep` goes by when it was last used
    return values.view(np.ndarray)


def _write(path: Path, values: NDArray) -> None:
    """Write beside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < values.nbytes + SPARE:
        needed = (values.nbytes + SPARE) / 1e9
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free, {needed:.1f} GB needed")
    # Random: the folder may be another machine's, where numbers of processes come twice.
    partial = path.with_name(f"{path.stem}-{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())  # or a power failure leaves the name without the values
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait while another process computes the same.

    Nothing hangs on it but work done twice: where a file system knows no locks, or the wait is too long, both
    compute and the later one's file takes the place of the equal other.
    """
    import fcntl

    lock = path.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    except OSError:  # `_write` says why
        yield
        return
    with handle:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
