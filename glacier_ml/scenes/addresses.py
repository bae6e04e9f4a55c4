"""Addresses on the web: what hrefs mean, and small files fetched within limits of time and size."""

from __future__ import annotations

import os
import re
import stat
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urljoin, urlsplit

from glacier_ml.errors import GlacierError

LARGEST_FILE = 16 * 2**20
"""Bytes of the largest Item or MTL that is fetched; real ones have some 20 kB. Chosen here."""

SILENCE_S = 30.0
"""Seconds that a server may stay silent; a whole fetch may take four times as long. Chosen here."""

SCHEMES = "http, https, s3, gs and az"
"""What addresses may begin with."""

_ADDRESS = re.compile(r"(?:https?|s3|gs|az)://", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|file:|/vsi", re.IGNORECASE)
_ONE_SLASH = re.compile(r"(https?|s3|gs|az):/(?!/)", re.IGNORECASE)
_VSI = re.compile(r"/vsi(?:(?P<store>s3|gs|az)/+|curl/(?=https?:/))")
_SECRETS = (re.compile(r"\?[^\s'\"]*"), re.compile(r"(?<=://)[^/?#\s]*@"))
_RASTER, _JSON = re.compile(r"\.tiff?$", re.IGNORECASE), re.compile(r"\.(?:geo)?json$", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a text is an address that GDAL reads by ranges: on the web, or in an object store.

    Examples
    --------
    >>> is_address("https://example.org/item.json"), is_address("gs://bucket/B1.TIF")
    (True, True)
    >>> is_address("items/item.json")
    False
    """
    return _ADDRESS.match(text) is not None


def whole_address(text: str) -> str:
    """The address that a text means: without GDAL's /vsi, and with the slash that `pathlib.Path` takes.

    Other texts stay as they are.

    Examples
    --------
    >>> whole_address(str(Path("https://example.org/item.json")))
    'https://example.org/item.json'
    >>> whole_address("/vsis3/bucket/B1.TIF"), whole_address("/vsicurl/https://example.org/B1.TIF")
    ('s3://bucket/B1.TIF', 'https://example.org/B1.TIF')
    """
    if match := _VSI.match(text):
        text = (f"{match['store']}://" if match["store"] else "") + text[match.end() :]
    return _ONE_SLASH.sub(r"\1://", text, count=1) if _ONE_SLASH.match(text) else text


def address_named(text: str, where: str) -> str | None:
    """Address that a user named; None where the text is a path of this machine.

    Raises
    ------
    GlacierError
        Where it is an address of another kind than those that are read.

    Examples
    --------
    >>> address_named("/vsigs/bucket/scene.tif", "path"), address_named("scenes/2007_TOA", "path")
    ('gs://bucket/scene.tif', None)
    """
    address = whole_address(text)
    if is_address(address):
        return address
    if _SCHEME.match(text) and not os.path.lexists(text):
        raise GlacierError(
            f"{where}: {shown(text)} is not read; addresses begin with {SCHEMES} (or GDAL's /vsicurl/, "
            "/vsis3/, /vsigs/, /vsiaz/), and files are named by their path"
        )
    return None


def kind_of(text: str) -> str:
    """What an address is taken for: 'raster' (a GeoTIFF), 'item' (a STAC Item) or 'folder' (of band files).

    The ending tells; without one, a folder's address on the web ends with a slash, as an Item's does not,
    /vsicurl/ names a raster, and object stores, of which no Item is fetched, hold folders.

    Examples
    --------
    >>> kind_of("https://example.org/LT05.tif?sig=secret"), kind_of("https://example.org/items/LT05")
    ('raster', 'item')
    >>> kind_of("https://example.org/LT05/"), kind_of("s3://bucket/LT05")
    ('folder', 'folder')
    """
    address = whole_address(text)
    path = _without_secrets(address)
    if _RASTER.search(path):
        return "raster"
    if _JSON.search(path):
        return "item"
    if path.endswith("/") or not address.lower().startswith("http"):
        return "folder"
    return "raster" if text.startswith("/vsicurl/") else "item"


def inside(folder: str, file: str) -> str:
    """Address of a file in a folder; what signs the folder's address signs the file's.

    Examples
    --------
    >>> inside("https://example.org/LT05/?sig=secret", "blue.tif")
    'https://example.org/LT05/blue.tif?sig=secret'
    """
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{file}{mark}{query}"


def without_secrets(reason: str) -> str:
    """What a library said, on one line and without the queries and passwords of the addresses in it.

    Examples
    --------
    >>> without_secrets("'/vsicurl/https://me:secret@example.org/B1.TIF?sig=secret' not recognized")
    "'/vsicurl/https://example.org/B1.TIF' not recognized"
    """
    for secret in _SECRETS:
        reason = secret.sub("", reason)
    return " ".join(reason.split())


def shown(text: str) -> str:
    """An address or path as errors and provenance show it: on one line, without query, fragment or password.

    What stands behind the '?' of a signed address opens the file to whoever reads it.

    Examples
    --------
    >>> shown("https://me:secret@example.org/B1.TIF?sig=secret")
    'https://example.org/B1.TIF'
    >>> shown("/vsizip//vsicurl/ftp://me:secret@example.org/B1.zip?sig=secret")
    '/vsizip//vsicurl/ftp://example.org/B1.zip'
    """
    line = "".join(one if one.isprintable() else "?" for one in _without_secrets(whole_address(text)))
    return line if len(line) <= 200 else f"{line[:200]}..."


def _without_secrets(address: str) -> str:
    if "://" not in address and not address.startswith("/vsi"):
        return address
    return re.sub(r"(?<=://)[^/?#]*@", "", re.split(r"[?#]", address, maxsplit=1)[0])


def file_of(address: str) -> str:
    """Last part of an address or path.

    Examples
    --------
    >>> file_of("https://example.org/scene/B1.TIF?sig=secret")
    'B1.TIF'
    """
    return shown(_without_secrets(whole_address(address)).rstrip("/").rpartition("/")[2])


def resolve(href: str, location: str, where: str) -> str:
    """Address or path that an href of an Item means.

    Parameters
    ----------
    href : str
        Absolute, or relative to the Item.
    location : str
        Address or path of the Item.
    where : str
        What the error begins with.

    Raises
    ------
    GlacierError
        Where an Item from the web names anything but the web (it could read this machine's files), or a local
        one anything but the web and files.

    Examples
    --------
    >>> resolve("../B1.TIF", "https://example.org/items/one.json", "one")
    'https://example.org/B1.TIF'
    >>> resolve("B1.TIF", "items/one.json", "one")
    'items/B1.TIF'
    """
    joined, scheme, path = _parts(href, location, where)
    if is_address(joined):
        return quote(joined, safe="%/:=&?~#+!$,;'@()*[]", errors="replace")
    if is_address(location):
        raise GlacierError(
            f"{where}: {shown(href)} is not on the web, and an Item from the web may name {SCHEMES} "
            "alone; download it"
        )
    if scheme == "file":
        return path
    if _SCHEME.match(href):
        raise GlacierError(f"{where}: {shown(href)} cannot be read; an Item may name files, {SCHEMES}")
    return str(Path(location).parent / href)


def _parts(href: str, location: str, where: str) -> tuple[str, str, str]:
    """An href made absolute on the web, its scheme and its path on this machine."""
    try:
        joined = urljoin(location, href) if is_address(location) else href
        split = urlsplit(joined)
    except ValueError as error:
        raise GlacierError(f"{where}: {shown(href)} is no address ({error}); correct the Item") from error
    return joined, split.scheme if split.netloc in ("", "localhost") else "", unquote(split.path)


def local_path(named: str | Path, where: str) -> Path:
    """Path of this machine that a user named, `~` taken for the home folder; it need not exist.

    Raises
    ------
    GlacierError
        Where no file can have the name, or it is in a folder or is one that may not be read.

    Examples
    --------
    >>> local_path("scenes/2007_TOA", "source").name
    '2007_TOA'
    """
    try:
        path = Path(named).expanduser()
        if stat.S_ISDIR(path.stat().st_mode):
            next(path.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GlacierError(
            f"{where}: {shown(str(named))} cannot be reached ({reason}); check the path"
        ) from error
    return path


def fetch(address: str, where: str) -> bytes:
    """Content of a small file, from the web or this machine.

    Raises
    ------
    GlacierError
        Where it cannot be had, is larger than `LARGEST_FILE`, or the server is silent for too long.
    """
    try:
        content = _download(address) if is_address(address) else _read(Path(address))
    except HTTPError as error:
        reason = f"HTTP {error.code} {error.reason}"
        error.close()
        raise _unfetched(address, where, reason) from error
    except (OSError, HTTPException, ValueError) as error:
        told = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise _unfetched(address, where, str(told) or type(error).__name__) from error
    if len(content) > LARGEST_FILE:
        raise GlacierError(
            f"{where}: {shown(address)} has more than {LARGEST_FILE // 2**20} MiB; give the address of one "
            "STAC Item"
        )
    return content


def _unfetched(address: str, where: str, reason: str) -> GlacierError:
    mend = "check the path"
    if is_address(address):
        web = address.lower().startswith("http")
        mend = "check the address" if web else "an Item is fetched by http and https: give such an address"
    return GlacierError(f"{where}: {shown(address)} cannot be fetched ({' '.join(reason.split())}); {mend}")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def _opener() -> Any:
    """Opener of http and https alone, through the environment's proxies: no redirect leads elsewhere."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [
        ("User-Agent", "glacier_ml"),
        ("Accept", "application/geo+json, application/json, */*"),
    ]
    return opener


def _download(address: str) -> bytes:
    end = monotonic() + 4 * SILENCE_S
    chunks, size = [], 0
    with _opener().open(address, timeout=SILENCE_S) as response:
        while size <= LARGEST_FILE and (chunk := response.read1(2**16)):
            chunks.append(chunk)
            size += len(chunk)
            if monotonic() > end:
                raise TimeoutError(f"not whole after {4 * SILENCE_S:g} s")
        if size <= LARGEST_FILE and response.length:
            raise ConnectionError(f"{response.length} bytes are lacking")
    return b"".join(chunks)
