"""A frame mapped by a PyTorch script, as its users would write one: the peer of `glacier_ml.map_scenes`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.shutil import copy
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.torch_networks import Normalised, ffnn, unet

WINDOW, OVERLAP, BATCH = 256, 64, 4  # ours
PIXELS = (16_384, 65_536)  # at once; the first is quicker but for a compiled network
BANDS = ("blue", "green", "red", "nir", "swir1")
FLOOR = np.float32(0.005)
Array = np.ndarray


def features_of(bands: Sequence[Array]) -> Array:
    """The feature set `spectral`: bands, NDSI, NDWI and the logarithm of red over SWIR1, clipped."""
    blue, green, red, nir, swir1 = bands
    at_least = {name: np.maximum(band, FLOOR) for name, band in zip(BANDS, bands, strict=True)}
    ndsi = (at_least["green"] - at_least["swir1"]) / (at_least["green"] + at_least["swir1"])
    ndwi = (at_least["green"] - at_least["nir"]) / (at_least["green"] + at_least["nir"])
    log_ratio = np.clip(np.log(at_least["red"] / at_least["swir1"]), -4, 6)
    clipped = [np.clip(band, -0.05, 1.6) for band in (blue, green, red, nir, swir1)]
    stack = np.stack([*clipped, ndsi, ndwi, log_ratio], axis=0)
    stack[:, ~np.isfinite(stack).all(axis=0)] = 0
    return stack


def network_of(kind: str, weights: Path) -> nn.Module:
    """The network with the Keras network's weights, given in the order of its layers."""
    arrays = [torch.from_numpy(value) for value in np.load(weights).values()]
    mean, variance, *rest = arrays
    if kind == "ffnn":
        hidden = (len(rest) - 2) // 2
        network = ffnn(len(mean.ravel()), rest[0].shape[1], hidden)
    else:
        levels = (
            sum(one.ndim == 4 for one in rest) - 1 + 3
        ) // 5  # two convolutions a level, three on the way up
        widths = [rest[10 * level].shape[-1] for level in range(levels)]
        network = unet(len(mean.ravel()), widths)
    network.mean.copy_(mean.reshape(network.mean.shape))
    network.deviation.copy_(variance.sqrt().reshape(network.deviation.shape))
    _load(kind, network, rest)
    return network.eval()


def _load(kind: str, network: Normalised, arrays: list[Tensor]) -> None:
    """Keras keeps (rows, columns, in, out), PyTorch (out, in, rows, columns)."""
    waiting = iter(arrays)
    for layer in _in_order(kind, network):
        if isinstance(layer, nn.Linear):
            layer.weight.data, layer.bias.data = next(waiting).T.contiguous(), next(waiting)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = next(waiting).permute(3, 2, 0, 1).contiguous()
            if layer.bias is not None:
                layer.bias.data = next(waiting)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.data, layer.bias.data = next(waiting), next(waiting)
            layer.running_mean, layer.running_var = next(waiting), next(waiting)


def _in_order(kind: str, network: Normalised) -> list[nn.Module]:
    inner = network.network
    if kind == "ffnn":
        return list(inner)
    ordered: list[nn.Module] = [layer for block in inner.down for layer in block]
    for up, merge in zip(inner.up, inner.merge, strict=True):
        ordered += [up, *merge]
    return [*ordered, inner.logit]


def fused(network: nn.Module) -> nn.Module:
    """Batch normalisation folded into the convolution before it."""
    for block in (*network.network.down, *network.network.merge):
        for position in (0, 3):
            block[position] = fuse_conv_bn_eval(block[position], block[position + 1])
            block[position + 1] = nn.Identity()
    return network


def seconds_of(network: Callable[[Tensor], Tensor], batch: Tensor, times: int = 6) -> float:
    """Of the quickest of several calls; the first, which prepares much, is left out."""
    network(batch)
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        network(batch)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def quickest(network: nn.Module, batch: Tensor) -> Callable[[Tensor], Tensor]:
    """The network channels first or last, whichever is quicker."""
    seconds = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        seconds[layout] = seconds_of(network.to(memory_format=layout), batch.contiguous(memory_format=layout))
    layout = min(seconds, key=lambda one: seconds[one])
    network.to(memory_format=layout)
    return lambda values: network(values.contiguous(memory_format=layout))


def compiled(network: nn.Module, batch: Tensor) -> Callable[[Tensor], Tensor]:
    """The network by `torch.compile` with its weights as constants, for batches of one size."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format
    quick, size = torch.compile(network.to(memory_format=layout)), len(batch)

    def run(values: Tensor) -> Tensor:
        whole = values.new_zeros((size, *values.shape[1:]))  # another size would be compiled anew
        whole[: len(values)] = values
        return quick(whole.contiguous(memory_format=layout))[: len(values)]

    run(batch)
    return run


def prepared(kind: str, weights: str, how: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The network, 'eager' or 'compiled', and a batch for it."""
    network = network_of(kind, Path(weights))
    network = fused(network) if kind == "unet" else network
    batches = [torch.rand(BATCH, 8, WINDOW, WINDOW)] if kind == "unet" else [torch.rand(n, 8) for n in PIXELS]
    if how == "compiled":
        return compiled(network, batches[-1]), batches[-1]
    if kind == "unet":
        return quickest(network, batches[-1]), batches[-1]
    return network, min(batches, key=lambda batch: seconds_of(network, batch) / len(batch))


