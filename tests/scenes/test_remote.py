"""Errors of rasters at addresses: one line each, with what to do."""

import os
import re
import time

import numpy as np
import pytest
import rasterio
from range_server import BODIES, serving, straighten

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import open_raster, write_raster
from glacier_ml.scenes.remote import UnfoundError, unread, web_settings

SCHEMES = ("http", "s3", "gs", "az")


@pytest.fixture
def served(tmp_path, tiny_grid, monkeypatch):
    """A server of blue.tif, which GDAL takes for the stores."""
    straighten(monkeypatch, tmp_path)
    write_raster(tmp_path / "blue.tif", np.ones((24, 32), np.float32), tiny_grid())
    with serving(tmp_path) as server:
        server.bodies = BODIES | {401: BODIES[403]}
        for name, value in server.stores().items():
            monkeypatch.setenv(name, value)
        yield server


def refusal(address):
    """The error of an address that cannot be read."""
    with pytest.raises(GlacierError) as caught, open_raster(address, "here"):
        pass
    return caught.value


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_not_there(served, scheme):
    error = refusal(served.address(scheme, "none.tif"))
    assert re.search(
        r"here: .*/none.tif cannot be read \(.*\); it is not there: check the address$", str(error)
    )
    assert isinstance(error, UnfoundError) and not error.denied


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("scheme", "names"),
    [
        ("http", ("GDAL_HTTP_USERPWD", "GDAL_HTTP_HEADERS", "signature")),
        ("s3", ("AWS_NO_SIGN_REQUEST=YES", "AWS_REQUEST_PAYER=requester", "AWS_ACCESS_KEY_ID")),
        ("gs", ("GS_NO_SIGN_REQUEST=YES", "GOOGLE_APPLICATION_CREDENTIALS", "GS_USER_PROJECT")),
        ("az", ("AZURE_STORAGE_ACCOUNT", "AZURE_NO_SIGN_REQUEST=YES", "AZURE_STORAGE_SAS_TOKEN")),
    ],
)
def test_what_may_not_be_read(served, scheme, names, status):
    served.failing["blue.tif"] = status
    error = refusal(served.address(scheme, "blue.tif"))
    assert isinstance(error, UnfoundError) and error.denied
    assert all(name in str(error) for name in names)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("scheme", "unset"),
    [
        ("s3", "AWS_NO_SIGN_REQUEST"),
        ("gs", "GS_NO_SIGN_REQUEST"),
        ("az", "AZURE_STORAGE_CONNECTION_STRING"),
    ],
)
def test_without_credentials_the_variables_are_named(served, monkeypatch, scheme, unset):
    address = served.address(scheme, "blue.tif")
    monkeypatch.delenv(unset)
    error = refusal(address)
    assert isinstance(error, UnfoundError) and error.denied
    assert re.search(r"it may not be read: set \w+", str(error))
    assert served.requests == []


def test_a_signature_of_the_environment_opens_azure(served, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    for name, value in {
        "AZURE_STORAGE_ACCOUNT": "made",
        "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=secret",
        "CPL_AZURE_ENDPOINT": f"http://{served.host}",
    }.items():
        monkeypatch.setenv(name, value)
    with open_raster(served.address("az", "blue.tif"), "here") as dataset:
        assert dataset.shape == (24, 32)
    assert set(served.queries) == {"sv=1&sig=secret"}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble(served, scheme, status):
    served.failing["blue.tif"] = status
    error = refusal(served.address(scheme, "blue.tif"))
    assert str(error).endswith("check the address and the network, and try again")
    assert not isinstance(error, UnfoundError)


def test_what_is_no_geotiff(served):
    (served.folder / "page.tif").write_text("<html>login</html>")
    error = refusal(served.url("page.tif?sig=secret"))
    assert str(error).endswith("it must be a GeoTIFF sent by byte ranges; else download it")
    assert "secret" not in str(error)


def test_waiting_ends(served, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    served.silent.add("blue.tif")
    began = time.monotonic()
    error = refusal(served.url("blue.tif"))
    assert time.monotonic() - began < 10
    assert str(error).endswith("check the address and the network, and try again")


def test_a_server_that_is_not_there(served, tmp_path):
    with serving(tmp_path) as server:
        address = server.url("blue.tif")
    assert str(refusal(address)).endswith("check the address and the network, and try again")


def test_the_causes_of_an_error_are_asked_too():
    reading = rasterio.errors.RasterioIOError("Read failed")
    reading.__cause__ = RuntimeError("HTTP response code on https://a:b@c/x.tif?sig=secret: 403")
    error = unread("https://c/x.tif", reading, "here")
    assert "(HTTP response code on https://c/x.tif" in str(error)
    assert "secret" not in str(error) and "a:b" not in str(error)


def test_settings_of_the_environment_hold(monkeypatch):
    for name in list(os.environ):
        if name.startswith("GDAL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    with rasterio.Env(GDAL_HTTP_MAX_RETRY="9"):
        settings = web_settings()
    assert not {"GDAL_HTTP_TIMEOUT", "GDAL_HTTP_MAX_RETRY"} & settings.keys()
    assert settings["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"
    assert float(settings["GDAL_HTTP_CONNECTTIMEOUT"]) <= 60
