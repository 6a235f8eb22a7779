"""What every connector is given: its name, address, key, and the numbers and times it writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Access:
    """One configured route. `control` gives a new interchange control number at each call.

    `shape` is the form its vendor speaks, where there are several; `client_id` goes with the key
    where the vendor gives tokens; `receiver_id` is whom an envelope is addressed to.
    """

    name: str
    url: str
    key: str = field(repr=False)
    sender_id: str
    now: Callable[[], datetime]
    control: Callable[[], int]
    shape: str = ""
    client_id: str = ""
    receiver_id: str = ""
