"""What a band's values tell of the DN behind them.

Top-of-atmosphere reflectance is an affine function of a whole number: (mult * DN + add) / sin(sun elevation).
With the gains of TM and ETM+ the spacing of the values tells sin(sun elevation) / d^2 of the day they were
taken on, and where the lattice begins tells which gain it was. OLI's mult is 2e-5 in every band, whatever d,
so its spacing tells sin(sun elevation) alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glacier_ml.scenes.inspection.gains import BANDS, FACTOR_ERROR, IRRADIANCE, Gain, gains_of
from glacier_ml.scenes.inspection.steps import LARGEST_VALUE, ROUNDING_ULPS, Fit, common_step
from glacier_ml.scenes.scene import CEILING_SHARE

OLI_STEP, OLI_ORIGIN = 2e-5, -0.1
LEVEL2_STEP, LEVEL2_ORIGIN = 2.75e-5, -0.2
# sin(elevation) of the lowest sun that an OLI scene is believed to have; typical value, chosen here.
LOWEST_SINE = 0.03
# sin(sun elevation) / d^2 at most: the sun overhead at perihelion, 0.9833 astronomical units, and 6 % for the
# irradiances that differ among tables.
LARGEST_FACTOR = 1.06 / 0.9833**2
# Gains that fit one band and differ by less mean one sun, whose uncertainty grows by it: old MTL files round
# the gain of blue by 2e-4.
SAME_SUN = 1e-3
# Odds below which an OLI band is not believed to lack DN regularly (to have even ones alone, say).
IMPROBABLE = 1e-6
# Relative difference up to which two bands' factors count as one; the digits of MTL files give 1e-4.
AGREEMENT = 2e-4


@dataclass(frozen=True)
class Lattice:
    """The equally spaced values that a band consists of.

    Attributes
    ----------
    step : float
        Reflectance per DN; where no table is known, the spacing of the values.
    origin : float
        Reflectance of DN 0; where no table is known, the smallest value.
    sun_factor : float or None
        sin(sun elevation) / d^2, d in astronomical units (TM, ETM+).
    sun_sine : float or None
        sin(sun elevation) (OLI).
    table : str or None
        'MTL 193' (irradiances, and the radiance at DN 255 that names the gain), 'OLI', 'Level-2', 'rounded';
        None where no known table fits, or several that mean different suns.
    sensor, spacecraft : str or None
        'TM', 'ETM+' or 'OLI'; 'LANDSAT_4', 'LANDSAT_5' or 'LANDSAT_7', as the table tells (Landsat 4's near
        infrared has the gain of 5's and is told as that).
    residual : float
        Largest distance of a value from the lattice, in steps of the spacing.
    off_share : float
        Share of the values that lie off the lattice.
    levels : int
        Distinct values on the lattice.
    tolerance : float or None
        Uncertainty of `sun_factor` or `sun_sine`.
    ceiling : int or None
        The largest DN that the product can hold.
    """

    step: float
    origin: float
    sun_factor: float | None
    sun_sine: float | None
    table: str | None
    sensor: str | None
    spacecraft: str | None
    residual: float
    off_share: float
    levels: int
    tolerance: float | None
    ceiling: int | None


def find_lattice(values: NDArray[np.float32], band: str, sensor: str | None = None) -> Lattice | None:
    """Lattice of one band's reflectances.

    Parameters
    ----------
    values : ndarray
        float32 reflectance, any shape; what is not finite is left out, and 0 and 1, where exporters clip.
    band : str
        'blue' ... 'swir2'.
    sensor : str or None
        'TM', 'ETM+' or 'OLI'; None: whichever fits.

    Returns
    -------
    Lattice or None
        None where the values lie on no lattice: resampled by interpolation, corrected for the air, or too
        few to tell.

    Examples
    --------
    Blue of Landsat 5 with the sun at 30 degrees and 1 astronomical unit:

    >>> dn = np.array([60, 61, 64, 90, 140, 200, 255])
    >>> values = (np.pi * (0.765827 * dn - 2.28583) / (1944 * 0.5)).astype(np.float32)
    >>> lattice = find_lattice(values, "blue", "TM")
    >>> lattice.table, round(lattice.sun_factor, 4)
    ('MTL 193', 0.5)
    >>> dn_of(values, lattice).tolist()
    [60, 61, 64, 90, 140, 200, 255]
    """
    fit = common_step(values)
    if fit is None:
        return None
    known = _by_gain(fit, band, sensor) if sensor != "OLI" else None
    known = known or _by_scale(fit)
    if known is None and sensor in (None, "OLI"):
        known = _by_oli(fit)
    return known or _lattice(fit, fit.step, fit.anchor)


def dn_of(values: NDArray[np.float32], lattice: Lattice) -> NDArray[np.int32]:
    """DN of each value, counted from the smallest value where the lattice has no table.

    Returns
    -------
    ndarray
        int32, shaped as `values`; -1 where a value lies off the lattice or is not finite.
    """
    finite = np.abs(values) <= LARGEST_VALUE  # false of NaN; beyond, no lattice was looked for
    numbers = np.where(finite, values, np.float32(0)).astype(np.float64)
    slack = np.maximum(ROUNDING_ULPS * np.spacing(np.abs(numbers).astype(np.float32)), 1e-3 * lattice.step)
    steps = (numbers - lattice.origin) / lattice.step
    nearest = np.rint(steps)
    on = finite & (np.abs(steps - nearest) * lattice.step <= slack) & (nearest >= 0) & (nearest < 2**31)
    return np.where(on, nearest, -1).astype(np.int32)


def saturated_share(values: NDArray[np.float32], lattice: Lattice) -> float | None:
    """Share of the finite values that are at the sensor's largest DN.

    Returns
    -------
    float or None
        None where the lattice knows no largest DN, or where the values are clipped below it.
    """
    seen = values[np.isfinite(values)]
    if lattice.ceiling is None or not seen.size:
        return None
    numbers = dn_of(seen, lattice)
    top = seen == seen.max()
    below = float(seen.max()) < lattice.origin + lattice.step * (lattice.ceiling - 0.5)
    if below and top.mean() >= CEILING_SHARE and (numbers[top] == -1).all():
        return None
    return float((numbers == lattice.ceiling).mean())


def settle_irradiance(lattices: Mapping[str, Lattice]) -> dict[str, Lattice]:
    """Say which table of solar irradiances the bands of one scene agree under.

    One band cannot tell: another irradiance is another sun. Bands of one moment agree under the table that
    they were made with, and differ by up to 5 % under another.

    Parameters
    ----------
    lattices : mapping of str to Lattice
        By band, as `find_lattice` gives them: under the irradiances of the MTL files.

    Returns
    -------
    dict of str to Lattice
        The same, with `sun_factor`, `tolerance` and `table` under the table that most bands of a spacecraft,
        and at least three, agree under; unchanged where none has more than the MTL's.
    """
    settled = dict(lattices)
    for spacecraft, irradiances in IRRADIANCE.items():
        bands = [band for band, one in lattices.items() if one.spacecraft == spacecraft]
        ratios = {
            name: {band: irradiances["MTL"][BANDS.index(band)] / table[BANDS.index(band)] for band in bands}
            for name, table in irradiances.items()
        }
        agreeing = {
            name: _largest_group([(lattices[band].sun_factor or 0.0) * table[band] for band in bands])
            for name, table in ratios.items()
        }
        best = max(agreeing, key=lambda name: agreeing[name])
        if best != "MTL" and agreeing[best] >= 3:
            settled |= {band: _under(lattices[band], best, ratios[best][band]) for band in bands}
    return settled


def _under(lattice: Lattice, name: str, ratio: float) -> Lattice:
    return replace(
        lattice,
        sun_factor=(lattice.sun_factor or 0.0) * ratio,
        tolerance=(lattice.tolerance or 0.0) * ratio,
        table=(lattice.table or "").replace("MTL", name),
    )


def _largest_group(factors: list[float]) -> int:
    """How many of the factors agree with one of them."""
    return max((sum(abs(one - two) <= AGREEMENT * one for two in factors) for one in factors), default=0)


def _by_gain(fit: Fit, band: str, sensor: str | None) -> Lattice | None:
    """Lattice of an 8-bit band; None where no gain fits, or several do that mean different suns."""
    fits = [one for gain in gains_of(band, sensor) for one in _multiples(fit, gain)]
    if not fits:
        return None
    gain, divisor, darkest = fits[0]
    factors = [one.step_overhead * by / fit.step for one, by, _ in fits]
    spread = max(factors) - min(factors)
    if spread > SAME_SUN * factors[0]:
        return None
    step = fit.step / divisor
    return replace(
        _lattice(fit, step, fit.anchor - darkest * step),
        sun_factor=factors[0],
        table=f"MTL {gain.label}",
        sensor=gain.sensor,
        spacecraft=gain.spacecraft,
        tolerance=factors[0] * (FACTOR_ERROR + fit.step_error) + spread,
        ceiling=255,
    )


def _multiples(fit: Fit, gain: Gain) -> list[tuple[Gain, int, int]]:
    """(gain, divisor, smallest DN): how many DN the spacing may be for the lattice to begin where it must."""
    found = []
    for divisor in range(1, 255 // fit.span + 1):
        step = fit.step / divisor
        if gain.step_overhead / step > LARGEST_FACTOR:
            break
        darkest = fit.anchor / step + gain.dark
        error = gain.dark_error + fit.slack / step + abs(fit.anchor / step) * fit.step_error
        nearest = round(darkest)
        if abs(darkest - nearest) <= error and nearest >= 0 and nearest + fit.span * divisor <= 255:
            found.append((gain, divisor, nearest))
    return found


def _by_scale(fit: Fit) -> Lattice | None:
    """Lattice of a Level-2 product, or of values that were rounded to so many decimals."""
    begin = (fit.anchor - LEVEL2_ORIGIN) / LEVEL2_STEP
    if _near(fit.step, LEVEL2_STEP, fit) and abs(begin - round(begin)) < 0.1:
        return replace(_lattice(fit, LEVEL2_STEP, LEVEL2_ORIGIN), table="Level-2")
    decimal = 10.0 ** round(math.log10(fit.step))
    begin = fit.anchor / decimal
    if (
        any(_near(fit.step, times * decimal, fit) for times in (0.5, 1.0, 2.0))
        and abs(begin - round(begin)) < 0.1
    ):
        return replace(_lattice(fit, fit.step, fit.anchor), table="rounded")
    return None


def _near(step: float, other: float, fit: Fit) -> bool:
    return abs(step / other - 1) <= fit.step_error


def _by_oli(fit: Fit) -> Lattice | None:
    """Lattice of an OLI band; None where it begins elsewhere, or few values leave its spacing in doubt."""
    found = []
    for divisor in range(1, int(fit.step * 1.001 / OLI_STEP) + 1):
        # Where the lattice begins does not tell OLI's multiples apart; that n values are all equal modulo m
        # is one chance in m^(n-1).
        if divisor > 1 and divisor ** (1.0 - fit.levels) < IMPROBABLE:
            break
        step = fit.step / divisor
        begin = fit.anchor / step - OLI_ORIGIN / OLI_STEP
        error = fit.slack / step + abs(fit.anchor / step) * fit.step_error
        fits = abs(begin - round(begin)) <= max(error, 1e-3) and begin > -0.5
        if OLI_STEP / step > LOWEST_SINE and fits and begin + fit.span * divisor < 65536:
            found.append((step, round(begin)))
    if len(found) != 1:
        return None
    step, darkest = found[0]
    return replace(
        _lattice(fit, step, fit.anchor - darkest * step),
        sun_sine=OLI_STEP / step,
        table="OLI",
        sensor="OLI",
        tolerance=OLI_STEP / step * fit.step_error,
        ceiling=65535,
    )


def _lattice(fit: Fit, step: float, origin: float) -> Lattice:
    """Lattice of which no more is known than where it lies."""
    return Lattice(
        step, origin, None, None, None, None, None, fit.residual, fit.off_share, fit.levels, None, None
    )
