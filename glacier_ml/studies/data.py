"""What a study works on: the training scenes of a catalog, their split and the digests that name them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import AnyParameters, Recipe
from glacier_ml.learning.samples import check_samples
from glacier_ml.learning.splits import Split, SplitRule, make_split
from glacier_ml.learning.store import SampleStore, open_store
from glacier_ml.learning.stored_scenes import keep_in
from glacier_ml.scenes.catalog import Catalog, LabelledScene, dataset_digest, open_catalog
from glacier_ml.scenes.index_pairing import index_paired
from glacier_ml.scenes.landsat.radiometry import METHODS
from glacier_ml.scenes.scene import check_quantity


class MixedDataWarning(UserWarning):
    """Scenes differ in a way that a network can learn by mistake."""


@dataclass(frozen=True)
class TrainingData:
    """Labelled scenes, ready to train on.

    Attributes
    ----------
    catalog : Catalog
        Where the scenes come from.
    scenes : tuple of LabelledScene
        Those of role train.
    split : Split
        Which of their pixels train and which validate.
    digest : str
        SHA-256 of the scenes' pixels and labels.
    recipe : str
        'sound', or 'report': then the masks are paired by array index, as the report had them.
    store : SampleStore, optional
        Keeps what the trainings on these data share; without it each computes all for itself, in memory.
    """

    catalog: Catalog
    scenes: tuple[LabelledScene, ...]
    split: Split
    digest: str
    recipe: Recipe = "sound"
    store: SampleStore | None = None

    def __post_init__(self) -> None:
        kept = tuple(replace(one, scene=keep_in(self.store, one.scene)) for one in self.scenes)
        object.__setattr__(self, "scenes", kept)

    @property
    def origin(self) -> dict[str, Any]:
        """JSON form of where a model trained on this comes from; travels with the model."""
        source = self.catalog.source
        return {
            "data": str(source.resolve() if isinstance(source, Path) else source),
            "dataset_digest": self.digest,
            "scenes": [scene.entry.name for scene in self.scenes],
            "quantity": self.scenes[0].scene.quantity,
            "recipe": self.recipe,
        }


def load_training_data(
    data: str | Path | None, rule: SplitRule, parameters: Iterable[AnyParameters] = ()
) -> TrainingData:
    """Load the training scenes of `data`, check that they can serve all `parameters`, and split them.

    Where the parameters are of the report's recipe, so are the masks: see `index_paired`.

    Raises
    ------
    GlacierError
        Where no scene trains, a scene cannot be read, lacks a band or holds another kind of reflectance than
        the others, a tile is larger than every scene, no split meets the rule, or the parameters are of both
        recipes.
    """
    parameters = list(parameters)
    recipe = _recipe(parameters)
    catalog = open_catalog(data)
    scenes = load_scenes(catalog, "train")
    if not scenes:
        raise GlacierError(
            f"{catalog.source}: no scene has the role train; give one outlines and role: train"
        )
    check_alike(scenes)
    if recipe == "report":
        scenes = tuple(index_paired(scene) for scene in scenes)
    for one in parameters:
        check_samples(scenes, one)
    split = make_split(scenes, rule)
    return TrainingData(catalog, scenes, split, dataset_digest(scenes), recipe, open_store())


def check_recipe(parameters: AnyParameters, data: TrainingData) -> None:
    """Refuse parameters of another recipe than the one that the training data were made for."""
    if parameters.recipe != data.recipe:
        raise GlacierError(
            f"recipe: is {parameters.recipe}, and the training data were made for {data.recipe}; their masks "
            "differ: load the data for these parameters"
        )


def _recipe(parameters: list[AnyParameters]) -> Recipe:
    recipes: set[Recipe] = {one.recipe for one in parameters} or {"sound"}
    if len(recipes) > 1:
        raise GlacierError(
            "recipe: sound and report are both searched, and their masks differ; make a study of each"
        )
    return recipes.pop()


def check_alike(scenes: tuple[LabelledScene, ...]) -> None:
    """Refuse two kinds of reflectance, warn of two ways to the same kind."""
    methods: dict[str, str] = {}
    for labelled in scenes:
        check_quantity(labelled.scene.name, labelled.scene.quantity, scenes[0].scene.quantity)
        method = labelled.scene.provenance.get("method")
        if method in METHODS:
            methods.setdefault(method, labelled.scene.name)
    if len(methods) > 1:
        told = " and ".join(f"{name} by {method}" for method, name in methods.items())
        warnings.warn(
            f"reflectance was made in two ways, up to 5 % apart: {told}; import them by one method",
            MixedDataWarning,
            stacklevel=3,
        )


def load_scenes(catalog: Catalog, *roles: str) -> tuple[LabelledScene, ...]:
    """Load the scenes of the roles."""
    return tuple(entry.load() for entry in catalog.of_role(*roles))