def speed(kind: str, weights: str, how: str) -> dict[str, float]:
    """Megapixels a second of the network alone."""
    with torch.no_grad() if how == "compiled" else torch.inference_mode():
        run, batch = prepared(kind, weights, how)
        return {"MP/s": batch.numel() / 8e6 / seconds_of(run, batch)}


def blended(run: Callable[[Tensor], Tensor], bands: Sequence[Array], at_once: int) -> Array:
    """Logits (rows, columns) of windows that fade into one another, a row of windows after the other."""
    ramp = np.sin(np.pi / 2 * (np.arange(OVERLAP, dtype=np.float32) + 0.5) / OVERLAP) ** 2
    profile = np.concatenate([ramp, np.ones(WINDOW - 2 * OVERLAP, np.float32), ramp[::-1]])
    weights = profile[:, None] * profile[None]
    rows, columns = bands[0].shape
    step = WINDOW - OVERLAP
    padded = [OVERLAP + step * -(-(length - OVERLAP) // step) for length in (rows, columns)]
    bands = [
        np.pad(band, [(0, padded[0] - rows), (0, padded[1] - columns)], mode="symmetric") for band in bands
    ]
    total, weight = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    for row in range(0, padded[0] - OVERLAP, step):
        stack = features_of([band[row : row + WINDOW] for band in bands])
        places = [slice(column, column + WINDOW) for column in range(0, padded[1] - OVERLAP, step)]
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            batch = torch.from_numpy(np.stack([stack[:, :, across] for across in some]))
            for across, logit in zip(some, run(batch).numpy(), strict=True):
                total[row : row + WINDOW, across] += logit * weights
                weight[row : row + WINDOW, across] += weights
    return (total / weight)[:rows, :columns]


def pixelwise(run: Callable[[Tensor], Tensor], bands: Sequence[Array], at_once: int) -> Array:
    """Logits (rows, columns) of single pixels, so many of them at once."""
    logit = np.empty(bands[0].shape, np.float32)
    for top in range(0, len(logit), WINDOW):
        stack = features_of([band[top : top + WINDOW] for band in bands])
        pixels = torch.from_numpy(stack.reshape(len(stack), -1).T.copy())
        parts = [run(pixels[start : start + at_once]) for start in range(0, len(pixels), at_once)]
        logit[top : top + WINDOW] = torch.cat(parts).numpy().reshape(stack.shape[1:])
    return logit


def write(values: Array, profile: dict, path: Path, **how: str) -> None:
    """A COG by way of a plain file."""
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(
        plain, "w", **profile, driver="GTiff", tiled=True, dtype=values.dtype, count=1
    ) as file:
        file.write(values, 1)
    copy(plain, path, driver="COG", compress="deflate", blocksize=256, num_threads="all_cpus", **how)
    plain.unlink()


def map_frame(kind: str, weights: str, scene: str, output: str, how: str) -> dict[str, float]:
    """Map a frame; gives the seconds of all of it, and those of them that compiled the network."""
    with torch.no_grad() if how == "compiled" else torch.inference_mode():
        if how == "eager":
            run, batch = prepared(kind, weights, how)  # what is quickest is not to be found out each time
        begun = time.perf_counter()
        if how == "compiled":
            run, batch = prepared(kind, weights, how)
        compiling = time.perf_counter() - begun
        mapped = blended if kind == "unet" else pixelwise
        _map(lambda bands: mapped(run, bands, len(batch)), Path(scene), Path(output))
        found = {"s": time.perf_counter() - begun}
        return found | {"of which compiling, s": compiling} if how == "compiled" else found


def _map(mapped: Callable[[Sequence[Array]], Array], scene: Path, folder: Path) -> None:
    """Read the bands, map them, write the maps."""
    bands = []
    for band in BANDS:
        with rasterio.open(scene / f"{band}.tif") as file:
            bands.append(file.read(1))
            profile = {key: file.profile[key] for key in ("crs", "transform", "height", "width")}
    valid = np.logical_and.reduce([np.isfinite(band) for band in bands])
    logit = mapped(bands)
    probability = np.where(valid, 1 / (1 + np.exp(-np.clip(logit, -80, 80))), np.float32(np.nan))
    tiny = np.finfo(np.float32).tiny
    surely = 1 - probability
    bits = -probability * np.log2(np.maximum(probability, tiny)) - surely * np.log2(np.maximum(surely, tiny))
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.where(valid, probability >= 0.5, 255).astype(np.uint8)
    for name, values in (("probability", probability), ("uncertainty", bits)):
        how = {"predictor": "yes", "overview_resampling": "average", "level": "1"}
        write(values, profile | {"nodata": np.nan}, folder / f"{name}.tif", **how)
    write(mask, profile | {"nodata": 255}, folder / "mask.tif", overview_resampling="mode", level="1")
