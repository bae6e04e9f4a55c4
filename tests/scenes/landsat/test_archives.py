"""Archives of bundles: which files they give, and what they refuse, with nothing left behind."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile

import pytest
from landsat_bundles import archive_bytes

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat import archives
from glacier_ml.scenes.landsat.archives import content, opened_files

CONTAINERS = ("folder", "tar", "tar.gz", "zip")
pytestmark = pytest.mark.usefixtures("temporary")

BUNDLE = {"X_MTL.txt": b"GROUP = X\n", "X_B1.TIF": b"II*\0" + bytes(range(256)), "X_B8.TIF": b"II*\0pan"}


def written(tmp_path, container, members=BUNDLE):
    """An archive (or folder) of members, alone in a folder."""
    place = tmp_path / "shelf"
    place.mkdir(exist_ok=True)
    if container == "folder":
        for name, data in members.items():
            (place / name).write_bytes(data)
        return place
    path = place / f"bundle.{container}"
    path.write_bytes(archive_bytes(members, container))
    return path


def tar_of(tmp_path, *members, container="tar"):
    """A tar of members made by hand, each a TarInfo or a pair of it and its bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            archive.addfile(info, io.BytesIO(data))
    path = tmp_path / f"bundle.{container}"
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data) if container == "tar.gz" else data)
    return path


