"""Parameters of a network and its training: one flat, strict object, as a trial logs it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import FEATURE_SETS

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "linear", "elu", "gelu", "silu"]
Share = Annotated[float, Field(ge=0, lt=1)]


class Parameters(BaseModel):
    """What both networks share. Pixels are counted, never tiles, so that every tile size does equal work.

    Attributes
    ----------
    features : str
        Feature set (`glacier_ml.learning.features.FEATURE_SETS`).
    penalty : float
        L2 penalty on the kernels of every layer.
    clip_norm : float
        Largest norm of the gradient; 0 leaves it unclipped.
    epoch_pixels, batch_pixels : int
        Labelled and unlabelled pixels shown in one epoch and in one step of the optimiser.
    monitor, patience
        Stop when the validation metric has not improved for `patience` epochs; 0 never stops early.
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
    epoch_pixels: int = Field(default=1_179_648, ge=1)
    batch_pixels: int = Field(default=147_456, ge=1)
    monitor: Literal["val/iou", "val/loss", "val/accuracy", "val/f1"] = "val/iou"
    patience: int = Field(default=0, ge=0)
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


class UnetParameters(Parameters):
    """The U-Net's: `levels` counts the resolutions with the bottom; `filters` overrides base_filters.

    `dropout` is one share, or a list with one for each pair of convolutions, down and up (2 levels - 1).
    `head_nodes` adds fully connected layers to each pixel's end (the report's hybrid).
    """

    network: Literal["unet"] = "unet"
    levels: int = Field(default=5, ge=2, le=8)
    base_filters: int = Field(default=16, ge=1)
    filters: list[Annotated[int, Field(ge=1)]] | None = None
    convolutions: int = Field(default=2, ge=1, le=4)
    batch_norm: bool = True
    dropout: Share | list[Share] = 0.0
    head_nodes: list[Annotated[int, Field(ge=1)]] = []

    @property
    def level_filters(self) -> list[int]:
        """Filters of each resolution, from the finest to the bottom.

        >>> UnetParameters(learning_rate=1e-3, tile_size=96, levels=3, base_filters=8).level_filters
        [8, 16, 32]
        """
        return self.filters or [self.base_filters * 2**level for level in range(self.levels)]

    @property
    def stride(self) -> int:
        """Side of the pixel block that one value of the bottom stands for."""
        return int(2 ** (len(self.level_filters) - 1))

    @model_validator(mode="after")
    def _fitting(self) -> UnetParameters:
        levels = len(self.level_filters)
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


AnyParameters = UnetParameters | FfnnParameters
KINDS: dict[str, type[UnetParameters] | type[FfnnParameters]] = {
    "unet": UnetParameters,
    "ffnn": FfnnParameters,
}


def first_fault(error: ValidationError) -> str:
    """Put the first fault of a pydantic check into words: key, rule, what came."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
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
