"""A mail relay that keeps every message and delivers none."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

from sandbox.world import World


class _Keeper:
    """aiosmtpd's handler: takes a message into the world, or refuses it for now."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_DATA(  # noqa: N802 aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Keep one message."""
        fault = self._world.next_fault("smtp")
        if fault is not None and fault.kind == "smtp-451":
            return "451 Requested action aborted: try again later"
        message = message_from_bytes(envelope.content, policy=policy.default)
        self._world.mailed(
            {
                "received": datetime.now(UTC).isoformat(),
                "from": envelope.mail_from,
                "to": list(envelope.rcpt_tos),
                "headers": {name: str(value) for name, value in message.items()},
                "text": message.get_content(),
            }
        )
        return "250 kept"


def relay(world: World, host: str, port: int) -> Controller:
    """Return a relay on host:port; start() and stop() it."""
    return Controller(_Keeper(world), hostname=host, port=port)
