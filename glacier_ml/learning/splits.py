"""Splits: which pixels train, which validate. Drawn before any augmentation, from catalog and seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.overlaps import seen_elsewhere, widen

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene

Mask = NDArray[np.bool_]
Protocol = Literal["block", "scene", "place", "region", "random"]
TOLERANCE = 0.03  # of glacier fraction, between a scene's validation part and the scene
DRAWS = 2000

# What a pixel is for.
NOTHING, TRAINING, CALIBRATION, SCORING = range(4)


@dataclass(frozen=True)
class SplitRule:
    """How to split.

    Attributes
    ----------
    protocol : str
        'block': spatial blocks of each scene; 'scene', 'place', 'region': whole ones; 'random': single
        pixels, which leaks and exists to show how much it flatters.
    seed : int
        Of the draw; nothing else about a study changes the split.
    fraction : float
        Share of the blocks (scenes, places, pixels) that validate.
    block, gap : int
        Side of a block and width of the unlabelled ring around it [px].
    held : tuple of str
        Scenes, places or regions that validate; empty draws them.
    """

    protocol: Protocol = "block"
    seed: int = 0
    fraction: float = 0.2
    block: int = 128
    gap: int = 16
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class SceneSplit:
    """One scene's part: `use` (rows, columns) of NOTHING .. SCORING, `blocks` the spatial block's number."""

    use: NDArray[np.uint8]
    blocks: NDArray[np.int32]
    digest: str

    @property
    def training(self) -> Mask:
        """Pixels whose labels train."""
        return self.use == TRAINING

    @property
    def validation(self) -> Mask:
        """Pixels whose labels validate."""
        return self.use >= CALIBRATION

    @property
    def calibration(self) -> Mask:
        """Validation pixels on which threshold and temperature are fitted."""
        return self.use == CALIBRATION

    @property
    def scoring(self) -> Mask:
        """Validation pixels on which the fitted threshold and temperature are scored."""
        return self.use == SCORING


@dataclass(frozen=True)
class Split:
    """The split of a list of scenes, by scene name."""

    rule: SplitRule
    scenes: dict[str, SceneSplit] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the rule and of every scene's part."""
        state = hashlib.sha256(repr(asdict(self.rule)).encode())
        for name in sorted(self.scenes):
            state.update(name.encode() + self.scenes[name].use.tobytes())
        return state.hexdigest()

    def training(self, name: str) -> Mask:
        """Pixels of a scene whose labels train."""
        return self.scenes[name].training

    def validation(self, name: str) -> Mask:
        """Pixels of a scene whose labels validate."""
        return self.scenes[name].validation

    def calibration(self, name: str) -> Mask:
        """Pixels of a scene on which threshold and temperature are fitted."""
        return self.scenes[name].calibration

    def scoring(self, name: str) -> Mask:
        """Pixels of a scene on which the fitted model is scored."""
        return self.scenes[name].scoring

    def blocks(self, name: str) -> NDArray[np.int32]:
        """Number of the spatial block (1, 2, ...) of each validation pixel of a scene, 0 elsewhere."""
        return np.where(self.validation(name), self.scenes[name].blocks, 0).astype(np.int32)

    def describe(self) -> dict[str, Any]:
        """JSON form: enough to say later which pixels a model was trained on."""
        return {
            "rule": {**asdict(self.rule), "held": list(self.rule.held)},
            "digest": self.digest,
            "scenes": {
                name: {
                    "digest": part.digest,
                    "shape": list(part.use.shape),
                    "validation_blocks": np.unique(part.blocks[part.validation]).tolist(),
                }
                for name, part in self.scenes.items()
            },
        }


