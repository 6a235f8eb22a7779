"""smtplib behind our port. The address is smtp://[user:password@]host:port, or smtps:// for TLS.

With smtp:// STARTTLS is used wherever the relay offers it.
"""

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from bots.errors import RetryLater

TIMEOUT_S = 20.0
SUBMISSION_PORT, TLS_PORT = 25, 465
LIST_ID = "Inforce eligibility alerts <eligibility-alerts.inforce>"


class Mailer:
    """One mail relay."""

    def __init__(self, url: str, sender: str) -> None:
        """Send through the relay at `url`, as `sender`."""
        self._parts = urlsplit(url)
        self._sender = sender

    def send(self, *, message_id: str, to: Sequence[str], subject: str, text: str) -> None:
        """Hand one message to the relay. Raises RetryLater where it is not taken."""
        if not to:
            raise RetryLater("no address is set for alerts (INFORCE_BOTS_ALERT_TO)")
        message = EmailMessage()
        message["From"], message["To"] = self._sender, ", ".join(to)
        message["Subject"], message["Message-ID"] = subject, message_id
        message["Auto-Submitted"], message["List-Id"] = "auto-generated", LIST_ID
        message.set_content(text)
        try:
            with self._connect() as relay:
                relay.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            code = getattr(error, "smtp_code", "")
            raise RetryLater(f"mail relay: {type(error).__name__} {code}".strip()) from error

    def _connect(self) -> smtplib.SMTP:
        host, port = self._parts.hostname or "", self._parts.port
        relay: smtplib.SMTP
        if self._parts.scheme == "smtps":
            context = ssl.create_default_context()
            relay = smtplib.SMTP_SSL(host, port or TLS_PORT, timeout=TIMEOUT_S, context=context)
        else:
            relay = smtplib.SMTP(host, port or SUBMISSION_PORT, timeout=TIMEOUT_S)
            relay.ehlo_or_helo_if_needed()
            if relay.has_extn("starttls"):
                relay.starttls(context=ssl.create_default_context())
        if self._parts.username:
            relay.login(unquote(self._parts.username), unquote(self._parts.password or ""))
        return relay
