"""Tasks by which people and programs ask a bot for something: how one ends."""

from bots.errors import RetryLater
from bots.ports import Resource, Tools


def end(wish: Resource, status: str, words: str, tools: Tools) -> None:
    """End a wish as `completed` or `rejected`, with what came of it in words.

    Raises RetryLater where somebody else changed it meanwhile.
    """
    done = {**wish, "status": status, "statusReason": {"text": words}}
    if tools.fhir.update(done) is None:
        raise RetryLater("another delivery changed the Task")
