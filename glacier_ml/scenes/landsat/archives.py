"""Archives of Landsat bundles, opened safely: tar in place, tar.gz and zip through a temporary folder."""

from __future__ import annotations

import gzip
import re
import stat
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn

from glacier_ml.errors import GlacierError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
"""How archives of bundles end."""

METADATA_FILE = re.compile(r"(?:^|_)MTL\.(?P<form>txt|json|xml)$", re.IGNORECASE)
"""Name of a bundle's metadata file in each of its forms."""

LARGEST_BUNDLE = 6 * 2**30
"""Bytes that an archive may unpack to. A whole OLI product has some 17 bands of 7800 x 7700 pixels of two
bytes (seven of 30 m, cirrus, two thermal, two of quality, four of angles) and a panchromatic one four times
as large: 2.5 GB. Twice that and more, chosen here."""

HIGHEST_RATIO = 100
"""Unpacked bytes for each byte of the archive. Landsat's DN shrink to a half or a third and its empty margins
to nothing: 10 would be much; deflate can reach 1032. Chosen here."""

ALWAYS_ALLOWED = 256 * 2**20
"""Bytes that any archive may unpack to, whatever the ratio: cut scenes may hold little else than fill. Chosen
here."""

MOST_MEMBERS = 1000
"""Members of an archive; a bundle has about 25. Chosen here."""

_CHUNK = 2**20
# Bytes that tarfile may ask for at once: a header has 512, a long name some more.
_LARGEST_HEADER = 2**16
_SUBFILE = re.compile(r"/vsisubfile/(?P<offset>\d+)_(?P<size>\d+),(?P<path>.*)", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")
_SPECIAL = (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)

# What the standard library raises at damaged archives, full disks and denied files; its archive modules let
# errors of number and text parsing through, and tarfile recurses from header to header.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    ArithmeticError,
    LookupError,
    MemoryError,
)


def _all(name: str) -> bool:
    return True


@contextmanager
def opened_files(path: Path, where: str, wanted: Callable[[str], bool] = _all) -> Iterator[dict[str, str]]:
    """Files of a bundle: of a folder, a tar, a tar.gz or a zip.

    The files lie at the archive's top or in one folder of it, the one with the metadata file (MTL). A folder
    and a tar are left as they are. Of a tar.gz and a zip the wanted files are unpacked to a temporary folder,
    under names made here; it is gone when the context ends, however it ends.

    Parameters
    ----------
    path : pathlib.Path
        Folder or archive; what an archive is, its first bytes tell.
    where : str
        What errors begin with: a scene's name.
    wanted : callable, optional
        Whether a file of this name has to be unpacked; default every one.

    Yields
    ------
    dict of str to str
        What GDAL and `content` can read, by file name: a path, or /vsisubfile/... for a part of a tar.

    Raises
    ------
    GlacierError
        Where the path is missing, damaged or encrypted, has no metadata file or several folders with one;
        where a member is there twice, leads out of the archive or is a link or a device; where more would be
        unpacked than a bundle can be.
    """
    with ExitStack() as stack:
        try:
            files = _files(path, where, wanted, stack)
        except _DAMAGE as error:
            reason = one_line(str(error)) or type(error).__name__
            raise GlacierError(
                f"{where}: {path.name} cannot be read ({reason}); download it again, or make room on the disk"
            ) from error
        yield _in_one_folder(files, path, where)


def content(location: str, where: str, most: int) -> bytes:
    """First bytes, `most` of them at most, of a file that `opened_files` told of.

    Raises
    ------
    GlacierError
        Where the file cannot be read.
    """
    part = _SUBFILE.fullmatch(location)
    try:
        with open(part["path"] if part else location, "rb") as file:
            if part:
                file.seek(int(part["offset"]))
                most = min(most, int(part["size"]))
            return file.read(most)
    except (OSError, ValueError) as error:
        raise GlacierError(
            f"{where}: {Path(location).name} cannot be read ({one_line(str(error))}); replace the file"
        ) from error


