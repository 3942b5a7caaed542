"""Where the server is and what it wants to see: addresses, credentials, TLS, from arguments, environment or files."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ._errors import InvalidArgument
from ._wire import fixed_headers

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server."""

    url: str
    host: str
    port: int
    tls: bool
    fixed: bytes
    """Headers of every request to it."""

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"


def find_urls(url: str | Sequence[str] | None) -> list[str]:
    """The addresses: those given, else ``VECTRON_URL`` (several with commas), else the default of a local node."""
    given = url if url is not None else os.environ.get("VECTRON_URL") or DEFAULT_URL
    urls = given.split(",") if isinstance(given, str) else list(given)
    found = [one.strip().rstrip("/") for one in urls if one.strip()]
    if not found:
        raise InvalidArgument("no address is given; name one such as http://127.0.0.1:8080")
    return list(dict.fromkeys(found))


def find_key(key: str | None, key_file: str | os.PathLike[str] | None) -> str | None:
    """The key: given, from a file, from ``VECTRON_API_KEY``, or from the file that ``VECTRON_API_KEY_FILE`` names."""
    if key is not None and key_file is not None:
        raise InvalidArgument("key and key_file are both given; give one of them")
    if key is None and key_file is None:
        key = os.environ.get("VECTRON_API_KEY") or None
        key_file = os.environ.get("VECTRON_API_KEY_FILE") or None
    if key is None and key_file is not None:
        try:
            key = Path(key_file).read_text("utf-8")
        except OSError as error:
            raise InvalidArgument(f"the key file cannot be read: {error.strerror}") from error
    return (key or "").strip() or None


def find_endpoint(url: str, key: str | None) -> Endpoint:
    """An address taken apart."""
    fix = f"'{url}' is not an address; give one such as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(fix) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(fix)
    if parts.path not in ("", "/", "/v1") or parts.query or parts.username:
        raise InvalidArgument(f"'{url}' has more than scheme, host and port; keys go in key=")
    tls = parts.scheme == "https"
    try:
        fixed = fixed_headers(parts.netloc, key)
    except ValueError as error:
        raise InvalidArgument(f"the address or the key {error}") from None
    return Endpoint(url, parts.hostname, port or (443 if tls else 80), tls, fixed)


def find_tls(
    verify: bool | str | os.PathLike[str] | ssl.SSLContext, certificate: tuple[str, str] | None
) -> ssl.SSLContext:
    """The TLS settings: the system's roots, a file or folder of roots, or a context of your own."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif verify is True:
        roots = os.environ.get("VECTRON_CA_FILE") or None
        context = ssl.create_default_context(cafile=roots)
    else:
        path = Path(verify)
        context = ssl.create_default_context(
            cafile=None if path.is_dir() else str(path), capath=str(path) if path.is_dir() else None
        )
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def proxied(endpoints: Sequence[Endpoint]) -> bool:
    """Whether the environment names a proxy for these addresses."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") and os.environ[name] for name in os.environ):
        return False
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    first = endpoints[0]
    scheme = "https" if first.tls else "http"
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(first.host)
