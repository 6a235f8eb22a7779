"""Who looks after a prior authorization: a Practitioner, as Task.owner."""

from fhir_profiles import elements
from server.errors import NotFound
from server.interactions import prior_auth as requests
from server.interactions import read, search
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import authorizations
from server.web.authorization_words import person

SHOWN = 200


def choices(engine: Engine) -> list[tuple[str, str]]:
    """Return whom a request can be given to, as address and name: by name, the first 200."""
    wanted = [("active:not", "false"), ("_sort", "family,given")]
    return [
        (f"Practitioner/{one['id']}", person(one))
        for one in search.found(engine, "Practitioner", wanted, SHOWN)
    ]


def assign(engine: Engine, task_id: str, address: str) -> None:
    """Give a request to a Practitioner, "" to nobody. Raises NotFound for anybody else."""
    task = authorizations.found(engine, task_id)
    others = {name: value for name, value in task.items() if name != "owner"}
    if not address:
        if "owner" in task:
            requests.change(engine, task, others, Origin(engine.new_id()))
        return
    who = read.referenced(engine, "Practitioner", address)
    if who is None or not who.get("active", True):
        raise NotFound("There is no such person to give it to.")
    if elements.reference(task.get("owner")) != address:
        given = {"reference": address, "display": person(who)}
        requests.change(engine, task, {**others, "owner": given}, Origin(engine.new_id()))
