"""The search parameters in force, read anew when a stored SearchParameter changes anywhere."""

import threading

from fhir_profiles import codec
from server.search.parameters import Parameters
from server.store import deliveries, search_parameters
from server.store.connection import Connection


class Registry:
    """Gives the Parameters of one database, whichever process changed them."""

    def __init__(self) -> None:
        """Know only the built-in ones."""
        self._lock = threading.Lock()
        self._epoch = 0  # as in a database without any stored SearchParameter
        self._parameters = Parameters()

    def parameters(self, connection: Connection) -> Parameters:
        """Return the search parameters as this transaction sees them."""
        _, epoch = deliveries.epochs(connection)
        return self.at(connection, epoch)

    def at(self, connection: Connection, epoch: int) -> Parameters:
        """Return the search parameters of an epoch that was read already."""
        with self._lock:
            if epoch != self._epoch:
                found = search_parameters.stored(connection)
                stored = [(codec.decode(body), ready) for body, ready in found]
                self._parameters = Parameters(stored)
                self._epoch = epoch
            return self._parameters

    @property
    def latest(self) -> Parameters:
        """The search parameters that were in force when last read, most likely still."""
        return self._parameters