def _files(path: Path, where: str, wanted: Callable[[str], bool], stack: ExitStack) -> dict[str, str]:
    """What can be read by name inside the archive or folder."""
    if path.is_dir():
        return {file.name: str(file) for file in sorted(path.iterdir()) if file.is_file()}
    if not path.is_file():
        raise GlacierError(
            f"{where}: {path} does not exist; give a folder, .tar, .tar.gz or .zip of a Landsat bundle"
        )
    magic = content(str(path), where, 4)
    if magic.startswith(b"PK") or path.suffix.lower() == ".zip":
        return _unpacked_zip(path, where, wanted, _temporary(stack))
    if magic.startswith(b"\x1f\x8b"):
        return _unpacked_tar(path, where, wanted, _temporary(stack))
    return _tar_in_place(path, where)


def _temporary(stack: ExitStack) -> Path:
    return Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="glacier-ml-", ignore_cleanup_errors=True))
    )


def _in_one_folder(files: dict[str, str], path: Path, where: str) -> dict[str, str]:
    """The files beside the metadata file, by their names alone; hidden ones and macOS's own do not count."""
    seen = {PurePosixPath(name): location for name, location in files.items()}
    seen = {
        name: location
        for name, location in seen.items()
        if not any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
    }
    homes = {name.parent: name for name in sorted(seen) if METADATA_FILE.search(name.name)}
    if len(homes) > 1:
        both = " and ".join(one_line(str(name)) for name in list(homes.values())[:2])
        raise GlacierError(f"{where}: {path.name} holds two bundles ({both}); keep each in its own archive")
    if not homes:
        found = ", ".join(one_line(name.name) for name in sorted(seen)[:5]) or "no file"
        raise GlacierError(
            f"{where}: {path.name} has no metadata file (..._MTL.txt, .json or .xml; found {found}); "
            "add the one that came with the bands"
        )
    home = next(iter(homes))
    return {name.name: location for name, location in seen.items() if name.parent == home}


class _Tar:
    """A tar read from front to back, as a file that tarfile can use; it refuses more than `most` bytes.

    Parameters
    ----------
    file : file object
        The tar, perhaps unpacked on the way.
    most : int
        Position that must not be passed.
    refuse : callable
        Raises the error of an archive that passes it.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, most: int, refuse: Callable[[], NoReturn]) -> None:
        self._file, self._most, self._refuse = file, most, refuse
        self.last = b""

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> None:
        """Go forward; a member that begins before the last one's end is no honest one."""
        if position > self._most:
            self._refuse()
        if position < self._file.tell():
            raise tarfile.ReadError("its members overlap")
        self._file.seek(position)

    def read(self, size: int) -> bytes:
        """Bytes of a header."""
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self.last = self.chunk(size)
        return self.last

    def chunk(self, size: int) -> bytes:
        """Bytes of anything."""
        read = self._file.read(min(size, _CHUNK))
        if self._file.tell() > self._most:
            self._refuse()
        return read

    def members(self, path: Path, where: str) -> Iterator[tarfile.TarInfo]:
        """Files of the tar, each checked, in their order."""
        names: set[str] = set()
        with tarfile.open(fileobj=self, mode="r:") as tar:  # type: ignore[call-overload]  # a reader is enough
            while (member := tar.next()) is not None:
                name = _checked(member.name, names, path, where)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    _refuse_kind(name, path, where)
                if member.offset_data + member.size > self._most:
                    self._refuse()
                yield member
        # Where a header is damaged, tarfile ends as if the archive ended there; two blocks of zeros end it.
        if self.last.strip(b"\0") or len(self.last) not in (0, 512):
            raise tarfile.ReadError("a damaged header")


def _tar_in_place(path: Path, where: str) -> dict[str, str]:
    # GDAL's /vsisubfile/ reads a part of a file as a file: nothing needs to be unpacked.
    whole = path.absolute()
    with path.open("rb") as file:
        tar = _Tar(file, sys.maxsize, lambda: _bomb(path, where))
        return {
            _inside(member.name): f"/vsisubfile/{member.offset_data}_{member.size},{whole}"
            for member in tar.members(path, where)
        }


