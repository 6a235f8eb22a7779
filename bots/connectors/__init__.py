"""The wires: one file per clearinghouse, and the table that names them."""

from collections.abc import Callable

from bots.connectors import availity, core, opkit, stedi
from bots.connectors.access import Access
from bots.ports import Clearinghouse

# name (as in INFORCE_BOTS_ROUTES) -> how to build it
CLEARINGHOUSES: dict[str, Callable[[Access], Clearinghouse]] = {
    "availity": availity.connect,
    "core": core.connect,
    "opkit": opkit.connect,
    "optum": stedi.connect_optum,
    "sandbox": stedi.connect,
    "stedi": stedi.connect,
}
