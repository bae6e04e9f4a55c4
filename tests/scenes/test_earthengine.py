"""The calls of Earth Engine's library, with a stand-in for the library, and what its failures are told as."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.earthengine import EarthEngine

IMAGE = "LANDSAT/LT05/C02/T1_TOA/LT05_066017_20070917"


class EEError(Exception):
    """As ee.EEException."""


class MadeImage:
    """What is asked of an image, as text."""

    def __init__(self, text):
        self.text = text

    def select(self, bands):
        return MadeImage(f"{self.text}.select({bands})")

    def unmask(self, value, same_footprint):
        return MadeImage(f"{self.text}.unmask({value}, {same_footprint})")

    def getInfo(self):  # noqa: N802
        return {"told": self.text}


@pytest.fixture
def library(monkeypatch):
    """A stand-in for `ee` and its transport: what was asked of it is in `asked`."""
    ee, transport = ModuleType("ee"), ModuleType("httplib2")
    transport.HttpLib2Error = type("HttpLib2Error", (Exception,), {})
    ee.EEException = EEError
    ee.asked = []
    ee.Initialize = lambda project: ee.asked.append(("project", project))
    ee.Image = MadeImage
    ee.Geometry = SimpleNamespace(BBox=lambda *bounds: bounds)
    ee.FeatureCollection = lambda name: SimpleNamespace(filterBounds=lambda bounds: (name, bounds))
    ee.data = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "ee", ee)
    monkeypatch.setitem(sys.modules, "httplib2", transport)
    return ee


def test_the_project_is_the_users(library):
    EarthEngine("my-project")
    EarthEngine()
    assert library.asked == [("project", "my-project"), ("project", None)]


def test_an_image_tells_of_itself(library):
    assert EarthEngine().image_info(IMAGE, "s1") == {"told": IMAGE}


def test_pixels_are_asked_for_on_the_grid_and_filled_where_masked(library, tiny_grid):
    asked = []

    def compute(request):
        asked.append(request)
        return np.array([[(0.5,), (0.25,)]], dtype=[("B1", "f4")])

    library.data.computePixels = compute
    values = EarthEngine().pixels(IMAGE, "B1", tiny_grid((1, 2)), -9999.0, "s1")
    assert values.tolist() == [[0.5, 0.25]]
    (request,) = asked
    assert request["expression"].text == f"{IMAGE}.select(['B1']).unmask(-9999.0, False)"
    assert request["fileFormat"] == "NUMPY_NDARRAY"
    assert request["grid"] == {
        "dimensions": {"width": 2, "height": 1},
        "affineTransform": {
            "scaleX": 30.0, "shearX": 0.0, "translateX": 480_000.0,
            "shearY": 0.0, "scaleY": -30.0, "translateY": 6_780_000.0,
        },
        "crsCode": "EPSG:32606",
    }  # fmt: skip


def test_outlines_come_page_by_page(library):
    pages = {None: {"features": [1, 2], "nextPageToken": "b"}, "b": {"features": [3]}}
    asked = []

    def compute(request):
        asked.append(request["expression"])
        return pages[request.get("pageToken")]

    library.data.computeFeatures = compute
    assert EarthEngine().outlines((-147.0, 61.0, -146.0, 62.0), "s1") == [1, 2, 3]
    assert asked == 2 * [("GLIMS/current", (-147.0, 61.0, -146.0, 62.0))]


@pytest.mark.parametrize("missing", ["ee", "httplib2"])
def test_a_missing_library_is_told(library, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(GlacierError, match=r"^Earth Engine: .* install glacier_ml\[earthengine\]$"):
        EarthEngine()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Please authorize access to your account by running\n\nearthengine authenticate\n\nin",
            "nobody is signed in; run 'earthengine authenticate' and try again",
        ),
        (
            "ee.Initialize: no project found. Call with project=",
            "Google Cloud project; give --project or run",
        ),
        ("Earth Engine API has not been used in project 1 before", r"failed \(Earth Engine API has not been"),
    ],
)
def test_a_start_that_fails_is_told(library, monkeypatch, text, message):
    def refuse(project):
        raise EEError(text)

    monkeypatch.setattr(library, "Initialize", refuse)
    with pytest.raises(GlacierError, match=f"^Earth Engine: .*{message}") as raised:
        EarthEngine()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            EEError("Image.load: Image asset 'x' not found (does not exist"),
            r"no such image, .*; correct earth_",
        ),
        (
            EEError("Quota exceeded: concurrent"),
            "quota is used up .*; try again later, scenes that are there",
        ),
        (EEError("Too Many Requests"), "quota is used up"),
        (ConnectionResetError("reset\nby peer"), r"Earth Engine failed \(reset by peer\); try again"),
        (TimeoutError(), r"Earth Engine failed \(TimeoutError\); try again"),
        ("transport", r"Earth Engine failed \(no server\); try again"),
        ("expired", "nobody is signed in; run 'earthengine authenticate'"),
    ],
)
def test_a_call_that_fails_is_told_with_the_scene(library, monkeypatch, error, message):
    if error == "transport":
        error = sys.modules["httplib2"].HttpLib2Error("no server")
    if error == "expired":
        from google.auth.exceptions import RefreshError

        error = RefreshError("invalid_grant: Token has been expired or revoked.")
    engine = EarthEngine()

    def refuse(request):
        raise error

    library.data.computeFeatures = refuse
    with pytest.raises(GlacierError, match=f"^s1: .*{message}") as raised:
        engine.outlines((0.0, 0.0, 1.0, 1.0), "s1")
    assert "\n" not in str(raised.value)