def _unpacked_tar(path: Path, where: str, wanted: Callable[[str], bool], folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    with gzip.open(path) as file:
        tar = _Tar(file, _allowance(path), lambda: _bomb(path, where))
        for member in tar.members(path, where):
            name = _inside(member.name)
            files[name] = _target(folder, len(files), name)
            if wanted(PurePosixPath(name).name):
                tar.seek(member.offset_data)
                _copy(tar.chunk, member.size, files[name])
        while tar.chunk(_CHUNK):  # gzip compares its checksum at the very end
            pass
    return files


def _unpacked_zip(path: Path, where: str, wanted: Callable[[str], bool], folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive:
        members = list(_zip_members(archive, path, where))
        # Sizes that lie are no danger: zipfile reads no more of a member than it declares.
        if sum(member.file_size for member in members) > _allowance(path):
            _bomb(path, where)
        for member in members:
            name = _inside(member.orig_filename)
            files[name] = _target(folder, len(files), name)
            if wanted(PurePosixPath(name).name):
                with archive.open(member) as stream:
                    _copy(stream.read, member.file_size, files[name])
    return files


def _zip_members(archive: zipfile.ZipFile, path: Path, where: str) -> Iterator[zipfile.ZipInfo]:
    """Files of the zip, each checked."""
    names: set[str] = set()
    for member in archive.infolist():
        name = _checked(member.orig_filename, names, path, where)
        if stat.S_IFMT(member.external_attr >> 16) in _SPECIAL:
            _refuse_kind(name, path, where)
        if member.orig_filename.endswith("/"):
            continue
        if member.flag_bits & 1:
            raise GlacierError(f"{where}: {name} in {path.name} is encrypted; unpack it with its password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise GlacierError(
                f"{where}: {name} in {path.name} is packed by method {member.compress_type}, not deflate; "
                "unpack it and give the folder"
            )
        yield member


def _checked(name: str, names: set[str], path: Path, where: str) -> str:
    """Name of a member, for errors, where nothing speaks against it."""
    shown, inside = one_line(name), _inside(name)
    unsafe = (
        name.startswith("/")
        or "\\" in name
        or _DRIVE.match(name)
        or ".." in PurePosixPath(name).parts
        or not name.isprintable()
        or not name
    )
    if unsafe:
        raise GlacierError(
            f"{where}: {path.name} has a member with an unsafe name, '{shown}'; "
            "unpack it with care and give the folder"
        )
    if inside in names:
        raise GlacierError(f"{where}: {path.name} holds {shown} twice; keep one of them")
    if len(names) >= MOST_MEMBERS:
        raise GlacierError(
            f"{where}: {path.name} has more than {MOST_MEMBERS} members, a bundle about 25; give one bundle"
        )
    names.add(inside)
    return shown


def _refuse_kind(name: str, path: Path, where: str) -> NoReturn:
    raise GlacierError(
        f"{where}: {name} in {path.name} is no plain file but a link, a device or the like; "
        "pack the files themselves"
    )


def _bomb(path: Path, where: str) -> NoReturn:
    raise GlacierError(
        f"{where}: {path.name} unpacks to more than {_allowance(path)} bytes, too much for a Landsat bundle "
        "of its size; unpack it yourself and give the folder"
    )


def _allowance(path: Path) -> int:
    """Bytes that an archive may unpack to."""
    return min(LARGEST_BUNDLE, max(ALWAYS_ALLOWED, HIGHEST_RATIO * path.stat().st_size))


def _inside(name: str) -> str:
    """Name without './' and '//': one file has one name."""
    return str(PurePosixPath(name))


def _target(folder: Path, number: int, name: str) -> str:
    # The suffix tells GDAL nothing, but errors and people something; it is one of ours.
    suffix = PurePosixPath(name).suffix.lower()
    return str(folder / f"{number:03d}{suffix if suffix in ('.tif', '.txt', '.json', '.xml') else ''}")


def _copy(read: Callable[[int], bytes], size: int, target: str) -> None:
    """Write the next `size` bytes, a chunk at a time."""
    with open(target, "xb") as file:
        while size > 0:
            chunk = read(min(size, _CHUNK))
            if not chunk:
                raise EOFError("a member is cut short")
            file.write(chunk)
            size -= len(chunk)


def one_line(text: str, most: int = 200) -> str:
    r"""One printable line of at most so many characters, for errors that quote a file.

    Examples
    --------
    >>> one_line("WGS 84\n\x1eUTM")
    'WGS 84 UTM'
    """
    line = " ".join(text.split())[:most]
    return "".join(letter if letter.isprintable() else "?" for letter in line)
