"""People sign in at the clinic's own OpenID provider, and have a session here.

The session ends after IDLE_S without a page being asked for, after LIFE_S in any case, and when
somebody signs out. What a browser has of it is a random id in a signed cookie; the FHIR API knows
nothing of it. Source: 45 CFR 164.312(a)(2)(iii), automatic logoff, and (d), authentication.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as WerkzeugResponse

from server.access import people
from server.access.people import Person, Provider
from server.interactions.engine import Engine
from server.search.values import micros
from server.store import sessions
from server.store.sessions import Session
from server.subscriptions.audit import GOOD, MINOR
from server.web import audit, site
from server.web.provider import Begun, OpenId, ProviderUnusable, SignInRefused
from server.web.site import Who

DONE = "/sign-in/done"
IDLE_S, LIFE_S, BEGUN_S = 30 * 60, 10 * 3600, 15 * 60
NOTED_EVERY_S = 60  # how exactly idleness is measured
BEGUN_LIMIT, NAME_LIMIT, ADDRESS_LIMIT, GROUPS_LIMIT = 3, 100, 500, 20
SECOND = 1_000_000  # microseconds
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_WORD = re.compile(r"[A-Za-z_]{1,60}")
_NOT_DONE = {
    "not_begun": "This sign-in was begun in another browser, or too long ago. Begin it again.",
    "access_denied": "Your organization did not let you in, or you left its page. Try it again.",
    "": "The sign-in was not completed. Try it again.",
}
_NO_ANSWER = "The sign-in of your organization does not answer. Try it again."
_NO_ROLE = (
    "You are known, but none of your groups has a role here. Ask who looks after this server."
)
_log = logging.getLogger(__name__)


def install(
    app: Flask, engine: Engine, provider: Provider, public_url: str, keys: tuple[str, ...]
) -> Who:
    """Let people of `provider` sign in, and return what tells who looks.

    The first of `keys` signs cookies, all are good.
    """
    is_safe = public_url.startswith("https://")
    app.config |= {
        "SECRET_KEY": keys[0],
        "SECRET_KEY_FALLBACKS": list(keys[1:]),
        "SESSION_COOKIE_NAME": "__Host-inforce" if is_safe else "inforce",
        "SESSION_COOKIE_SECURE": is_safe,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": LIFE_S,
    }
    made = _SignIn(engine, provider, public_url)
    routes = Blueprint("sign_in", __name__)
    routes.get("/sign-in")(made.start)
    routes.get(DONE)(made.done)
    routes.post("/sign-out")(made.leave)
    routes.get("/signed-out")(made.left)
    routes.after_request(site.secure)
    routes.app_context_processor(lambda: {"sign_in": _start_at, "idle_s": IDLE_S})
    app.register_blueprint(routes)
    return made.person


def _start_at(*, anew: bool = False) -> str:
    """Return where to sign in, and come back to the page that is asked for."""
    if request.endpoint == "sign_in.start":
        to = _local(request.args.get("to", ""))
    elif request.method == "GET" and request.blueprint != "sign_in":
        to = _local(request.full_path.removesuffix("?"))
    else:
        to = "/"
    return url_for("sign_in.start", to=to, anew=1 if anew else None)


def _local(address: str) -> str:
    """Return the address of a page of ours, that of the first one where it is none."""
    is_ours = len(address) <= ADDRESS_LIMIT and _LOCAL.fullmatch(address)
    return address if is_ours else "/"


class _SignIn:
    """The four pages of the sign-in, and who has come in by them."""

    def __init__(self, engine: Engine, provider: Provider, public_url: str) -> None:
        self._engine, self._provider, self._public_url = engine, provider, public_url
        self._openid = OpenId(provider, public_url + DONE)

    def start(self) -> WerkzeugResponse:
        """Send the browser to the provider, and remember for what."""
        try:
            url, begun = self._openid.begin(anew="anew" in request.args)
        except ProviderUnusable as error:
            return _unusable(error)
        to = _local(request.args.get("to", ""))
        kept = [begun.state, begun.nonce, begun.verifier, to, self._now()]
        session["begun"] = [*session.get("begun", [])[1 - BEGUN_LIMIT :], kept]
        return redirect(url)

    def done(self) -> WerkzeugResponse:
        """Take what the provider says of who comes back, and begin a session."""
        state, known = request.args.get("state", ""), self.person()
        mine = [one for one in session.get("begun", []) if one[0] == state]
        if not mine and known is not None:
            return redirect(site.home(known))  # sent twice: the first has signed them in
        session["begun"] = [one for one in session.get("begun", []) if one[0] != state]
        if not mine or self._now() >= mine[0][-1] + BEGUN_S * SECOND:
            return _refused("not_begun")
        _, nonce, verifier, to, _ = mine[0]
        code = request.args.get("code", "")
        if not code:
            return _refused(request.args.get("error", "no_code"))
        try:
            begun = Begun(state, nonce, verifier)
            claims = self._openid.claims(code, begun, self._provider.claim)
        except SignInRefused as error:
            return _refused(str(error))
        except ProviderUnusable as error:
            return _unusable(error)
        return self._begin(claims, to)

    def _begin(self, claims: Mapping[str, Any], to: str) -> WerkzeugResponse:
        roles = people.roles_of(claims.get(self._provider.claim), self._provider.groups)
        subject = claims["sub"].strip()
        known = Person(subject, _name(claims) or subject, roles, self._provider.issuer)
        self._end(self.person())
        audit.signed(self._engine, known, audit.LOGIN, GOOD if roles else MINOR)
        if not roles:
            told = _listed(claims.get(self._provider.claim))
            _log.warning(
                "a sign-in has no role: the claim %s %s, trace %s",
                self._provider.claim, told, g.trace,
            )  # fmt: skip
            return site.refuse(403, _NO_ROLE)
        now, text = self._now(), secrets.token_urlsafe(32)
        kept = Session(known.subject, known.name, " ".join(roles), now + LIFE_S * SECOND, now)
        with self._engine.database.write() as connection:
            sessions.begin(connection, text, kept)
        session["id"] = text
        return redirect(site.home(known) if to == "/" else to)

    def leave(self) -> Response:
        """End the session, wherever else its cookie may be."""
        if not site.is_ours(self._public_url):
            return site.refuse(403)
        self._end(self.person())
        return site.see(url_for("sign_in.left"))

    def left(self) -> str:
        """Say that the session is over, and where to end the provider's own."""
        return render_template("signed_out.html", ended_at=self._openid.sign_out_at())

    def person(self) -> Person | None:
        """Return whose session it is, None where it is over, and note that it is in use."""
        text, now = session.get("id", ""), self._now()
        if not text:
            return None
        with self._engine.database.read() as connection:
            kept = sessions.found(connection, text)
        if kept is None:
            return None
        known = Person(kept.subject, kept.name, tuple(kept.roles.split()), self._provider.issuer)
        if now >= min(kept.until, kept.seen + IDLE_S * SECOND):
            self._end(known)
            return None
        if now >= kept.seen + NOTED_EVERY_S * SECOND and not site.is_refresh():
            with self._engine.database.write() as connection:
                sessions.see(connection, text, now)
        return known

    def _end(self, known: Person | None) -> None:
        """End the session of this browser, and write down whose it was."""
        text = session.pop("id", "")
        if known is None:
            return
        with self._engine.database.write() as connection:
            was_there = sessions.end(connection, text)
        if was_there:  # the other of two at once has written it down
            audit.signed(self._engine, known, audit.LOGOUT)

    def _now(self) -> int:
        return micros(self._engine.now())


def _name(claims: Mapping[str, Any]) -> str:
    """Return the name to show of a person, "" where there is none that can be shown."""
    found = claims.get("name") or claims.get("preferred_username") or ""
    shown = "".join(one if one.isprintable() else " " for one in str(found))
    return " ".join(shown.split())[:NAME_LIMIT]


def _listed(claimed: object) -> str:
    """Return for the log which groups a claim has told."""
    if claimed is None:
        return "is not there"
    groups = claimed if isinstance(claimed, list) else [claimed]
    return "tells of " + ", ".join(repr(str(one)[:NAME_LIMIT]) for one in groups[:GROUPS_LIMIT])


def _refused(word: str) -> Response:
    """Answer that nobody came in; anybody may have chosen the word, so that only one is logged."""
    told = word if _WORD.fullmatch(word) else "no_word"
    _log.warning("a sign-in was not completed: %s, trace %s", told, g.trace)
    return site.refuse(401, _NOT_DONE.get(told, _NOT_DONE[""]))


def _unusable(error: ProviderUnusable) -> Response:
    _log.warning("the OpenID provider cannot be used: %s, trace %s", error, g.trace)
    return site.refuse(503, _NO_ANSWER)
