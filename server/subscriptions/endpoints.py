"""Where a rest-hook may go: allowed hosts, no private addresses unless they are allowed.

Looked at three times: the text when the Subscription comes in and again before each attempt, the
addresses that its name resolves to, and the peer that a connection has reached.
"""

import ipaddress
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

_NAT64 = int(IPv6Address("64:ff9b::")) >> 32
_LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows: private addresses, http beyond them, and only these hosts (all).

    A host that begins with a dot stands for every name below it.
    """

    private: bool = False
    plain_http: bool = False
    hosts: tuple[str, ...] = ()

    def problem(self, url: str) -> str:
        """Return why `url` is no endpoint we would call, or "". Looks at the text, not at DNS."""
        parts = _parts(url)
        if parts is None:
            return "Expected an http or https URL with a host."
        host = _host(parts)
        if self.hosts and not any(_is_of(host, allowed) for allowed in self.hosts):
            return "The host is not among those allowed (INFORCE_HOOK_HOSTS)."
        if not self.private and (_is_local_name(host) or is_private(host)):
            return (
                "Loopback and private addresses are refused (INFORCE_ALLOW_PRIVATE_HOOKS is false)."
            )
        return ""

    def is_too_open(self, url: str) -> bool:
        """Tell whether what goes to `url` could be read on its way through other networks."""
        parts = _parts(url)
        if parts is None or parts.scheme == "https" or self.plain_http:
            return False
        host = _host(parts)
        return not (self.private and (_is_local_name(host) or is_private(host)))

    def allows_peer(self, address: str) -> bool:
        """Tell whether a connection may go to this address."""
        return self.private or not is_private(address)

    def resolves_well(self, url: str) -> bool:
        """Tell whether every address of the host may be called. Raises OSError if it has none."""
        parts = _parts(url)
        if parts is None or self.private:
            return parts is not None
        host = _host(parts)
        found = socket.getaddrinfo(host, None)
        return all(self.allows_peer(str(one[4][0])) for one in found)


def origin(url: str) -> str:
    """Return scheme, host and port of an endpoint."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_private(host: str) -> bool:
    """Tell whether a host is written as an address that only a part of the network can reach."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    inside = _embedded(address) or address
    return not inside.is_global or inside.is_multicast or address.is_multicast


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64, ::a.b.c.d.

    Source: RFC 4291 2.5.5, RFC 3056, RFC 4380, RFC 6052.
    """
    if isinstance(address, IPv4Address):
        return None
    teredo = address.teredo[1] if address.teredo else None
    found = address.ipv4_mapped or address.sixtofour or teredo
    if found is None and int(address) >> 32 in (0, _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return found


def _parts(url: str) -> Url | None:
    """Return the parts of a URL as the client that calls it will read them, None if it is none.

    What two readers could read in two ways is none: a backslash, a name before the host, blanks.
    """
    if "\\" in url or not url.isprintable() or " " in url:
        return None
    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    if parts.scheme not in ("http", "https") or not parts.host or parts.auth is not None:
        return None
    return parts if parts.port != 0 else None


def _host(parts: Url) -> str:
    return (parts.host or "").strip("[]").rstrip(".").lower()


def _is_local_name(host: str) -> bool:
    return host in _LOCAL_NAMES or host.endswith(".localhost")


def _is_of(host: str, allowed: str) -> bool:
    return host.endswith(allowed) if allowed.startswith(".") else host == allowed
