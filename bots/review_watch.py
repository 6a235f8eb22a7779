"""Requests that a clearinghouse has taken, watched: what the payer decides is asked after.

Nobody tells us of it, unlike with PAS. Each is asked after more and more rarely, from once in a
minute and a half to once an hour; a person may ask at any time.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from bots import payer_notices
from bots import prior_auth as room
from bots.errors import NeverRetry, RetryLater
from bots.ports import Resource, Tools
from fhir_profiles import elements, prior_auth

FIRST, LONGEST = timedelta(seconds=90), timedelta(hours=1)
_log = logging.getLogger(__name__)
PAGE = "1000"  # matches of one search's page


def run(tools: Tools) -> int:
    """Ask after each request whose time has come; return how many. Raises RetryLater."""
    waiting = ",".join(f"{prior_auth.STATUS}|{one}" for one in sorted(prior_auth.WAITING))
    wanted = [("code", prior_auth.TOKEN), ("business-status", waiting),
              ("identifier", f"{prior_auth.TAKEN}|"), ("_count", PAGE)]  # fmt: skip
    asked = 0
    for task in tools.fhir.search("Task", wanted):
        if _is_time(task, tools.now()):
            asked += _asked_after(task, tools)
    return asked


def _asked_after(task: Resource, tools: Tools) -> bool:
    """Ask after one request; tell whether that was done. One that fails stops no other."""
    case = room.case_of(task, tools)
    if case is None:
        return False
    try:
        payer_notices.ask(case, tools)
    except (RetryLater, NeverRetry) as error:
        _log.warning("prior authorization %s is not asked after: %s", task["id"], error)
        return False
    return True


def _is_time(task: Resource, now: datetime) -> bool:
    """Tell whether as much time has gone since the last look as before it, or an hour."""
    began = prior_auth.sent_at(task)
    if began is None:
        return False
    text = elements.extension_value(task, payer_notices.EXT_ASKED)
    last = datetime.fromisoformat(text) if text else began
    return now - last >= min(max(last - began, FIRST), LONGEST)


def look(tools: Tools, say: Callable[[str], None]) -> None:
    """Look once, and say what was done; what fails is made up for at the next look."""
    try:
        asked = run(tools)
    except (RetryLater, NeverRetry) as error:
        say(f"requests at clearinghouses: {error}")
        return
    if asked:
        say(f"requests at clearinghouses: asked after {asked}")
