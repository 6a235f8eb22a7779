"""What a bot raises when its work cannot be done now, or not at all."""


class RetryLater(Exception):
    """Not now: the same event should come again. `after_s` is the least wait, if one is known."""

    def __init__(self, reason: str, *, after_s: int | None = None) -> None:
        """Say why, without patient data."""
        super().__init__(reason)
        self.after_s = after_s


class NeverRetry(Exception):
    """Not ever: the same event would fail in the same way."""
