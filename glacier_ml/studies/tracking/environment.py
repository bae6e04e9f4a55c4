"""What ran: versions of packages, platform, Git commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent.parent
REPORTED_PACKAGES = (
    "glacier_ml",
    "keras",
    "mlflow",
    "numpy",
    "optuna",
    "rasterio",
    "scikit-learn",
    "tensorflow",
)


def environment_tags() -> dict[str, str]:
    """Tell what ran: versions, platform, and the Git commit where the code lies in a checkout."""
    tags = {"python": platform.python_version(), "platform": platform.platform()}
    tags |= {package: version for package in REPORTED_PACKAGES if (version := package_version(package))}
    if commit := _git("ls-files", "__init__.py") and _git("rev-parse", "HEAD"):
        tags["git_commit"] = commit + ("-changed" if _git("status", "--porcelain", "--", ".") else "")
    return tags


def _git(*arguments: str) -> str:
    """Output of a git command in the package's folder, empty where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def package_version(package: str) -> str | None:
    """Version of an installed package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
