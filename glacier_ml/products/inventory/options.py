"""What may be chosen of an inventory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.files import check_output
from glacier_ml.products.inventory.schemas import check_schema
from glacier_ml.products.inventory.uncertainty import TERMS, check_terms
from glacier_ml.scenes.addresses import address_named, local_path, shown


@dataclass(frozen=True)
class InventoryOptions:
    """What the user chose.

    Attributes
    ----------
    schema : {'rgi7', 'glims'}
        Whose columns come first.
    outlines : str or pathlib.Path or None
        Existing outlines with ids, by which glacier complexes are split and change is told: RGI 6, RGI 7,
        GLIMS, or an earlier inventory written here.
    minimum_area : float
        Of a new glacier [km2]. Smaller known ones have no outline, and their row in the table all the same.
    simplify : float or None
        Tolerance of simpler outlines [m]; see `polygons.outline_labels`. Areas stay those of the pixels.
    scene : str or None
        The one scene of the folder that is wanted.
    terms : tuple of str
        What the combined uncertainty is made of: see `uncertainty.combine`.
    data : str or pathlib.Path or None
        The scenes that were mapped, as `open_catalog` takes them: pictures of the outlines on them are drawn.
    """

    schema: str = "rgi7"
    outlines: str | Path | None = None
    minimum_area: float = 0.01
    simplify: float | None = None
    scene: str | None = None
    terms: tuple[str, ...] = TERMS
    data: str | Path | None = None


def path_here(named: str | Path, option: str) -> Path:
    """Path of this machine that an option names, `~` taken for the home folder.

    Raises
    ------
    GlacierError
        Where it is an address.
    """
    if address := address_named(str(named), option):
        raise GlacierError(
            f"{option}: {shown(address)} is an address, and --{option} lies on this machine's disks; give a "
            "path there"
        )
    return local_path(named, option)


def with_paths(options: InventoryOptions) -> InventoryOptions:
    """The options with existing outlines named by their path on this machine; see `path_here`."""
    outlines = path_here(options.outlines, "outlines") if options.outlines else None
    return replace(options, outlines=outlines)


def check_options(options: InventoryOptions, output: Path) -> None:
    """Refuse what cannot be done, before any work.

    Raises
    ------
    GlacierError
        Where a word is not known, a number out of its range, the file of existing outlines is none or the
        output, or the output cannot be written.
    """
    check_schema(options.schema)
    check_terms(options.terms)
    check_output(output)
    numbers = {"minimum-area": options.minimum_area, "simplify": options.simplify or 0.0}
    for name, value in numbers.items():
        if not 0 <= value < float("inf"):
            raise GlacierError(f"{name}: is {value:g}; give zero or more")
    if options.outlines:
        path = Path(options.outlines)
        if not path.is_file():
            raise GlacierError(f"{path}: is no file of polygons; give RGI, GLIMS or an earlier inventory")
        if path.resolve() == output.resolve():
            raise GlacierError(f"{output}: is the file of existing outlines; give the new one another name")