def member(name, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def read(path, wanted=lambda name: True):
    """Content of each file that can be read."""
    with opened_files(path, "2007", wanted) as files:
        return {name: content(place, "2007", 1000) for name, place in files.items() if wanted(name)}


def refusal(path, wanted=lambda name: True):
    """The one line that an archive is refused with; nothing but the archive is there afterwards."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(GlacierError) as caught, opened_files(path, "2007", wanted):
        pytest.fail("it was opened")
    assert sorted(path.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("2007: ")
    return str(caught.value)


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("inside", ["", "LT05/", "./", "./LT05/"])
def test_files_lie_at_the_top_or_in_one_folder(tmp_path, container, inside):
    others = {".hidden": b"", "readme.md": b"r"} if inside.strip("./") else {".hidden": b""}
    members = {f"{inside}{name}": data for name, data in BUNDLE.items()} | others
    assert read(written(tmp_path, container, members)) == BUNDLE


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
def test_only_what_is_wanted_is_unpacked_under_names_of_our_own(tmp_path, temporary, container):
    path = written(tmp_path, container)
    with opened_files(path, "2007", lambda name: name != "X_B8.TIF") as files:
        unpacked = sorted(temporary.rglob("*.*"))
        assert [file.name for file in unpacked] == ["000.txt", "001.tif"]
        assert [str(file) for file in unpacked] == [files["X_MTL.txt"], files["X_B1.TIF"]]


@pytest.mark.parametrize("container", ["folder", "tar"])
def test_folders_and_tars_are_read_in_place(tmp_path, temporary, container):
    with opened_files(written(tmp_path, container), "2007") as files:
        assert list(temporary.iterdir()) == []
        assert set(files) == set(BUNDLE)


def test_a_part_of_a_tar_ends_with_the_part(tmp_path):
    # 10 bytes of MTL, then 502 zeros up to the next header: none of these may be read.
    with opened_files(written(tmp_path, "tar"), "2007") as files:
        assert content(files["X_MTL.txt"], "2007", 10_000) == b"GROUP = X\n"
        assert content(files["X_MTL.txt"], "2007", 5) == b"GROUP"


@pytest.mark.parametrize("container", ["tar", "tar.gz"])
def test_the_content_tells_the_kind_of_archive(tmp_path, container):
    # A browser may have unpacked a .tar.gz without changing its name.
    path = written(tmp_path, container)
    other = path.with_name("bundle.tar.gz" if container == "tar" else "bundle.tar")
    assert read(path.rename(other)) == BUNDLE


@pytest.mark.parametrize("error", [KeyboardInterrupt, GlacierError("2007: x"), ValueError])
@pytest.mark.parametrize("container", CONTAINERS)
def test_what_was_unpacked_goes_whatever_happens_inside(tmp_path, container, error):
    # The fixture holds that nothing is left.
    path = written(tmp_path, container)
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), opened_files(path, "2007"):
        raise error


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
def test_what_was_unpacked_goes_on_an_interrupt_while_unpacking(tmp_path, temporary, container):
    def interrupt(name):
        if name == "X_B1.TIF":
            assert len(list(temporary.rglob("*.txt"))) == 1
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt), opened_files(written(tmp_path, container), "2007", interrupt):
        pytest.fail("it was opened")


NASTY = [
    "/etc/passwd",
    "../X_B1.TIF",
    "a/../../X_B1.TIF",
    "..",
    "C:\\X_B1.TIF",
    "C:X_B1.TIF",
    "..\\X_B1.TIF",
    "\\\\server\\share\\X_B1.TIF",
    "X\n_B1.TIF",
    "X\x1b[2J.TIF",
]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
def test_names_that_lead_out_are_refused(tmp_path, container, name):
    path = written(tmp_path, container, BUNDLE | {name: b"II*\0"})
    assert "unsafe name" in refusal(path)
    assert not (tmp_path / "X_B1.TIF").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("container", ["tar", "tar.gz"])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, container, kind):
    # The link comes first: tools that follow it write the next member to where it points.
    link = member("X_B1.TIF", kind, linkname="/etc/passwd")
    path = tar_of(tmp_path, link, member("X_MTL.txt"), container=container)
    assert "X_B1.TIF in bundle.tar" in (told := refusal(path))
    assert "no plain file" in told


def test_sparse_members_are_refused(tmp_path):
    # Their data are not in one piece: header fields say where each piece belongs.
    headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": "512", "GNU.sparse.numblocks": "1"}
    sparse = member("X_B1.TIF", size=512, pax_headers=headers)
    assert "no plain file" in refusal(tar_of(tmp_path, member("X_MTL.txt"), (sparse, bytes(512))))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip_are_refused(tmp_path, kind):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("X_B1.TIF")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("X_MTL.txt", "GROUP")
    assert "no plain file" in refusal(path)


@pytest.mark.parametrize("second", ["X_B1.TIF", "./X_B1.TIF", ".//X_B1.TIF"])
@pytest.mark.parametrize("container", ["tar", "tar.gz"])
def test_a_tar_that_holds_a_file_twice_is_refused(tmp_path, container, second):
    path = tar_of(tmp_path, member("X_MTL.txt"), member("X_B1.TIF"), member(second), container=container)
    assert "twice; keep one" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_file_twice_is_refused(tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X_MTL.txt", "1")
        archive.writestr("X_MTL.txt", "2")
    assert "X_MTL.txt twice; keep one" in refusal(path)


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
def test_two_bundles_in_one_archive_are_refused(tmp_path, container):
    path = written(tmp_path, container, {"a/X_MTL.txt": b"1", "b/Y_MTL.json": b"2", "b/Y_B1.TIF": b"3"})
    assert "a/X_MTL.txt and b/Y_MTL.json" in refusal(path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_archive_without_metadata_says_what_it_has(tmp_path, container):
    path = written(tmp_path, container, {"X_B1.TIF": b"II*\0"})
    assert "has no metadata file (..._MTL.txt, .json or .xml; found X_B1.TIF)" in refusal(path)


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip", "folder"])
def test_an_empty_archive_is_refused(tmp_path, container):
    assert "found no file" in refusal(written(tmp_path, container, {}))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "zip"])
@pytest.mark.parametrize(
    "data", [b"", b"no archive", b"no archive" * 1000, b"PK\5\6", b"\x1f\x8b\x08", bytes(512)]
)
def test_what_is_no_archive_is_refused(tmp_path, suffix, data):
    path = tmp_path / f"bundle.{suffix}"
    path.write_bytes(data)
    assert f"bundle.{suffix}" in refusal(path)


def test_what_does_not_exist_is_refused(tmp_path):
    assert "does not exist; give a folder, .tar" in refusal(tmp_path / "bundle.tar")


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path, container):
    # The tar's last block of data ends at 3 x 1024. No end tried here lies between two members, where
    # the rest would be a whole, shorter tar.
    path = written(tmp_path, container)
    whole = path.read_bytes()
    ends = range(0, 3 * 1024 if container == "tar" else len(whole), 37)
    for end in ends:
        path.write_bytes(whole[:end])
        refusal(path)


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
def test_a_changed_byte_is_told_by_the_checksum(tmp_path, container):
    path = written(tmp_path, container, BUNDLE | {"X_B2.TIF": bytes(5000)})
    whole = bytearray(path.read_bytes())
    middle = whole.index(b"X_B1.TIF") + 30 if container == "zip" else len(whole) // 2
    whole[middle] ^= 0x10
    path.write_bytes(whole)
    assert "cannot be read" in refusal(path)


def test_a_tar_with_a_damaged_header_is_refused(tmp_path):
    # X_MTL.txt: header at 0, data at 512; X_B1.TIF: header at 1024. tarfile would end there without a word.
    path = written(tmp_path, "tar")
    whole = bytearray(path.read_bytes())
    whole[1024 + 100] ^= 1
    path.write_bytes(whole)
    assert "a damaged header" in refusal(path)


@pytest.mark.parametrize("flag", [0x1, 0x41, 0x2001])
def test_an_encrypted_zip_is_refused(tmp_path, flag):
    path = written(tmp_path, "zip")
    whole = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = whole.index(signature) + offset
        struct.pack_into("<H", whole, at, flag)
    path.write_bytes(whole)
    assert "is encrypted" in refusal(path)


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_a_zip_of_another_method_is_refused(tmp_path, method):
    path = written(tmp_path, "zip")
    whole = bytearray(path.read_bytes())
    struct.pack_into("<H", whole, whole.index(b"PK\1\2") + 10, method)
    path.write_bytes(whole)
    assert f"packed by method {method}, not deflate" in refusal(path)


@pytest.fixture
def small_allowance(monkeypatch):
    """Ten thousand bytes for every archive, ten for each of its own beyond that, a million at most."""
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 10_000)
    monkeypatch.setattr(archives, "HIGHEST_RATIO", 10)
    monkeypatch.setattr(archives, "LARGEST_BUNDLE", 1_000_000)


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
@pytest.mark.parametrize("name", ["X_B1.TIF", "X_B8.TIF"])
@pytest.mark.usefixtures("small_allowance")
def test_a_bomb_is_refused_by_its_ratio(tmp_path, container, name):
    # 2 MB of zeros shrink to some 2 kB: ratio 1000. It does not matter whether the member is wanted.
    path = written(tmp_path, container, BUNDLE | {name: bytes(2_000_000)})
    assert path.stat().st_size < 10_000
    assert "unpacks to more than" in refusal(path, lambda name: name != "X_B8.TIF")


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
@pytest.mark.usefixtures("small_allowance")
def test_a_bomb_is_refused_by_its_size(tmp_path, container):
    # Noise does not shrink: the ratio is one, and the size alone speaks.
    noise = random.Random(0).randbytes(1_100_000)
    path = written(tmp_path, container, BUNDLE | {"X_B1.TIF": noise})
    assert "unpacks to more than 1000000 bytes" in refusal(path)


@pytest.mark.usefixtures("small_allowance")
def test_no_more_is_written_than_a_zip_declares(tmp_path):
    # The size that the central directory declares is made 300: less than what the member holds.
    path = written(tmp_path, "zip", {"X_B1.TIF": bytes(2_000_000), "X_MTL.txt": b"1"})
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, whole.index(b"PK\1\2") + 24, 300)
    path.write_bytes(whole)
    assert "Bad CRC-32" in refusal(path)


@pytest.mark.parametrize("container", ["tar", "tar.gz"])
def test_a_tar_that_declares_what_it_has_not_is_refused(tmp_path, container):
    # 8 GiB declared, in a header of its own form for sizes beyond octal digits; nothing follows.
    header = member("X_B1.TIF", size=8 * 2**30).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / f"bundle.{container}"
    path.write_bytes(gzip.compress(header) if container == "tar.gz" else header)
    assert "2007: bundle.tar" in refusal(path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, kind):
    # tarfile takes the text of such headers into memory whole: here 50 MB of zeros, packed to 50 kB.
    header = member("X_MTL.txt", kind, size=50_000_000).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(gzip.compress(header + bytes(50_000_000)))
    assert "a header of 500" in refusal(path)


@pytest.mark.parametrize("size", [-1024, -512, -1])
def test_a_tar_that_leads_back_into_itself_is_refused(tmp_path, size):
    # A negative size would have the next header read from before this one, for ever.
    header = bytearray(member("X_MTL.txt").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", size)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "bundle.tar"
    path.write_bytes(header * 4)
    refusal(path)


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
def test_an_archive_of_very_many_members_is_refused(tmp_path, monkeypatch, container):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 50)
    path = written(tmp_path, container, BUNDLE | {f"{number}.txt": b"" for number in range(60)})
    assert "more than 50 members" in refusal(path)


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
def test_a_full_disk_is_told(tmp_path, monkeypatch, container):
    def full(read, size, target):
        raise OSError(28, "No space left on device")

    path = written(tmp_path, container)
    monkeypatch.setattr(archives, "_copy", full)
    assert "No space left on device" in refusal(path)
