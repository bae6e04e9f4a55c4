"""Catalogs and experiments on disk, small enough that a study over them takes seconds."""

from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import yaml
from made_scenes import disc, made_scene, valley
from pytest import MonkeyPatch

from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.scenes.catalog import Catalog, dataset_digest
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import write_scene
from glacier_ml.studies import registration
from glacier_ml.studies.commands import run_promotion, run_study
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.tuning import StudyResult

SHAPE = (200, 220)  # 44,000 pixels a scene; with two of them promotion has the 20,000 that it wants

RULE = SplitRule(fraction=0.3, block=32, gap=2)

# An epoch is 8 steps of 1024 pixels, the U-Net's 32 of 4096: enough for a validation IoU above .9 here.
SHARED = {"epochs": 2, "epoch_pixels": 8192, "batch_pixels": 1024, "learning_rate": 0.02, "brightness": 0.1}
FFNN = {**SHARED, "network": "ffnn", "tile_size": 1, "hidden_layers": 1, "nodes": 8}
UNET = {
    **SHARED,
    "epoch_pixels": 131072,
    "batch_pixels": 4096,
    "network": "unet",
    "tile_size": 32,
    "levels": 2,
    "base_filters": 4,
    "batch_norm": False,  # its running means need more steps than these
    "dice": 1.0,
}
SEARCH = {
    "ffnn": {"learning_rate": {"low": 0.005, "high": 0.05, "log": True}, "nodes": {"choices": [4, 8]}},
    "unet": {"learning_rate": {"low": 0.005, "high": 0.05, "log": True}, "activation": {"choices": ["relu"]}},
}


def wide_disc(shape):
    """The disc with a radius greater by a tenth: the same place at another date."""
    rows, columns = np.indices(shape)
    return np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < 1.1 * min(shape) / 3


def write_labelled(labelled, folder, outlines=True):
    """Write a labelled scene as a scene folder, with its mask as outlines.tif."""
    write_scene(labelled.scene, folder)
    if outlines:
        write_raster(folder / "outlines.tif", labelled.mask, labelled.scene.grid)
    return folder


def write_catalog(folder, roles=("train", "train", "test", "unseen"), **options):
    """Write scenes and their catalog; gives the catalog's path.

    early (a disc) and fjord (a band along the rows) train; late is early's place two years on, on its grid,
    with more glacier; blank has no outlines. Made scenes' `options` apply to all, `roles` in this order.
    """
    entries = []
    scenes = {
        "early": (disc, "cape", "2007-09-01"),
        "fjord": (valley, "fjord", "2008-09-01"),
        "late": (wide_disc, "cape", "2009-09-01"),
        "blank": (valley, "island", "2010-09-01"),
    }
    for number, ((name, (truth, place, date)), role) in enumerate(zip(scenes.items(), roles, strict=False)):
        labelled = made_scene(name, SHAPE, truth, **{"seed": number, **options})
        write_labelled(labelled, folder / name, outlines=role != "unseen")
        where = {"place": place, "region": "south" if place == "fjord" else "north"}
        entries.append({"name": name, "path": name, "role": role, "date": date, **where})
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"scenes": entries}))
    return folder / "catalog.yaml"


def experiment_content(network="ffnn", parameters=None, **changes):
    """What an experiment file holds; `parameters` and other keys replace its own."""
    content = {
        "name": network,
        "parameters": {**(FFNN if network == "ffnn" else UNET), **(parameters or {})},
        "search": SEARCH[network],
        "split": {"fraction": RULE.fraction, "block": RULE.block, "gap": RULE.gap},
        "trials": 2,
        "final_epochs": 2,
        "startup_trials": 1,
    }
    return {**content, **changes}


def write_experiment(folder, network="ffnn", parameters=None, **changes):
    """Write an experiment file; gives its path."""
    path = Path(folder) / f"{network}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(experiment_content(network, parameters, **changes)))
    return path


def tiny_training(**options):
    """Training data of early and fjord, made in memory."""
    scenes = tuple(
        made_scene(name, SHAPE, truth, **{"seed": number, **options})
        for number, (name, truth) in enumerate([("early", disc), ("fjord", valley)])
    )
    catalog = Catalog(Path("made"), tuple(scene.entry for scene in scenes))
    return TrainingData(catalog, scenes, make_split(scenes, RULE), dataset_digest(scenes))


@dataclass(frozen=True)
class TinyProject:
    """What lies in the folder where both networks were tuned and promoted, and what that printed."""

    folder: Path
    catalog: Path
    results: dict[str, StudyResult]
    printed: str

    def experiment(self, network):
        """Path of a network's experiment file."""
        return self.folder / "experiments" / f"{network}.yaml"


def run_tiny_project(folder):
    """Tune both networks in the working folder, FFNN with two trials, U-Net with one; promote both."""
    catalog = write_catalog(folder / "scenes")
    results = {}
    with redirect_stdout(StringIO()) as printed, MonkeyPatch.context() as patch:
        # the trials have their pictures; those of the refits would be seconds for nothing
        patch.setattr(registration, "run_trial", partial(registration.run_trial, pictures=False))
        for network, trials in (("ffnn", 2), ("unet", 1)):
            path = write_experiment(folder / "experiments", network)
            results[network] = run_study(network, str(path), str(catalog), trials=trials, seed=0)
        run_promotion("both", False)
    return TinyProject(folder, catalog, results, printed.getvalue())
