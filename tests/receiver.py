"""A receiver of deliveries in a process of its own: it writes down what comes, and can misbehave.

    python -m tests.receiver PORT JOURNAL

Every request is a line of JSON in JOURNAL before it is answered. The path says how it answers:
/ok 200; /status/503 that; /fail/3 503 three times for each delivery id and 200 then; /slow/500
200 after so many ms; /hang never; /drip a byte a second; /reset breaks off; /flood without end;
/redirect 307 to /private; /later/9 503 with
Retry-After; /tell 422 with an OperationOutcome. What stands behind a ? only tells paths apart.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
OUTCOME = json.dumps({
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "processing", "diagnostics": "the payer says no"}],
})  # fmt: skip
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Got:
    """One request: when it came (seconds since 1970), its path, headers (lower case) and body."""

    at: float
    path: str
    headers: dict[str, str]
    body: str

    @property
    def uid(self) -> str:
        """The delivery id."""
        return self.headers.get("x-inforce-delivery", "")

    @property
    def resource(self) -> Any:
        """The body as JSON, None where there is none."""
        return json.loads(self.body) if self.body else None


def read(journal: Path) -> list[Got]:
    """Return what a receiver wrote down; a line that a kill cut off is none."""
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [Got(**json.loads(line)) for line in lines]


class _Receiver:
    def __init__(self, journal: Path) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._tries: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                path = first.split(" ")[1]
                line = {"at": time.time(), "path": path, "headers": headers, "body": body.decode()}
                os.write(self._journal, json.dumps(line).encode() + b"\n")
                await self._answer(path, headers, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        what, _, value = path.partition("?")[0].strip("/").partition("/")
        await _misbehave(what, value, writer)
        status, more, text = 200, "", ""
        if what == "fail":
            self._tries[headers["x-inforce-delivery"]] += 1
            status = 503 if self._tries[headers["x-inforce-delivery"]] <= int(value) else 200
        elif what in _ANSWERS:
            status, more, text = _ANSWERS[what](value)
        answer = f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(text)}\r\n\r\n{text}"
        writer.write(answer.encode())
        await writer.drain()


# Status, further headers and body of an answer, by what the path says.
_ANSWERS: dict[str, Callable[[str], tuple[int, str, str]]] = {
    "status": lambda value: (int(value), "", ""),
    "later": lambda value: (503, f"Retry-After: {value}\r\n", ""),
    "redirect": lambda _: (307, "Location: http://169.254.169.254/private\r\n", ""),
    "tell": lambda _: (422, "Content-Type: application/fhir+json\r\n", OUTCOME),
}


async def _misbehave(what: str, value: str, writer: asyncio.StreamWriter) -> None:
    if what == "hang":
        await asyncio.sleep(HOUR_S)
    elif what == "reset":
        writer.transport.abort()
        raise ConnectionError
    elif what in ("drip", "flood"):
        await _endless(writer, pause_s=1.0 if what == "drip" else 0.0)
    elif what == "slow":
        await asyncio.sleep(int(value) / 1000)


async def _endless(writer: asyncio.StreamWriter, *, pause_s: float) -> None:
    """Answer 200 with ten gigabytes, or a byte a second."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 10000000000\r\n\r\n")
    block = b"x" * (1 if pause_s else 65536)
    while True:
        writer.write(block)
        await writer.drain()
        await asyncio.sleep(pause_s)


async def _main(port: int, journal: Path) -> None:
    server = await asyncio.start_server(_Receiver(journal).serve, HOST, port, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
