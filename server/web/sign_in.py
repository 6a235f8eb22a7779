"""People sign in at the clinic's own identity provider, and have a session here.

OpenID Connect by the authorization code, with PKCE. The session is a signed cookie that holds who
it is and until when: it ends after IDLE_S without a page being asked for, and LIFE_S in any case.
The FHIR API knows nothing of it.

Source: OpenID Connect Core 1.0 section 3.1, Discovery 1.0; RFC 7636; RFC 9700; 45 CFR
164.312(a)(2)(iii), automatic logoff.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, Response, redirect, render_template, request, session, url_for
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response as WerkzeugResponse

from server.access import people
from server.access.people import Person, Provider, Right
from server.interactions.engine import Engine
from server.web import audit, site

DONE = "/sign-in/done"
IDLE_S, LIFE_S = 30 * 60, 10 * 3600
NOTED_EVERY_S = 60  # how exactly idleness is measured
PROVIDER_LIMIT_S = 5
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_CODE = re.compile(r"[a-z_]{1,60}")
_log = logging.getLogger(__name__)


class ProviderUnusable(Exception):
    """The identity provider says of itself what cannot be; the message tells what."""


_NO_ROLE = (
    "You are known, but none of your groups has a role here. Ask who looks after this server."
)
_REFUSED = (OAuthError, JoseError)
_UNUSABLE = (ProviderUnusable, RequestException, RuntimeError, ValueError)


def install(
    app: Flask, engine: Engine, provider: Provider, public_url: str, keys: tuple[str, ...]
) -> None:
    """Let people of `provider` sign in; the first of `keys` signs sessions, all are good."""
    is_safe = public_url.startswith("https://")
    app.config |= {
        "SECRET_KEY": keys[0],
        "SECRET_KEY_FALLBACKS": list(keys[1:]),
        "SESSION_COOKIE_NAME": "__Host-inforce" if is_safe else "inforce",
        "SESSION_COOKIE_SECURE": is_safe,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": LIFE_S,
    }
    made = _SignIn(app, engine, provider, public_url)
    routes = Blueprint("sign_in", __name__)
    routes.get("/sign-in")(made.start)
    routes.get(DONE)(made.done)
    routes.post("/sign-out")(made.leave)
    routes.get("/signed-out")(made.left)
    routes.after_request(site.secure)
    routes.app_context_processor(lambda: {"sign_in": _start_at()})
    app.register_blueprint(routes)


def _start_at() -> str:
    """Return where to sign in and come back to the page that was asked for."""
    back = request.full_path.removesuffix("?") if request.method == "GET" else "/"
    return url_for("sign_in.start", to=back)


class _SignIn:
    def __init__(self, app: Flask, engine: Engine, provider: Provider, public_url: str) -> None:
        self._engine, self._provider, self._public_url = engine, provider, public_url
        self._client = OAuth(app).register(
            "provider",
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            server_metadata_url=f"{provider.issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile",
                "code_challenge_method": "S256",
                "default_timeout": PROVIDER_LIMIT_S,
            },
        )

    def start(self) -> WerkzeugResponse:
        """Send the browser to the identity provider."""
        to = request.args.get("to", "")
        session["to"] = to if _LOCAL.fullmatch(to) else "/"
        try:
            self._metadata()
            answer: WerkzeugResponse = self._client.authorize_redirect(self._public_url + DONE)
        except _UNUSABLE as error:
            return _unusable(error)
        return answer

    def done(self) -> WerkzeugResponse:
        """Take what the identity provider says of who comes back, and begin a session."""
        try:
            claims = self._claims()
        except _REFUSED as error:
            if person(self._engine.now()) is not None:
                return redirect("/")  # sent twice: the first has signed them in
            _log.warning("a sign-in was not completed: %s", _reason(error))
            return site.refuse(401, "The sign-in was not completed. Try it again.")
        except _UNUSABLE as error:
            return _unusable(error)
        return self._begin(claims)

    def _claims(self) -> Mapping[str, Any]:
        """Return the claims of the ID token, and of the UserInfo where groups are only there."""
        metadata = self._metadata()
        token = self._client.authorize_access_token()
        claims: dict[str, Any] = dict(token.get("userinfo") or {})
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise OAuthError("missing_subject")
        if self._provider.claim not in claims and "userinfo_endpoint" in metadata:
            more = dict(self._client.userinfo(token=token))
            if more.get("sub") != claims["sub"]:  # OpenID Connect Core 5.3.2
                raise OAuthError("another_subject")
            claims = more | claims
        return claims

    def _metadata(self) -> Mapping[str, Any]:
        metadata: Mapping[str, Any] = self._client.load_server_metadata()
        if metadata.get("issuer") != self._provider.issuer:
            raise ProviderUnusable("its metadata name another issuer")
        return metadata

    def _begin(self, claims: Mapping[str, Any]) -> WerkzeugResponse:
        roles = people.roles_of(claims.get(self._provider.claim), self._provider.groups)
        name = claims.get("name") or claims.get("preferred_username") or claims["sub"]
        known, to = Person(claims["sub"], str(name), roles), session.get("to", "/")
        session.clear()
        audit.signed(self._engine, known, audit.LOGIN, audit.GOOD if roles else audit.REFUSED)
        if not roles:
            return site.refuse(403, _NO_ROLE)
        now = int(self._engine.now().timestamp())
        session.update(subject=known.subject, name=known.name, roles=list(roles))
        session.update(until=now + LIFE_S, seen=now)
        is_home = to == "/" and not known.may(Right.CHECKS)
        return redirect(url_for("pages.payers") if is_home else to)

    def leave(self) -> Response:
        """End the session."""
        if not site.is_ours():
            return site.refuse(403)
        known = person(self._engine.now())
        session.clear()
        if known is not None:
            audit.signed(self._engine, known, audit.LOGOUT)
        return site.see(url_for("sign_in.left"))

    def left(self) -> str:
        """Say that the session is over, and where to end the identity provider's own."""
        try:
            ended_at = self._client.create_logout_url(client_id=self._provider.client_id)["url"]
        except _UNUSABLE:  # it has no such address, or cannot be asked for it
            ended_at = ""
        return render_template("signed_out.html", ended_at=ended_at)


def person(now: datetime) -> Person | None:
    """Return whose session it is, None where it is over, and note that it is in use."""
    moment = int(now.timestamp())
    if "subject" not in session:
        return None
    if moment >= min(session["until"], session["seen"] + IDLE_S):
        session.clear()
        return None
    if moment >= session["seen"] + NOTED_EVERY_S and not site.is_refresh():
        session["seen"] = moment
    return Person(session["subject"], session["name"], tuple(session["roles"]))


def _reason(error: Exception) -> str:
    """Return a word for the log: the provider's error code, where it is one."""
    code = str(getattr(error, "error", ""))
    return code if _CODE.fullmatch(code) else type(error).__name__


def _unusable(error: Exception) -> Response:
    why = str(error) if isinstance(error, ProviderUnusable) else type(error).__name__
    _log.warning("the identity provider cannot be used: %s", why)
    return site.refuse(503, "The sign-in of your organization does not answer. Try it again.")
