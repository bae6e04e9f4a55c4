"""Imports that end otherwise than planned: full disks, signals, others at work, things in the way."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from landsat_bundles import made_bundle, packed, product_id

from glacier_ml.errors import GlacierError
from glacier_ml.scenes import importing
from glacier_ml.scenes.importing import ImportOptions, import_scene
from glacier_ml.scenes.reading import open_scene


@pytest.fixture
def bundle(tmp_path):
    """A made Collection 2 bundle of Landsat 5."""
    return made_bundle(tmp_path / "bundle")


def noisy_bundle(folder, side):
    """A bundle whose numbers do not shrink when they are packed."""
    noise = np.random.default_rng(0)
    numbers = {f"B{number}": noise.integers(1, 255, (side, side)) for number in (1, 2, 3, 4, 5, 7)}
    return made_bundle(folder, shape=(side, side), replace=numbers)


def import_within(bytes_a_file, source, output):
    """Import while no file may grow beyond a size, as on a disk that is full there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, hard))
    try:
        import_scene(source, output, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("lacking", [60, 600, 20_000, 100_000, 150_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, lacking):
    bundle = noisy_bundle(tmp_path / "bundle", 300)
    (whole,) = import_scene(bundle, tmp_path / "whole", progress=False)
    largest = max(file.stat().st_size for file in whole.folder.iterdir())
    with pytest.raises(GlacierError, match="scenes/.*: cannot be written .*; choose another output"):
        import_within(largest - lacking, bundle, tmp_path / "scenes")
    assert not (tmp_path / "scenes").exists()


def test_the_source_is_never_replaced(tmp_path):
    shelf = tmp_path / "shelf"
    bundle = made_bundle(shelf / product_id())
    before = sorted(bundle.iterdir())
    with pytest.raises(GlacierError, match="is the source itself and would be lost; name another output"):
        import_scene(bundle, shelf, ImportOptions(overwrite=True), progress=False)
    assert sorted(bundle.iterdir()) == before


def test_a_scene_that_another_import_made_meanwhile_stays(tmp_path, bundle, monkeypatch):
    finish = importing._finish

    def overtaken(*given):
        finish(*given)
        (tmp_path / "scenes" / product_id()).mkdir(exist_ok=True)
        (tmp_path / "scenes" / product_id() / "theirs").touch()

    monkeypatch.setattr(importing, "_finish", overtaken)
    with pytest.raises(GlacierError, match="made by another import meanwhile"):
        import_scene(bundle, tmp_path / "scenes", progress=False)
    assert [file.name for file in (tmp_path / "scenes").rglob("*")] == [product_id(), "theirs"]


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_whatever_is_in_the_way_is_replaced_on_purpose_alone(tmp_path, bundle, kind):
    place, other = tmp_path / "scenes" / product_id(), tmp_path / "other"
    place.parent.mkdir()
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(other)
    if kind == "link to a folder":
        other.mkdir()
        (other / "kept").touch()
    with pytest.raises(GlacierError, match="is there already"):
        import_scene(bundle, place.parent, progress=False)
    import_scene(bundle, place.parent, ImportOptions(overwrite=True), progress=False)
    assert os.listdir(place.parent) == [product_id()] and not place.is_symlink()
    assert kind != "link to a folder" or (other / "kept").exists()


def test_the_old_scene_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, bundle, monkeypatch):
    (first,) = import_scene(bundle, tmp_path / "scenes", progress=False)
    replace = type(tmp_path).replace

    def torn(path, target):
        if not path.name.endswith("-old") and target == first.folder:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", torn)
    with pytest.raises(KeyboardInterrupt):
        import_scene(bundle, tmp_path / "scenes", ImportOptions(overwrite=True), progress=False)
    assert os.listdir(tmp_path / "scenes") == [first.name]
    assert open_scene(first.folder).valid.any()


@pytest.mark.parametrize("path", ["~nosuchuser/x", "x" * 300, "a\0b", "loop"], ids=repr)
def test_paths_that_cannot_be_are_told_in_one_line(tmp_path, bundle, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(GlacierError, match="output: .* cannot be reached .*; check the path"):
        import_scene(bundle, path, progress=False)
    with pytest.raises(GlacierError, match="source: .* cannot be reached"):
        import_scene(path, "scenes", progress=False)
    with pytest.raises(GlacierError, match="cannot be reached"):
        open_scene(path)
    assert sorted(os.listdir(tmp_path)) == ["bundle", "loop"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"outlines": "nowhere.gpkg"}, "outlines: nowhere.gpkg does not exist"),
        ({"outlines": "x" * 300}, "outlines: .* cannot be reached"),
        ({"sensor": "foo"}, "sensor: sensor 'foo' is not known"),
    ],
)
def test_choices_are_checked_before_any_work(tmp_path, bundle, chosen, message):
    with pytest.raises(GlacierError, match=message):
        import_scene(bundle, tmp_path / "scenes", ImportOptions(**chosen), progress=False)
    assert not (tmp_path / "scenes").exists()


def test_a_name_that_is_no_unicode_is_told_in_one_line(tmp_path, bundle):
    name = os.fsdecode(b"sc\xe8ne")
    with pytest.raises(GlacierError, match="cannot be written"):
        import_scene(bundle, tmp_path / name, progress=False)
    assert os.listdir(tmp_path) == ["bundle"]


def _hear_signals():
    """Undo what nohup and shells do to what runs in the background: some signals are ignored there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", ["unpacking", "writing"])
def test_a_told_end_leaves_nothing(tmp_path, stage, number):
    bundle = noisy_bundle(tmp_path / "bundle", 2000)
    source = packed(bundle, "tar.gz") if stage == "unpacking" else bundle
    temporary, output = tmp_path / "temporary", tmp_path / "scenes"
    temporary.mkdir()
    command = [sys.executable, "-m", "glacier_ml", "import-scene", "--source", source, "--output", output]
    place = temporary if stage == "unpacking" else output
    with subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_hear_signals,
    ) as process:
        while process.poll() is None and not any(file.is_file() for file in place.glob("*/**/*")):
            time.sleep(0.002)
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == 128 + number
    # A lone file of eight letters is Python's own trial whether it may write there (tempfile.gettempdir).
    assert not any(file.is_dir() or len(file.name) != 8 for file in temporary.iterdir())
    assert not output.exists()
