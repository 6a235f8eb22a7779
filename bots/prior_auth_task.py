"""The Task of a prior authorization, stored as a bot turns it."""

from bots.errors import RetryLater
from bots.ports import Resource, Tools
from fhir_profiles import prior_auth
from fhir_profiles.prior_auth import Status


def move(task: Resource, to: Status, reason: str, tools: Tools) -> None:
    """Move a Task to a status; where it stands there for that reason already, nothing is stored."""
    if prior_auth.status(task) == to and task.get("statusReason", {}).get("text") == reason:
        return
    now = tools.now().isoformat(timespec="milliseconds")
    stored({**prior_auth.moved(task, to, reason), "lastModified": now}, tools)


def stored(task: Resource, tools: Tools) -> Resource:
    """Store a Task. Raises RetryLater where somebody else changed it meanwhile."""
    stored = tools.fhir.update(task)
    if stored is None:
        raise RetryLater("another delivery changed the Task")
    return stored
