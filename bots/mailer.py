"""smtplib behind our port. The address is smtp://[user:password@]host:port, or smtps:// for TLS.

With smtp:// STARTTLS is used wherever the relay offers it.
"""

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from bots.errors import RetryLater

TIMEOUT_S = 10.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SUBMISSION_PORT, TLS_PORT = 25, 465
LIST_ID = "Inforce eligibility alerts <eligibility-alerts.inforce>"


class Mailer:
    """One mail relay."""

    def __init__(self, url: str, sender: str) -> None:
        """Send through the relay at `url`, as `sender`."""
        self._parts = urlsplit(url)
        self._sender = sender

    def send(self, *, message_id: str, to: Sequence[str], subject: str, text: str) -> list[str]:
        """Hand one message to the relay; return the addresses that it refused for good.

        Raises RetryLater where it takes the message for nobody.
        """
        if not to:
            raise RetryLater("no address is set for alerts (INFORCE_BOTS_ALERT_TO)")
        message = EmailMessage()
        message["From"], message["To"] = self._sender, ", ".join(to)
        message["Subject"], message["Message-ID"] = subject, message_id
        message["Auto-Submitted"], message["List-Id"] = "auto-generated", LIST_ID
        message.set_content(text)
        try:
            relay = self._connect()
        except (smtplib.SMTPException, OSError) as error:
            raise _later(error) from error
        try:
            refused = relay.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            raise _later(error) from error
        finally:
            with suppress(smtplib.SMTPException, OSError):  # the relay has taken it, or it has not
                relay.quit()
        return sorted(refused)

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
        is_private = isinstance(relay.sock, ssl.SSLSocket) or host in LOOPBACK
        if self._parts.username and not is_private:
            relay.close()
            raise smtplib.SMTPNotSupportedError("no TLS, so no password is sent")
        if self._parts.username:
            relay.login(unquote(self._parts.username), unquote(self._parts.password or ""))
        return relay


def _later(error: Exception) -> RetryLater:
    code = getattr(error, "smtp_code", "")
    return RetryLater(f"mail relay: {type(error).__name__} {code}".strip())
