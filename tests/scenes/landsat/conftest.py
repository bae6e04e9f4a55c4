"""Fixtures for what unpacks archives."""

import tempfile

import pytest


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Folder that temporary folders are made in; whatever a test does, it must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
