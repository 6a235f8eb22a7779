"""Who looks after a prior authorization: a Practitioner, as Task.owner."""

from fhir_profiles import elements
from server.errors import NotFound
from server.interactions import prior_auth as requests
from server.interactions import read, search
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import authorizations
from server.web.records import person

SHOWN = 200


def choices(engine: Engine) -> list[tuple[str, str]]:
    """Return whom a request can be given to, as address and name: by name, the first 200."""
    wanted = [("active:not", "false"), ("_sort", "family,given")]
    return [
        (f"Practitioner/{one['id']}", person(one))
        for one in search.found(engine, "Practitioner", wanted, SHOWN)
    ]


def with_current(listed: list[tuple[str, str]], address: str, name: str) -> list[tuple[str, str]]:
    """Return the choices with whoever it is given to now, where that is somebody else's doing."""
    return listed if not address or address in dict(listed) else [(address, name), *listed]


def assign(engine: Engine, task_id: str, address: str) -> None:
    """Give a request to a Practitioner, "" to nobody. Raises NotFound for anybody else."""
    task = authorizations.found(engine, task_id)
    others = {name: value for name, value in task.items() if name != "owner"}
    if elements.reference(task.get("owner")) == address:
        return
    if not address:
        if "owner" in task:
            requests.change(engine, task, others, Origin(engine.new_id()))
        return
    who = read.referenced(engine, "Practitioner", address)
    if who is None or not who.get("active", True):
        raise NotFound("There is no such person to give it to.")
    given = {"reference": address, "display": person(who)}
    requests.change(engine, task, {**others, "owner": given}, Origin(engine.new_id()))
