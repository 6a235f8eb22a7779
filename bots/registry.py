"""All bots, one line each: the receiver's routes and the Subscriptions follow from here."""

from bots.handlers import alert_inactive, check_eligibility, request_eligibility
from bots.ports import Bot, Resource
from fhir_profiles import systems

BOTS: tuple[Bot, ...] = (
    alert_inactive.BOT,
    check_eligibility.BOT,
    request_eligibility.BOT,
)
# Two clearinghouses of 22 s each, and the mail: the server waits so long for a bot's answer.
TIMEOUT_S = 75
BY_NAME = {bot.name: bot for bot in BOTS}


def subscription(bot: Bot, *, hooks_url: str, secret: str, header: bool) -> Resource:
    """Return the Subscription of a bot; the same every time, so that a PUT of it changes nothing.

    The secret goes into our signing extension, or with `header` into channel.header, for servers
    that do not sign.
    """
    channel: Resource = {
        "type": "rest-hook",
        "endpoint": f"{hooks_url}/hooks/{bot.name}",
        "payload": "application/fhir+json",
    }
    found: Resource = {
        "resourceType": "Subscription",
        "id": f"inforce-{bot.name}",
        "status": "requested",
        "reason": f"Calls the bot {bot.name}",
        "criteria": bot.criteria,
        "channel": channel,
    }
    if header:
        channel["header"] = [f"Authorization: Bearer {secret}"]
    else:
        channel["extension"] = [{"url": systems.EXT_TIMEOUT, "valueUnsignedInt": TIMEOUT_S}]
        found["extension"] = [{"url": systems.EXT_HOOK_SECRET, "valueString": secret}]
    return found
