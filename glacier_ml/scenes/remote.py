"""Rasters at addresses: how GDAL reads them, and what its errors mean to whoever named the address."""

from __future__ import annotations

import os
import re

import rasterio

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import shown, without_secrets

# How GDAL reads from the web, unless the environment says otherwise: no search for neighbouring files, an end
# to waiting, some retries. Seconds and bytes a second are chosen here.
_WEB = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_TIMEOUT": "300",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
}

# What GDAL tells, of the web by the status, of S3 by the store's own words, and before any request where it
# has no credentials.
_ABSENT = re.compile(r"code(?: on \S+)?: 404\b|does not exist|NoSuch(?:Key|Bucket)", re.IGNORECASE)
_DENIED = re.compile(
    r"code(?: on \S+)?: 40[13]\b|Access ?Denied|Forbidden|Access Key Id|request signature|provided token"
    r"|configuration options? (?:not defined|or Azure)",
    re.IGNORECASE,
)
_UNREACHED = re.compile(
    r"code(?: on \S+)?: (?:429|5\d\d)\b|CURL error|timed? ?out|Invalid AWS response|internal error"
    r"|reduce your|Read error",
    re.IGNORECASE,
)

# The variables that GDAL reads, by what an address begins with.
_RIGHTS = {
    "s3": "set AWS_NO_SIGN_REQUEST=YES for public data, AWS_REQUEST_PAYER=requester where the reader pays, "
    "else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
    "gs": "set GS_NO_SIGN_REQUEST=YES for public data, else GOOGLE_APPLICATION_CREDENTIALS, and "
    "GS_USER_PROJECT where the reader pays",
    "az": "set AZURE_STORAGE_ACCOUNT, with AZURE_NO_SIGN_REQUEST=YES for public data, else with "
    "AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_ACCESS_KEY",
    "http": "give an address whose signature has not expired, or set GDAL_HTTP_USERPWD=user:password or "
    "GDAL_HTTP_HEADERS",
}


class UnfoundError(GlacierError):
    """A raster at an address is not there, or not for whoever asks.

    Stores answer so, too, where a file is lacking and nobody may list the bucket.

    Attributes
    ----------
    denied : bool
        Whether rights are lacking, as far as the store tells.
    """

    def __init__(self, message: str, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


def web_settings() -> dict[str, str]:
    """GDAL's settings for reading from the web; what the environment or the caller has set stays so."""
    told = {*os.environ, *(rasterio.env.getenv() if rasterio.env.hasenv() else ())}
    return {key: value for key, value in _WEB.items() if key not in told}


def gdal_name(address: str) -> str:
    """What rasterio is given to open an address.

    Of az://, rasterio would make an account and a key of its own and so hide a signature (SAS) that the
    environment tells; of s3:// it asks boto3, where that is installed, for credentials, else GDAL finds them.

    Examples
    --------
    >>> gdal_name("az://container/scene.tif"), gdal_name("s3://bucket/scene.tif")
    ('/vsiaz/container/scene.tif', 's3://bucket/scene.tif')
    """
    scheme, _, rest = address.partition("://")
    return f"/vsiaz/{rest}" if scheme.lower() == "az" else address


def unread(address: str, error: BaseException, where: str) -> GlacierError:
    """Error of a raster at an address that cannot be read: why, and what to do.

    Parameters
    ----------
    address : str
        Of the raster.
    error : exception
        What GDAL told, with its causes.
    where : str
        What the message begins with.

    Returns
    -------
    GlacierError
        `UnfoundError` where it is not there or rights are lacking.
    """
    told = _told(error)
    line = f"{where}: {shown(address)} cannot be read ({told[-1]}); "
    for text in reversed(told):
        if _DENIED.search(text):
            return UnfoundError(line + f"it may not be read: {_rights(address)}", denied=True)
        if _ABSENT.search(text):
            return UnfoundError(line + "it is not there: check the address")
        if _UNREACHED.search(text):
            return GlacierError(line + "check the address and the network, and try again")
    return GlacierError(line + "it must be a GeoTIFF sent by byte ranges; else download it")


def _rights(address: str) -> str:
    scheme = address.partition("://")[0].lower()
    rights = _RIGHTS.get(scheme, _RIGHTS["http"])
    # S3 refuses what is not there to those who may not list the bucket.
    return f"{rights}; or it is not there" if scheme == "s3" else rights


def _told(error: BaseException) -> list[str]:
    """What an error and its causes say, without secrets, the first cause last."""
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(told) < 10:
        told.append(without_secrets(str(cause)) or type(cause).__name__)
        cause = cause.__cause__
    return told
