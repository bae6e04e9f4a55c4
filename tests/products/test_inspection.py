"""Inspections of many scenes, with pictures."""

import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.products.inspection import inspect_data


def test_every_scene_gets_a_report_and_a_picture_if_it_can(tmp_path, tiny_scene_folder, capsys):
    tiny_scene_folder("scenes/whole", shape=(64, 64))
    tiny_scene_folder("scenes/dim", shape=(64, 64), drop=("nir",), west=600_000.0)
    reports = inspect_data(tmp_path / "scenes", tmp_path / "pictures")
    assert [report.name for report in reports] == ["dim", "whole"]
    assert "dim: not drawn; a picture needs red, nir, swir1" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["whole_quality.png"]


def test_a_scene_that_cannot_be_read_is_told_among_the_others(tmp_path, tiny_scene_folder):
    tiny_scene_folder("scenes/whole", shape=(64, 64))
    broken = tiny_scene_folder("scenes/broken", shape=(64, 64), west=600_000.0)
    file = broken / "nir.tif"
    file.write_bytes(file.read_bytes()[:600])
    reports = {report.name: report for report in inspect_data(tmp_path / "scenes", tmp_path / "pictures")}
    assert [finding.code for finding in reports["broken"].findings] == ["unreadable"]
    assert "unreadable" not in {finding.code for finding in reports["whole"].findings}
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["whole_quality.png"]


def test_outlines_that_cannot_be_read_leave_a_picture_without(tmp_path, tiny_scene_folder, capsys):
    folder = tiny_scene_folder("scenes/whole", shape=(64, 64))
    (folder / "outlines.tif").write_bytes(b"II*\0nothing")
    (report,) = inspect_data(tmp_path / "scenes", tmp_path / "pictures")
    assert "outlines-unreadable" in {finding.code for finding in report.findings}
    assert "whole: drawn without outlines" in capsys.readouterr().err
    assert (tmp_path / "pictures/whole_quality.png").is_file()


def test_a_file_in_the_place_of_the_pictures_is_refused_first(tmp_path, tiny_scene_folder):
    tiny_scene_folder("scenes/whole")
    (tmp_path / "pictures").write_text("mine")
    with pytest.raises(GlacierError, match="the output folder cannot be written"):
        inspect_data(tmp_path / "scenes", tmp_path / "pictures")
