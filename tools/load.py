"""A load client for the bench: keep-alive connections in one process, answers counted and timed.

It speaks just enough HTTP/1.1 for the servers that the bench starts, so that it costs little of
the cores that it shares with them. Loopback only.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave.

    Requests a second, the times of all requests in seconds, sorted, and how many answers had
    another status than expected.
    """

    rate: float
    times: list[float]
    wrong: int

    def percentile(self, percent: int) -> float:
        """Return the nearest-rank percentile, in seconds."""
        return self.times[max(0, -(-len(self.times) * percent // 100) - 1)]


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request."""
    named = {"Host": HOST, "Content-Length": str(len(body))} if body else {"Host": HOST}
    if body:
        named["Content-Type"] = "application/fhir+json"
    named |= {key.replace("_", "-"): value for key, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    port: int, make: Callable[[int], bytes], *, count: int, connections: int, expected: int
) -> Run:
    """Send `make(0)` to `make(count - 1)` over kept connections, as fast as answers come."""
    return asyncio.run(_run(port, make, count, connections, expected))


async def _run(
    port: int, make: Callable[[int], bytes], count: int, connections: int, expected: int
) -> Run:
    numbers = iter(range(count))
    times: list[float] = []
    wrong = 0

    async def work() -> None:
        nonlocal wrong
        reader, writer = await asyncio.open_connection(HOST, port)
        for number in numbers:
            started = time.perf_counter()
            writer.write(make(number))
            status = await _answer(reader)
            times.append(time.perf_counter() - started)
            wrong += status != expected
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return Run(count / (time.perf_counter() - started), sorted(times), wrong)


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    place = head.lower().find(b"content-length:")
    if place >= 0:
        length = int(head[place + 15 : head.index(b"\r", place)])
        await reader.readexactly(length)
    elif b"chunked" in head:
        while int(await reader.readline(), 16):
            await reader.readuntil(b"\r\n")
        await reader.readline()
    return int(head[9:12])
