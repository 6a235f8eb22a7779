"""A new order -> what the payer says about it: covered, authorization needed, documents."""

from bots import order_check
from bots.ports import Bot, Resource, Tools


def handle(order: Resource, tools: Tools) -> None:
    """Ask the payer once; what it says is kept on the order."""
    order_check.check(order, tools)


BOT = Bot(
    "sign-order",
    "ServiceRequest?status=active&intent=order",
    handle,
    change="%previous.empty()",
)