def number_blocks(shape: tuple[int, int], side: int) -> NDArray[np.int32]:
    """Number the blocks of a grid from 1, row by row.

    >>> number_blocks((2, 5), 2).tolist()
    [[1, 1, 2, 2, 3], [1, 1, 2, 2, 3]]
    """
    rows, columns = (np.arange(length) // side for length in shape)
    return (rows[:, None] * (columns[-1] + 1) + columns[None, :] + 1).astype(np.int32)


def training_pixels(scene: LabelledScene, split: Split) -> Mask:
    """Valid pixels of a scene whose labels train."""
    return split.training(scene.scene.name) & scene.scene.valid


def untrained_pixels(description: dict[str, Any], scene: LabelledScene) -> Mask:
    """Pixels of a scene that a model with this split (see `Split.describe`) was not trained on.

    A scene is known by its pixels' digest, never by its name. The gap counts as trained on: its imagery was
    seen next to labels. A random split leaves no pixel that counts as unseen.
    """
    shape = scene.scene.shape
    parts = [part for part in description["scenes"].values() if part["digest"] == scene.scene.digest]
    untrained = np.ones(shape, dtype=bool)
    for part in parts:
        if description["rule"]["protocol"] == "random":
            return np.zeros(shape, dtype=bool)
        numbers = number_blocks(shape, description["rule"]["block"])
        untrained &= np.isin(numbers, part["validation_blocks"])
    return untrained & scene.scene.valid


def make_split(scenes: Sequence[LabelledScene], rule: SplitRule) -> Split:
    """Split labelled scenes, with masks, into training and validation pixels.

    Returns
    -------
    Split
        For 'block', each scene's validation part is within .03 of the scene's glacier fraction and has both
        classes; its blocks are halved into calibration and scoring.

    Raises
    ------
    GlacierError
        Where there is nothing to train on, one class only, or no draw meets the rule.
    """
    if not scenes:
        raise GlacierError("data: no scene has the role train; give one outlines and the role train")
    for scene in scenes:
        _check_both_classes(scene, rule)
    if rule.protocol in ("scene", "place", "region"):
        parts = _split_by_group(scenes, rule)
    else:
        draw = _split_randomly if rule.protocol == "random" else _split_by_block
        parts = {scene.scene.name: draw(scene, rule) for scene in scenes}
    if rule.protocol == "block":
        _withhold_other_dates(scenes, parts, rule)
    split = Split(rule, parts)
    labels = np.concatenate([scene.truth[split.training(scene.scene.name)] for scene in scenes])
    if labels.all() or not labels.any():
        left = "training pixels of one class only" if labels.size else "no training pixel"
        raise GlacierError(
            f"split: the gap of {rule.gap} px around blocks of {rule.block} px leaves {left}; "
            "set a smaller gap or add scenes"
        )
    return split


def _withhold_other_dates(
    scenes: Sequence[LabelledScene], parts: dict[str, SceneSplit], rule: SplitRule
) -> None:
    """Let no ground train at one date that validates at another."""
    validation = {name: part.validation for name, part in parts.items()}
    for scene in scenes:
        part = parts[scene.scene.name]
        part.use[seen_elsewhere(scene, scenes, validation, rule.gap) & part.training] = NOTHING


def _check_both_classes(scene: LabelledScene, rule: SplitRule) -> None:
    glacier = scene.truth[scene.scene.valid]
    if glacier.all() or not glacier.any():
        found = "glacier" if glacier.all() else "not glacier"
        raise GlacierError(
            f"{scene.scene.name}: every valid pixel is {found}; training needs both classes: "
            "check the outlines or choose a larger scene"
        )


def _random(scene: LabelledScene, rule: SplitRule) -> np.random.Generator:
    # The scene's own pixels seed its draw: a scene added to a catalog leaves the others' splits alone.
    return np.random.default_rng([rule.seed, int(scene.scene.digest[:8], 16)])


def _split_by_block(scene: LabelledScene, rule: SplitRule) -> SceneSplit:
    """Draw blocks stratified by glacier fraction until the validation part resembles the scene."""
    mask, valid = scene.truth, scene.scene.valid
    numbers = number_blocks(scene.scene.shape, rule.block)
    pixels = np.bincount(numbers[valid], minlength=numbers.max() + 1)
    glacier = np.bincount(numbers[valid & mask], minlength=numbers.max() + 1)
    candidates = np.flatnonzero(pixels)
    strata = max(1, round(len(candidates) * rule.fraction))
    if len(candidates) < 3:
        raise GlacierError(
            f"{scene.scene.name}: {len(candidates)} blocks of {rule.block} px hold valid pixels, "
            "a split needs 3; "
            "set a smaller split block, or add the scene to a catalog with others and split by scene"
        )
    order = candidates[np.argsort(glacier[candidates] / pixels[candidates], kind="stable")]
    target, random = glacier.sum() / pixels.sum(), _random(scene, rule)
    for _ in range(DRAWS):
        drawn = np.array([random.choice(stratum) for stratum in np.array_split(order, strata)])
        fraction = glacier[drawn].sum() / pixels[drawn].sum()
        if abs(fraction - target) <= TOLERANCE and 0 < fraction < 1:
            return _assemble(scene, rule, numbers, _halve(drawn, glacier, pixels, random))
    raise GlacierError(
        f"{scene.scene.name}: no {strata} of its {len(candidates)} blocks of {rule.block} px have a glacier "
        f"fraction within .03 of its {target:.3f} and both classes; set a smaller split block"
    )


def _halve(
    drawn: NDArray[np.intp], glacier: NDArray[np.intp], pixels: NDArray[np.intp], random: np.random.Generator
) -> dict[int, int]:
    """Share the drawn blocks between calibration and scoring, as alike in glacier fraction as draws come."""
    if len(drawn) < 2:
        return {int(drawn[0]): SCORING}

    def difference(half: NDArray[np.intp]) -> float:
        other = np.setdiff1d(drawn, half)
        fractions = [glacier[part].sum() / pixels[part].sum() for part in (half, other)]
        one_class = any(fraction in (0, 1) for fraction in fractions)
        return abs(fractions[0] - fractions[1]) + one_class

    halves = [random.permutation(drawn)[: (len(drawn) + 1) // 2] for _ in range(100)]
    calibration = min(halves, key=difference)
    return {int(block): CALIBRATION if block in calibration else SCORING for block in drawn}


def _assemble(
    scene: LabelledScene, rule: SplitRule, numbers: NDArray[np.int32], uses: dict[int, int]
) -> SceneSplit:
    lookup = np.full(numbers.max() + 1, NOTHING, dtype=np.uint8)
    lookup[list(uses)] = list(uses.values())
    use = lookup[numbers]
    use[~widen(use > 0, rule.gap)] = TRAINING
    use[~scene.scene.valid] = NOTHING
    return SceneSplit(use, numbers, scene.scene.digest)


def _split_randomly(scene: LabelledScene, rule: SplitRule) -> SceneSplit:
    drawn = _random(scene, rule).random(scene.scene.shape)
    use = np.full(scene.scene.shape, TRAINING, dtype=np.uint8)
    use[drawn < rule.fraction] = SCORING
    use[drawn < rule.fraction / 2] = CALIBRATION
    use[~scene.scene.valid] = NOTHING
    return SceneSplit(use, number_blocks(scene.scene.shape, rule.block), scene.scene.digest)


def _split_by_group(scenes: Sequence[LabelledScene], rule: SplitRule) -> dict[str, SceneSplit]:
    def group(scene: LabelledScene) -> str:
        entry = scene.entry
        return {"scene": entry.name, "place": entry.place, "region": entry.region}[rule.protocol]

    groups = sorted({group(scene) for scene in scenes})
    count = max(1, round(len(groups) * rule.fraction))
    held = rule.held or tuple(np.random.default_rng(rule.seed).permutation(groups)[:count])
    unknown = set(held) - set(groups)
    if unknown or len(set(held)) == len(groups):
        raise GlacierError(
            f"split: a split by {rule.protocol} needs a {rule.protocol} on each side; the training "
            "scenes have "
            f"{', '.join(groups)} (held out: {', '.join(held)}); add scenes or split by block"
        )
    return {scene.scene.name: _whole(scene, rule, group(scene) in held) for scene in scenes}


def _whole(scene: LabelledScene, rule: SplitRule, held: bool) -> SceneSplit:
    numbers = number_blocks(scene.scene.shape, rule.block)
    use = np.full(scene.scene.shape, TRAINING, dtype=np.uint8)
    if held:
        odd = _random(scene, rule).permutation(numbers.max()) % 2 == 1  # a lone block scores
        use = np.where(odd[numbers - 1], CALIBRATION, SCORING).astype(np.uint8)
    use[~scene.scene.valid] = NOTHING
    return SceneSplit(use, numbers, scene.scene.digest)


def check_protocol(protocol: str) -> None:
    """Refuse an unknown protocol of splitting."""
    if protocol not in get_args(Protocol):
        raise GlacierError(
            f"protocol: '{protocol}' is not a way to split; choose one of {', '.join(get_args(Protocol))}"
        )
