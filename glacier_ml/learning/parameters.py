"""Parameters of a network and its training: one flat, strict object, as a trial logs it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import FEATURE_SETS

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "linear", "elu", "gelu", "silu"]
Share = Annotated[float, Field(ge=0, lt=1)]
Recipe = Literal["sound", "report"]
# A rule's name or a list: told apart first, so that a fault is told as the fault of what was meant.
Filters = Annotated[
    Annotated[Literal["tile"], Tag("(rule)")] | Annotated[list[Annotated[int, Field(ge=1)]], Tag("(list)")],
    Discriminator(lambda value: "(rule)" if isinstance(value, str) else "(list)"),
]

# What the report did (Diaz and Bazilova, 2020, sections 3.2 and 4): defaults where `recipe` is 'report'.
REPORT_DEFAULTS: dict[str, Any] = {
    "features": "report_ratio",
    "momentum": 0.0,
    "schedule": "fixed",
    "clip_norm": 0.0,
    "epoch_pixels": 0,
    "batch_pixels": 0,
    "monitor": "train/accuracy",
    "keep_best": False,
    "batch_norm": False,
}
# The U-Net alone stops early; the per-pixel network runs to its last epoch.
REPORT_UNET: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "epochs": 200,
    "patience": 15,
    "filters": "tile",
}
REPORT_FFNN: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.3, "epochs": 400, "tile_size": 1}
REPORT_DROPOUT = [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]  # of five levels, down and up
REPORT_FEATURES = ("report_ratio", "report_ndsi")
# What the report had nothing of: any other value would not be its recipe.
_REPORT_LACKS: dict[str, Any] = {
    "schedule": "fixed",
    "clip_norm": 0.0,
    "brightness": 0.0,
    "noise": 0.0,
    "dice": 0.0,
    "glacier_weight": 1.0,
}


class Parameters(BaseModel):
    """What both networks share. Pixels are counted, never tiles, so that every tile size does equal work.

    Attributes
    ----------
    recipe : str
        'sound', or 'report': trained as the report did (`glacier_ml.learning.recipe`), what is not given at
        the report's values.
    features : str
        Feature set (`glacier_ml.learning.features.FEATURE_SETS`).
    penalty : float
        L2 penalty on the kernels of every layer.
    clip_norm : float
        Largest norm of the gradient; 0 leaves it unclipped.
    epoch_pixels, batch_pixels : int
        Labelled and unlabelled pixels shown in one epoch and in one step of the optimiser. In the report's
        recipe 0 is an epoch of every sample once and a batch of 32 samples.
    monitor, patience
        Stop when the metric has not improved for `patience` epochs; 0 never stops early.
    keep_best : bool
        Keep the weights of the epoch with the best `monitor`; else those of the last epoch.
    brightness : float
        Jitter: every tile's reflectances are multiplied by one factor in 1 +- brightness.
    noise : float
        Standard deviation of noise added to each reflectance.
    dice : float
        Weight of a Dice term beside the cross-entropy.
    glacier_weight : float or 'balanced'
        Weight of glacier pixels in the cross-entropy; 'balanced' gives both classes the same sum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    recipe: Recipe = "sound"
    features: str = "spectral"
    learning_rate: float = Field(gt=0)
    penalty: float = Field(default=0.0, ge=0)
    activation: Activation = "relu"
    tile_size: int = Field(ge=1, le=4096)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    momentum: Share = 0.9
    schedule: Literal["fixed", "cosine"] = "cosine"
    clip_norm: float = Field(default=1.0, ge=0)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    epochs: int = Field(default=8, ge=1)
    epoch_pixels: int = Field(default=1_179_648, ge=0)
    batch_pixels: int = Field(default=147_456, ge=0)
    monitor: Literal["val/iou", "val/loss", "val/accuracy", "val/f1", "train/accuracy"] = "val/iou"
    patience: int = Field(default=0, ge=0)
    keep_best: bool = True
    augment: bool = True
    brightness: Share = 0.0
    noise: float = Field(default=0.0, ge=0)
    dice: float = Field(default=0.0, ge=0)
    glacier_weight: float | Literal["balanced"] = 1.0

    @field_validator("features")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FEATURE_SETS:
            raise ValueError(f"'{name}' is not a feature set; choose one of {', '.join(FEATURE_SETS)}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _by_recipe(cls, values: Any) -> Any:
        """Fill in what the report did where its recipe is asked for and nothing else is given."""
        if not isinstance(values, dict) or values.get("recipe") != "report":
            return values
        own = dict(REPORT_UNET if cls is UnetParameters else REPORT_FFNN)
        if cls is UnetParameters and values.get("levels", 5) == 5 and values.get("filters", "tile") == "tile":
            own["dropout"] = REPORT_DROPOUT
        return {**REPORT_DEFAULTS, **own, **values}

    @model_validator(mode="after")
    def _as_the_recipe_has_it(self) -> Parameters:
        if self.recipe == "sound":
            for key in ("epoch_pixels", "batch_pixels"):
                if not getattr(self, key):
                    raise ValueError(f"{key}: 0 is for recipe: report alone; give at least 1")
            return self
        if self.features not in REPORT_FEATURES:
            raise ValueError(
                f"features: recipe: report knows {' and '.join(REPORT_FEATURES)} (found {self.features}); "
                "choose one of them"
            )
        for key, value in _REPORT_LACKS.items():
            if getattr(self, key) != value:
                raise ValueError(
                    f"{key}: recipe: report has {value} (found {getattr(self, key)}); leave it out"
                )
        return self


class UnetParameters(Parameters):
    """The U-Net's: `levels` counts the resolutions with the bottom; `filters` overrides base_filters.

    `filters: tile` is the report's rule, by the tile's size: size / tile_divisor at the finest level, doubled
    at each but the bottom.
    `dropout` is one share, or a list with one for each pair of convolutions, down and up (2 levels - 1).
    `head_nodes` adds fully connected layers to each pixel's end (the report's hybrid).
    """

    network: Literal["unet"] = "unet"
    levels: int = Field(default=5, ge=2, le=8)
    base_filters: int = Field(default=16, ge=1)
    filters: Filters | None = None
    tile_divisor: int = Field(default=8, ge=1)
    convolutions: int = Field(default=2, ge=1, le=4)
    batch_norm: bool = True
    dropout: Share | list[Share] = 0.0
    head_nodes: list[Annotated[int, Field(ge=1)]] = []

    @property
    def level_filters(self) -> list[int]:
        """Filters of each resolution, from the finest to the bottom.

        >>> UnetParameters(learning_rate=1e-3, tile_size=96, levels=3, base_filters=8).level_filters
        [8, 16, 32]
        >>> UnetParameters(learning_rate=1e-3, tile_size=288, filters="tile").level_filters
        [36, 72, 144, 288, 288]
        """
        if self.filters == "tile":
            first = self.tile_size // self.tile_divisor
            return [first * 2 ** min(level, self.levels - 2) for level in range(self.levels)]
        return self.filters or [self.base_filters * 2**level for level in range(self.levels)]

    @property
    def stride(self) -> int:
        """Side of the pixel block that one value of the bottom stands for."""
        return int(2 ** (len(self.level_filters) - 1))

    @model_validator(mode="after")
    def _fitting(self) -> UnetParameters:
        levels = len(self.level_filters)
        if self.filters == "tile" and self.tile_size % self.tile_divisor:
            raise ValueError(
                f"tile_divisor: {self.tile_size} px is no multiple of {self.tile_divisor}; choose a divisor"
            )
        if self.tile_size % self.stride:
            raise ValueError(
                f"tile_size: {self.tile_size} px is no multiple of {self.stride}, the stride of "
                f"{levels} levels; choose another size or fewer levels"
            )
        if isinstance(self.dropout, list) and len(self.dropout) != 2 * levels - 1:
            raise ValueError(
                f"dropout: {levels} levels need {2 * levels - 1} values, down and up "
                f"(found {len(self.dropout)}); give one number or as many as that"
            )
        return self


class FfnnParameters(Parameters):
    """The per-pixel network's; `tile_size` is the side of the patches whose pixels make up a batch."""

    network: Literal["ffnn"] = "ffnn"
    hidden_layers: int = Field(default=4, ge=0, le=32)
    nodes: int = Field(default=100, ge=1)
    dropout: Share = 0.0
    batch_norm: bool = False

    @model_validator(mode="after")
    def _rows(self) -> FfnnParameters:
        if self.recipe == "report" and self.tile_size != 1:
            raise ValueError(
                f"tile_size: recipe: report takes single pixels (found {self.tile_size}); give 1"
            )
        return self


AnyParameters = UnetParameters | FfnnParameters
KINDS: dict[str, type[UnetParameters] | type[FfnnParameters]] = {
    "unet": UnetParameters,
    "ffnn": FfnnParameters,
}


def first_fault(error: ValidationError) -> str:
    """Put the first fault of a pydantic check into words: key, rule, what came."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if part not in ("(rule)", "(list)"))
    if fault["type"] == "value_error":  # a rule on several keys, in our own words
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    key = key or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key; check its spelling or remove it"
    return f"{key}: {fault['msg']} (found {fault['input']!r})"


def parse_parameters(values: dict[str, Any], place: str) -> AnyParameters:
    """Check a mapping of parameters; its key `network` says which network they are for.

    Raises
    ------
    GlacierError
        Naming `place`, the key, the rule and what came.
    """
    kind = values.get("network")
    if not isinstance(kind, str) or kind not in KINDS:
        raise GlacierError(f"{place}: network: must be one of {', '.join(KINDS)} (found {kind!r})")
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise GlacierError(f"{place}: {first_fault(error)}") from error
