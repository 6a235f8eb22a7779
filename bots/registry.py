"""All bots, one line each: the receiver's routes and the Subscriptions follow from here."""

from bots.handlers import (
    alert_could_not_check,
    alert_flip,
    alert_inactive,
    check_arrival,
    check_booking,
    check_eligibility,
    check_encounter,
    check_on_demand,
    inquire_prior_auth,
    match_member,
    record_decision,
    request_eligibility,
    send_document,
    sign_order,
    submit_prior_auth,
)
from bots.ports import Bot, Resource
from fhir_profiles import systems

BOTS: tuple[Bot, ...] = (
    alert_could_not_check.BOT,
    alert_flip.BOT,
    alert_inactive.BOT,
    check_arrival.BOT,
    check_booking.BOT,
    check_eligibility.BOT,
    check_encounter.BOT,
    check_on_demand.BOT,
    inquire_prior_auth.BOT,
    match_member.BOT,
    record_decision.BOT,
    request_eligibility.BOT,
    send_document.BOT,
    sign_order.BOT,
    submit_prior_auth.BOT,
)
ANSWER_S = 5  # the server waits so much longer for the answer than a bot may take
BY_NAME = {bot.name: bot for bot in BOTS}


def subscription(
    bot: Bot, *, hooks_url: str, secret: str, header: bool, timeout_s: int
) -> Resource:
    """Return the Subscription of a bot; the same every time, so that a PUT of it changes nothing.

    The secret goes into our signing extension, or with `header` into channel.header, for servers
    that do not sign. `timeout_s` is how long the bot may take.
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
    found["extension"] = []
    if bot.change:
        found["extension"].append({"url": systems.EXT_HOOK_PATH, "valueString": bot.change})
    if header:
        channel["header"] = [f"Authorization: Bearer {secret}"]
    else:
        wait_s = timeout_s + ANSWER_S
        channel["extension"] = [{"url": systems.EXT_TIMEOUT, "valueUnsignedInt": wait_s}]
        found["extension"].append({"url": systems.EXT_HOOK_SECRET, "valueString": secret})
    return {key: value for key, value in found.items() if value != []}
