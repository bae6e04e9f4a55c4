"""Command that hands a model to other programs."""

from __future__ import annotations

import math
from pathlib import Path

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import FILE
from glacier_ml.errors import GlacierError

POSITIVE = click.FloatRange(min=0, min_open=True)


@cli.command("export-onnx")
@click.option("--model", default="models:/glacier-unet@champion", show_default=True, help="Registered model.")
@click.option(
    "--output", type=FILE, default="glacier-unet.onnx", show_default=True, help="File that is written."
)
@click.option(
    "--scale",
    type=POSITIVE,
    default=1.0,
    show_default=True,
    help="What the layer in QGIS holds for a reflectance of 1: 1 in scene folders.",
)
@click.option(
    "--resolution", type=POSITIVE, default=30.0, show_default=True, help="Side of the layer's pixels [m]."
)
def export_onnx(model: str, output: str, scale: float, resolution: float) -> None:
    """Write a model as an ONNX file, for ONNX Runtime and the QGIS plugin deepness.

    Reflectance (n, bands, 256, 256) goes in, glacier probability (n, 1, 256, 256) comes out, 0 where a
    pixel has no data: no number in some band, or 0 in all. The file is compared with Keras and not
    written where a probability differs by more than 1e-4. Needs glacier_ml[onnx].

    In QGIS: lay the bands into one raster in the order that is printed (gdalbuildvrt -separate), choose
    the file in deepness and press "Load default parameters". No data must be NaN or 0, no other number.
    Deepness 0.6 or later is needed; it sets tiles side by side where predict blends them.

    A model of recipe: report cannot be exported, since its features depend on the whole image.
    """
    from glacier_ml.learning.onnx_export import check_installed
    from glacier_ml.learning.onnx_export import export_onnx as run
    from glacier_ml.products.maps import check_folder, staged
    from glacier_ml.studies.tracking import load_classifier, version_of

    path = Path(output)
    if path.suffix != ".onnx":
        raise GlacierError(f"output: {output} does not end in .onnx; name a file such as glacier-unet.onnx")
    check_folder(path.parent)
    check_installed()
    for name, value in {"scale": scale, "resolution": resolution}.items():
        if not math.isfinite(value):
            raise GlacierError(f"{name}: is {value}; give a number")
    version = version_of(model)
    source = f"{model}, version {version}" if version else model
    exported = run(load_classifier(model), scale, resolution, source=source)
    with staged(path.parent) as partial:
        (partial / path.name).write_bytes(exported.content)
    print(
        f"{path}: {len(exported.content) / 1e6:.1f} MB, bands {' '.join(exported.bands)}; "
        f"differs from Keras by at most {exported.difference:.0e}"
    )
