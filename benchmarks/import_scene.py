"""Time and peak memory of importing a Landsat bundle, against rio-cogeo on the same files.

    python -m benchmarks.import_scene [--source BUNDLE]

Without BUNDLE a made frame of 8000 x 7000 pixels is imported, as a folder, a .tar and a .tar.gz. The peer is
rio-cogeo (extra `test`), which makes a float32 Cloud Optimized GeoTIFF of each band's DN: no metadata, no
reflectance, no masks. All run in processes of their own, one after the other. A ratio is the peer's time over
ours.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from scipy import ndimage

from benchmarks.tables import Table, run

FRAME = (7000, 8000)
SCENE = "LT05_L1TP_066017_20070917_20200830_02_T1"
NUMBERS = (1, 2, 3, 4, 5, 7)
MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{scene}"
    PROCESSING_LEVEL = "L1TP"
    COLLECTION_NUMBER = 02
{files}  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_5"
    SENSOR_ID = "TM"
    DATE_ACQUIRED = 2007-09-17
    SUN_ELEVATION = 30.0
    EARTH_SUN_DISTANCE = 1.005
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
{scales}  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""
OURS = """
from glacier_ml.scenes.importing import import_scene
import_scene({source!r}, {output!r}, progress=False)
"""
PEER = """
from pathlib import Path
from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles
Path({output!r}).mkdir()
config = dict(GDAL_CACHEMAX=128, GDAL_NUM_THREADS="ALL_CPUS")
for file in {files!r}:
    target = f"{output}/{{Path(file).stem}}.tif"
    chosen = dict(nodata=0, dtype="float32", in_memory=False, config=config, quiet=True)
    cog_translate(file, target, cog_profiles.get("deflate"), **chosen)
"""
PEAK = """
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def make_bundle(folder: Path) -> Path:
    """A frame of smooth ground with noise of two DN, tiled and deflated as the archive's are."""
    rng = np.random.default_rng(0)
    smooth = ndimage.zoom(rng.random((70, 80), np.float32), 100, order=1)[: FRAME[0], : FRAME[1]]
    place = {"crs": "EPSG:32606", "transform": Affine(30, 0, 400_000, 0, -30, 6_800_000)}
    stored = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    folder.mkdir()
    files = scales = ""
    for number in NUMBERS:
        values = smooth * (150 + 10 * number) + 2 * rng.standard_normal(FRAME, np.float32) + 20
        name = f"{SCENE}_B{number}.TIF"
        with rasterio.open(
            folder / name, "w", height=FRAME[0], width=FRAME[1], count=1, dtype="uint8", **place, **stored
        ) as dataset:
            dataset.write(values.clip(1, 255).astype(np.uint8), 1)
        files += f'    FILE_NAME_BAND_{number} = "{name}"\n'
        scales += (
            f"    REFLECTANCE_MULT_BAND_{number} = 1.2E-03\n    REFLECTANCE_ADD_BAND_{number} = -0.003\n"
        )
    text = MTL.format(scene=SCENE, files=files, scales=scales)
    (folder / f"{SCENE}_MTL.txt").write_text(text, encoding="ascii")
    return folder


def packed(folder: Path, suffix: str) -> Path:
    """The folder's files as an archive beside it."""
    path = folder.with_name(folder.name + suffix)
    with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as archive:
        for file in sorted(folder.iterdir()):
            member = tarfile.TarInfo(file.name)
            content = file.read_bytes()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def measured(code: str) -> tuple[float, float]:
    """Seconds and peak gigabytes of code in a process of its own."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, int(done.stdout.split()[-1]) * 1024 / 1e9


def measure(options: argparse.Namespace) -> Table:
    """Import as a user would, and let the peer do its part of it."""
    table = Table()
    with tempfile.TemporaryDirectory() as work:
        bundle = options.source or make_bundle(Path(work) / SCENE)
        files = [str(file) for file in sorted(bundle.glob("*_B[1-57].TIF"))]
        peer, peak = measured(PEER.format(files=files, output=f"{work}/peer"))
        table.rows.append({"what": "rio-cogeo: DN to COG", "s": peer, "peak, GB": peak})
        sources = [bundle] if options.source else [bundle, packed(bundle, ".tar"), packed(bundle, ".tar.gz")]
        kinds = ("a folder", "a .tar", "a .tar.gz")
        for number, (kind, source) in enumerate(zip(kinds, sources, strict=False)):
            seconds, peak = measured(OURS.format(source=str(source), output=f"{work}/ours{number}"))
            table.rows.append({"what": f"import of {kind}", "s": seconds, "peak, GB": peak})
            table.ratio(f"import of {kind}: rio-cogeo over ours", peer / seconds)
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--source", type=Path, help="a bundle of your own, as a folder")


if __name__ == "__main__":
    run(measure, __doc__, more)
