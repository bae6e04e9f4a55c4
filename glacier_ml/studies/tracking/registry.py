"""Registered models: package, register, name by alias, load."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.studies.tracking.environment import PACKAGE, package_version
from glacier_ml.studies.tracking.runs import active_run_id, client, log_metrics, tracking_uri

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import NetworkClassifier

CHALLENGER, CHAMPION = "challenger", "champion"
# What `glacier_ml.learning.classifier` needs to predict, and no more: a test holds it to the imports.
REQUIREMENTS = ("affine", "keras", "numpy", "pydantic", "rasterio", "tensorflow")
Describe = Callable[[str], str]
ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/]+)|/(?P<version>[^/]+))")


def describe_model(name: str, description: str, tags: Mapping[str, str]) -> None:
    """Say on a registered model's page what it is, whatever its version; what is there already stays."""
    from mlflow.exceptions import MlflowException

    try:
        known = client().get_registered_model(name)
    except MlflowException:
        client().create_registered_model(name, tags=dict(tags), description=description)
        return
    if not known.description:
        client().update_registered_model(name, description)
    for key, value in tags.items():
        if key not in known.tags:
            client().set_registered_model_tag(name, key, value)


def register_model(
    folder: Path, name: str, metrics: Mapping[str, float], tags: Mapping[str, object], describe: Describe
) -> str:
    """Package a saved classifier with the code that it needs and register it as the challenger.

    The model goes into the active run. `mlflow.pyfunc.load_model` loads it in an environment without
    glacier_ml: float32 reflectance (n, rows, columns, bands) in, float32 probability (n, rows, columns) out.

    Parameters
    ----------
    folder : Path
        What `NetworkClassifier.save` wrote.
    name : str
        'glacier-unet' or 'glacier-ffnn'.
    metrics : mapping
        Shown with the model and logged in the run.
    tags : mapping
        Tags of the version.
    describe : callable
        Version to its description in Markdown, for the reader of the registry.

    Returns
    -------
    str
        The new version.
    """
    import mlflow

    active_run_id()  # MLflow would open a nameless run
    bands = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))["bands"]
    logged = _log_model(folder, len(bands))
    log_metrics(metrics, model=logged.model_id)
    plain = {"bands": " ".join(bands), **{key: str(value) for key, value in tags.items()}}
    version = mlflow.register_model(logged.model_uri, name, tags=plain).version
    client().update_model_version(name, str(version), describe(str(version)))
    move_alias(name, CHALLENGER, str(version))
    return str(version)


def _log_model(folder: Path, bands: int) -> Any:
    import mlflow

    with warnings.catch_warnings():
        # The stated signature says more than an example, whose rows and columns would look like a rule.
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(PACKAGE / "studies/tracking/packaged_model.py"),
            artifacts={"classifier": str(folder)},
            code_paths=[str(PACKAGE)],
            pip_requirements=requirements(),
            signature=tensor_signature(bands),
        )


def requirements() -> list[str]:
    """Pins of the installed packages that prediction needs."""
    found = {package: package_version(package) for package in REQUIREMENTS}
    # tensorflow-cpu is the same library under another name.
    found["tensorflow"] = found["tensorflow"] or package_version("tensorflow-cpu")
    return [f"{package}=={version}" for package, version in found.items() if version]


def tensor_signature(bands: int) -> Any:
    """Signature (n, rows, columns, bands) -> (n, rows, columns), rows and columns free.

    Unnamed, since mlflow hands named tensors on as a mapping.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    reflectance = TensorSpec(np.dtype(np.float32), (-1, -1, -1, bands))
    probability = TensorSpec(np.dtype(np.float32), (-1, -1, -1))
    return ModelSignature(Schema([reflectance]), Schema([probability]))


def move_alias(name: str, alias: str, version: str) -> None:
    """Make `models:/<name>@<alias>` mean this version."""
    client().set_registered_model_alias(name, alias, version)


def model_version(name: str, alias: str) -> str | None:
    """Version that an alias means, None where the model or the alias is missing."""
    return model_aliases().get(name, {}).get(alias)


def model_aliases() -> dict[str, dict[str, str]]:
    """Versions by alias of every registered model."""
    return {
        model.name: {alias: str(version) for alias, version in model.aliases.items()}
        for model in client().search_registered_models()
    }


def version_of(address: str) -> str:
    """Version that an address of a registered model means now; '' for a run or a folder."""
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        return ""
    return parts["version"] or model_version(parts["name"], parts["alias"]) or ""


def load_classifier(address: str) -> NetworkClassifier:
    """Load the classifier of a registered model, of a run's model or of a folder.

    Parameters
    ----------
    address : str
        `models:/glacier-unet@champion`, `models:/glacier-unet/3`, `runs:/<run>/model`, or a folder that
        holds a classifier or a downloaded model.

    Raises
    ------
    GlacierError
        Where there is no such model, alias, version, run or folder.
    """
    from glacier_ml.learning.classifier import NetworkClassifier

    return NetworkClassifier.load(classifier_folder(address))


def classifier_folder(address: str) -> Path:
    """Find the folder of a model's classifier, downloaded where it lies elsewhere."""
    if address.startswith(("models:/", "runs:/")):
        model = _download(address)
    elif Path(address).is_dir():
        model = Path(address)
    else:
        raise GlacierError(
            f"model {address}: no such folder; name a folder, models:/<name>@<alias> or runs:/<run>/model"
        )
    for card in (model / "classifier.json", *model.glob("artifacts/*/classifier.json")):
        if card.is_file():
            return card.parent
    raise GlacierError(f"model {address}: holds no classifier.json; name a model that glacier_ml saved")


def _download(address: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=address))
    except (MlflowException, OSError) as error:
        raise GlacierError(f"model {address}: {_absence(address)}") from error


def _absence(address: str) -> str:
    """Tell what there is instead of a model that cannot be loaded."""
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        return "cannot be read; name models:/<name>@<alias>, models:/<name>/<version> or runs:/<run>/model"
    name, known = parts["name"], model_aliases()
    if name not in known:
        found = f"found {', '.join(known)}" if known else f"none is in {tracking_uri()}"
        return f"no model {name} is registered ({found}); tune or train with register=true first"
    aliases = ", ".join(f"{alias} = version {version}" for alias, version in known[name].items())
    if parts["alias"] and parts["alias"] not in known[name]:
        mend = "promote one first" if parts["alias"] == CHAMPION else "name one of these"
        return f"{name} has no alias {parts['alias']} (found {aliases or 'none'}); {mend}"
    return f"{name} has no such version, or its files are gone (found {aliases or 'no alias'}); name another"
