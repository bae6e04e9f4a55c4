"""Damaged bundles of every kind: a scene or one line of GlacierError, and no file left anywhere."""

import gzip
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landsat_bundles import archive_bytes, band_file, made_bundle, product_id
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.bundles import open_bundle
from glacier_ml.scenes.scene import Scene

# Five kinds of damage: 500 inputs in all, 10,000 in the thorough tier.
QUICK = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
THOROUGH = settings(QUICK, max_examples=2_000)
ARCHIVES = ("tar", "tar.gz", "zip")
MTL = f"{product_id()}_MTL.txt"
BLUE = band_file("TM", "C2", 1)

NAMES = st.one_of(
    st.sampled_from(
        [MTL, BLUE, "../x", "/etc/x", "..", ".", "C:\\x", "a\\..\\x", "x/", "./", "a/../../x", ""]
    ),
    st.builds(
        "{}/{}".format, st.sampled_from(["a", "..", "/", "__MACOSX", "."]), st.sampled_from([MTL, BLUE])
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=150),
)
FLIPS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=6)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder to put damaged bundles in, beside the folder where temporary folders are made."""
    folder = tmp_path_factory.mktemp("fuzz") / "shelf"
    (folder.parent / "temporary").mkdir()
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder.parent / "temporary"))
        yield folder


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """A sound bundle's files, bytes by name."""
    folder = made_bundle(tmp_path_factory.mktemp("sound") / "bundle", shape=(2, 3), drop=("B6",))
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def holds(path):
    """Read some of a bundle: a scene or one line, and every file is where and what it was before."""
    top = path.parent.parent
    before = {file: file.stat().st_size for file in top.rglob("*")}
    try:
        with open_bundle(path, "fuzz", None) as source:
            rows, columns = source.grid.shape
            scene = source.read(Window(0, 0, min(columns, 8), min(rows, 8)))
    except GlacierError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).startswith("fuzz: ")
    else:
        assert isinstance(scene, Scene)
    assert {file: file.stat().st_size for file in top.rglob("*")} == before


def flipped(data, flips, end=None):
    """Bytes with some of them changed, and cut at `end` where it lies inside."""
    changed = bytearray(data)
    for place, value in flips:
        changed[place % len(changed)] ^= value
    return bytes(changed) if end is None else bytes(changed[: end % (len(changed) + 1)])


def placed(shelf, container, data):
    path = shelf / f"bundle.{container}"
    path.write_bytes(data)
    return path


def check_archive(shelf, members, container, flips, end):
    holds(placed(shelf, container, flipped(archive_bytes(members, container), flips, end)))


def check_tar_inside(shelf, members, flips, headers):
    # Under gzip's checksum, and in the members' headers (512 bytes before each content) rather than anywhere.
    tar = bytearray(archive_bytes(members, "tar"))
    starts = [place for place in range(0, len(tar), 512) if tar[place + 257 : place + 262] == b"ustar"]
    for place, value in headers:
        tar[starts[place % len(starts)] + (place // 7) % 512] ^= value
    holds(placed(shelf, "tar.gz", gzip.compress(flipped(tar, flips), 1)))


def check_names(shelf, members, container, names, whole):
    data = {name: members[BLUE] if number % 2 else members[MTL] for number, name in enumerate(names)}
    holds(placed(shelf, container, archive_bytes((members if whole else {}) | data, container)))


def check_file(shelf, members, container, name, flips, end):
    changed = members | {name: flipped(members[name], flips, end)}
    holds(placed(shelf, container, archive_bytes(changed, container)))


def check_lines(shelf, members, moves, values):
    """Lines of the metadata are lost, doubled or get other values."""
    lines = members[MTL].decode().splitlines()
    for source, target in moves:
        lines.insert(
            target % len(lines), lines.pop(source % len(lines)) if source % 3 else lines[target % len(lines)]
        )
    for place, value in values:
        key = lines[place % len(lines)].partition("=")[0]
        lines[place % len(lines)] = f"{key}= {value}"
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    holds(placed(shelf, "tar", archive_bytes(members | {MTL: text}, "tar")))


ENDS = st.none() | st.integers(0, 2**20)
VALUES = (
    st.text(max_size=20)
    | st.floats().map(repr)
    | st.integers().map(str)
    | st.sampled_from(["", '"', "nan", "1e999"])
)
CASES = {
    check_archive: (st.sampled_from(ARCHIVES), FLIPS, ENDS),
    check_tar_inside: (FLIPS, FLIPS),
    check_names: (st.sampled_from(ARCHIVES), st.lists(NAMES, max_size=6), st.booleans()),
    check_file: (
        st.sampled_from(ARCHIVES),
        st.sampled_from([BLUE, MTL, BLUE.replace("B1", "QA_PIXEL")]),
        FLIPS,
        ENDS,
    ),
    check_lines: (
        st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=4),
        st.lists(st.tuples(st.integers(0, 999), VALUES), max_size=4),
    ),
}


@pytest.mark.parametrize("check", CASES, ids=lambda check: check.__name__)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_bundles_end_in_a_scene_or_one_line(shelf, members, check):
    QUICK(given(st.tuples(*CASES[check]))(lambda case: check(shelf, members, *case)))()


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("check", CASES, ids=lambda check: check.__name__)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_very_many_damaged_bundles_end_in_a_scene_or_one_line(shelf, members, check):
    THOROUGH(given(st.tuples(*CASES[check]))(lambda case: check(shelf, members, *case)))()
