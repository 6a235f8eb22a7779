"""The search parameters in force, read anew when a stored SearchParameter changes anywhere."""

from fhir_profiles import codec
from server.search.parameters import Parameters
from server.store import deliveries, search_parameters
from server.store.connection import Connection


class Registry:
    """Gives the Parameters of one database, whichever process changed them."""

    def __init__(self) -> None:
        """Know only the built-in ones."""
        # Both in one, so that threads need no lock: who waits for the database may hold none.
        self._kept = (0, Parameters())  # as in a database without any stored SearchParameter

    def parameters(self, connection: Connection) -> Parameters:
        """Return the search parameters as this transaction sees them."""
        _, epoch = deliveries.epochs(connection)
        return self.at(connection, epoch)

    def at(self, connection: Connection, epoch: int) -> Parameters:
        """Return the search parameters of an epoch that was read already."""
        known, parameters = self._kept
        if epoch != known:
            found = search_parameters.stored(connection)
            parameters = Parameters([(codec.decode(body), ready) for body, ready in found])
            self._kept = epoch, parameters
        return parameters

    @property
    def latest(self) -> Parameters:
        """The search parameters that were in force when last read, most likely still."""
        return self._kept[1]
