"""Where a rest-hook may go: http or https, and private addresses only where that is allowed."""

import ipaddress
import socket
from urllib.parse import urlsplit

_LOCAL_NAMES = ("localhost", "localhost.localdomain")


def problem(url: str, *, allow_private: bool) -> str:
    """Return why `url` is no endpoint we would call, or "". Looks at the text, not at DNS."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "Expected an http or https URL with a host."
    if allow_private:
        return ""
    if parts.hostname in _LOCAL_NAMES or _is_private(parts.hostname):
        return "Loopback and private addresses are refused (INFORCE_ALLOW_PRIVATE_HOOKS is false)."
    return ""


def resolves_to_private(url: str) -> bool:
    """Tell whether the host of `url` resolves to any private address. Raises OSError on failure."""
    host = urlsplit(url).hostname or ""
    return any(_is_private(str(found[4][0])) for found in socket.getaddrinfo(host, None))


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not address.is_global or address.is_multicast
