"""The sessions of people who signed in; moments are microseconds since 1970."""

from dataclasses import dataclass

from server.store.connection import Connection
from server.store.secrets import digest
from server.store.statements import sql


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, the roles with blanks between, its end, and when a page was asked for."""

    subject: str
    name: str
    roles: str
    until: int
    seen: int


def begin(connection: Connection, text: str, session: Session) -> None:
    """Keep a session under what a browser has of it, and forget those that are over."""
    connection.execute(sql("remove_old_sessions"), (session.seen,))
    row = (session.subject, session.name, session.roles, session.until, session.seen)
    connection.execute(sql("insert_session"), (digest(text), *row))


def found(connection: Connection, text: str) -> Session | None:
    """Return the session that a browser tells, None where there is none any more."""
    row = connection.execute(sql("session"), (digest(text),)).fetchone()
    return Session(*row) if row else None


def see(connection: Connection, text: str, now: int) -> None:
    """Note that a page was asked for."""
    connection.execute(sql("see_session"), (now, digest(text)))


def end(connection: Connection, text: str) -> bool:
    """End a session; tell whether there was one."""
    return connection.execute(sql("remove_session"), (digest(text),)).fetchone() is not None
