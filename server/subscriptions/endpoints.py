"""Where a rest-hook may go: allowed hosts, no private addresses unless they are allowed.

Looked at three times: the text when the Subscription comes in and again before each attempt, the
addresses that its name resolves to, and the peer that a connection has reached.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

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
        host = (parts.hostname or "").lower()
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
        host = (parts.hostname or "").lower()
        return not (self.private and (_is_local_name(host) or is_private(host)))

    def allows_peer(self, address: str) -> bool:
        """Tell whether a connection may go to this address."""
        return self.private or not is_private(address)

    def resolves_well(self, url: str) -> bool:
        """Tell whether every address of the host may be called. Raises OSError if it has none."""
        parts = _parts(url)
        host = parts.hostname if parts else None
        if self.private or not host:
            return host is not None
        found = socket.getaddrinfo(host, None)
        return all(self.allows_peer(str(one[4][0])) for one in found)


def origin(url: str) -> str:
    """Return scheme, host and port of an endpoint: what is up or down as a whole."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_private(host: str) -> bool:
    """Tell whether a host is written as an address that only a part of the network can reach."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global or address.is_multicast


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return None
    return parts


def _is_local_name(host: str) -> bool:
    return host in _LOCAL_NAMES or host.endswith(".localhost")


def _is_of(host: str, allowed: str) -> bool:
    return host.endswith(allowed) if allowed.startswith(".") else host == allowed
