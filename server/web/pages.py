"""Routes of the pages for people, with the security headers that all of them carry."""

from collections.abc import Callable
from functools import wraps
from importlib import resources
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from fhir_profiles.prior_auth_claim import Wishes
from server.errors import FhirError, Unauthorized
from server.interactions.engine import Engine
from server.web import (
    actions,
    authorization_actions,
    authorization_clock,
    authorization_form,
    authorization_owner,
    authorization_story,
    authorization_told,
    authorizations,
)
from server.web import deliveries as delivered
from server.web.actions import Call
from server.web.authorization_clock import Notice
from server.web.authorization_form import Form
from server.web.authorization_told import Told
from server.web.authorization_words import WORDS as STATUSES
from server.web.benefits import summary
from server.web.directory import directory
from server.web.states import WORDS
from server.web.today import failed, today

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CALL = ("answer", "day", "agent", "reference", "note")
# What a form has done, said on the page that follows it.
_HTML = "text/html; charset=utf-8"
_DONE = {
    "check": "The payer is asked again; load this page again for the answer.",
    "retry": "The payer is asked again about each of them; load this page again for the answers.",
    "call": "The call is recorded.",
    "send": "The request is sent; load this page again for the answer.",
    "draft": "Nothing is sent yet: look at it first.",
    "withhold": "The request is withheld: nothing was sent.",
    "cancel": "The payer is told; load this page again for its answer.",
    "document": "The document is on its way; load this page again for the payer's word.",
    "extend": "The payer's notice is recorded, and the clock ends later.",
    "appeal-by": "It is written down until when the payer takes an appeal.",
    "judge": "The urgency is recorded; the clock follows from it.",
    "unselected": "Nothing was given: tick the requests, choose to whom, then give them.",
    "left": "Not all were given, as somebody changed them just then: look, and give them again.",
    "assigned": "It is written down who looks after it.",
    "record": "What the payer told is being recorded; load this page again.",
    "asked": "The payers are asked about each that waits for them, at most once an hour.",
    "ask": "The payer is asked; load this page again for the answer.",
    "report": "Reported: a task for support holds what the payer sent.",
}


def pages(engine: Engine, zone: ZoneInfo, *, skip_review: bool = False) -> Blueprint:
    """Return the pages as a blueprint; dates and times are shown in `zone`.

    With `skip_review` a prior authorization that is filled in here is sent without another look.
    """
    here = str(resources.files("server").joinpath("web"))
    site = Blueprint(
        "pages",
        __name__,
        root_path=here,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    shown, forms = _Pages(engine, zone), _Forms(engine, zone, skip_review=skip_review)
    site.get("/")(shown.front_desk)
    site.get("/benefits/<coverage_id>")(shown.benefits)
    site.post("/retry")(_ours(shown.retry))
    site.get("/payers")(shown.payers)
    site.get("/authorizations")(shown.authorizations)
    site.post("/authorizations")(_ours(shown.authorizations_ask))
    site.post("/authorizations/assign")(_ours(shown.authorizations_assign))
    site.get("/authorizations.csv")(shown.authorizations_csv)
    site.get("/authorizations/new")(forms.authorization_new)
    site.post("/authorizations/new")(_ours(forms.authorization_make))
    site.get("/authorizations/<task_id>")(shown.authorization)
    site.get("/authorizations/<task_id>/change")(forms.authorization_draft)
    site.post("/authorizations/<task_id>/change")(_ours(forms.authorization_change))
    site.post("/authorizations/<task_id>/withhold")(_ours(forms.authorization_withhold))
    site.post("/authorizations/<task_id>/send")(_ours(shown.authorization_send))
    site.post("/authorizations/<task_id>/assign")(_ours(shown.authorization_assign))
    site.post("/authorizations/<task_id>/record")(_ours(shown.authorization_record))
    site.post("/authorizations/<task_id>/ask")(_ours(shown.authorization_ask))
    site.post("/authorizations/<task_id>/renew")(_ours(shown.authorization_renew))
    site.post("/authorizations/<task_id>/appeal-by")(_ours(shown.authorization_appeal_by))
    site.post("/authorizations/<task_id>/extend")(_ours(shown.authorization_extend))
    site.post("/authorizations/<task_id>/judge")(_ours(shown.authorization_judge))
    site.post("/authorizations/<task_id>/document")(_ours(shown.authorization_document))
    site.post("/authorizations/<task_id>/cancel")(_ours(shown.authorization_cancel))
    site.get("/deliveries")(shown.deliveries)
    site.get("/deliveries/<uid>")(shown.delivery)
    site.post("/benefits/<coverage_id>/check")(_ours(shown.check))
    site.post("/benefits/<coverage_id>/call")(_ours(shown.call))
    site.post("/benefits/<coverage_id>/report/<int:place>")(_ours(shown.report))
    site.post("/deliveries/<uid>/redeliver")(_ours(shown.redeliver))
    site.after_request(secure)
    return site


class _Pages:
    """Each page, and each form that a page has, as a method."""

    def __init__(self, engine: Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone

    def front_desk(self) -> str:
        page = today(self._engine, self._zone, request.args)
        done = _DONE.get(request.args.get("done", ""), "")
        return render_template("today.html", page=page, words=WORDS, done=done)

    def retry(self) -> Response:
        payer, code = (request.form.get(name, "") for name in ("payer", "code"))
        for coverage_id in failed(self._engine, self._zone, payer, code):
            actions.ask_again(self._engine, coverage_id)
        return _see(url_for("pages.front_desk", done="retry"))

    def benefits(self, coverage_id: str) -> str:
        asked = {"price": request.args.get("price", ""), "on": request.args.get("date", "")}
        page = summary(self._engine, coverage_id, self._zone, **asked)
        done = _DONE.get(request.args.get("done", ""), "")
        call = Call("", page.service_date, "", "")
        return render_template("benefits.html", page=page, done=done, call=call, wrong=[])

    def check(self, coverage_id: str) -> Response:
        actions.ask_again(self._engine, coverage_id)
        return _see(url_for("pages.benefits", coverage_id=coverage_id, done="check"))

    def call(self, coverage_id: str) -> Response:
        told = Call(**{name: request.form.get(name, "") for name in _CALL})
        wrong = told.lacks()
        if wrong:
            page = summary(self._engine, coverage_id, self._zone)
            text = render_template("benefits.html", page=page, done="", call=told, wrong=wrong)
            return Response(text, 422, content_type=_HTML)
        actions.record_call(self._engine, coverage_id, told)
        return _see(url_for("pages.benefits", coverage_id=coverage_id, done="call"))

    def report(self, coverage_id: str, place: int) -> Response:
        actions.report(self._engine, coverage_id, place)
        return _see(url_for("pages.benefits", coverage_id=coverage_id, done="report"))

    def payers(self) -> str:
        page = directory(self._engine, self._zone, request.args)
        return render_template("directory.html", page=page)

    def authorizations(self) -> str:
        page = authorizations.worklist(self._engine, self._zone, request.args)
        done = _DONE.get(request.args.get("done", ""), "")
        kept = urlencode(request.args.to_dict())
        return render_template(
            "authorizations.html", page=page, words=STATUSES, done=done, kept=kept,
            owners=authorization_owner.choices(self._engine),
        )  # fmt: skip

    def authorizations_ask(self) -> Response:
        page = authorizations.worklist(self._engine, self._zone, request.args)
        for row in page.rows:
            if row.is_waiting:
                authorization_actions.ask(self._engine, row.id)
        return _see_list("asked")

    def authorizations_assign(self) -> Response:
        chosen, owner = request.form.getlist("task"), request.form.get("owner", "")
        if not chosen or not owner:
            return _see_list("unselected")
        left = [one for one in chosen if not self._given(one, owner)]
        return _see_list("left" if left else "assigned")

    def _given(self, task_id: str, owner: str) -> bool:
        """Give one of several; tell whether that could be done."""
        to = "" if owner == authorizations.NOBODY else owner
        try:
            authorization_owner.assign(self._engine, task_id, to)
        except FhirError:
            return False
        return True

    def authorizations_csv(self) -> Response:
        page = authorizations.worklist(
            self._engine, self._zone, request.args, authorizations.EXPORTED
        )
        answer = Response(authorizations.table(page), content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = 'attachment; filename="authorizations.csv"'
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def authorization(self, task_id: str) -> str:
        return self._story(task_id, _DONE.get(request.args.get("done", ""), ""))

    def authorization_extend(self, task_id: str) -> Response:
        told = Notice(*(request.form.get(name, "") for name in ("days", "noticed", "reason")))
        wrong = told.lacks()
        if wrong:
            return self._corrected(task_id, notice=told, wrong=wrong)
        authorization_clock.extend(self._engine, task_id, told, self._zone)
        return _see(url_for("pages.authorization", task_id=task_id, done="extend"))

    def authorization_judge(self, task_id: str) -> Response:
        urgency, by = (request.form.get(name, "") for name in ("urgency", "by"))
        authorization_clock.judge(self._engine, task_id, urgency, by, self._zone)
        return _see(url_for("pages.authorization", task_id=task_id, done="judge"))

    def authorization_record(self, task_id: str) -> Response:
        told = authorization_told.filled(request.form)
        wrong = told.lacks()
        if wrong:
            return self._corrected(task_id, told=told, mistold=wrong)
        authorization_told.record(self._engine, task_id, told)
        return _see(url_for("pages.authorization", task_id=task_id, done="record"))

    def _corrected(self, task_id: str, **shown: Any) -> Response:
        """Answer a form of a request's page with the page, what is wrong marked."""
        return Response(self._story(task_id, "", **shown), 422, content_type=_HTML)

    def _story(self, task_id: str, done: str, **shown: Any) -> str:
        page = authorization_story.story(self._engine, task_id, self._zone)
        forms: dict[str, Any] = {
            "notice": Notice(),
            "wrong": (),
            "told": Told({}, {}),
            "mistold": (),
        }
        forms |= {"says": authorization_told.WORDS, **shown}
        return render_template("authorization.html", page=page, done=done, **forms)

    def authorization_assign(self, task_id: str) -> Response:
        authorization_owner.assign(self._engine, task_id, request.form.get("owner", ""))
        return _see(url_for("pages.authorization", task_id=task_id, done="assigned"))

    def authorization_send(self, task_id: str) -> Response:
        authorization_actions.send_again(self._engine, task_id)
        return _see(url_for("pages.authorization", task_id=task_id, done="send"))

    def authorization_ask(self, task_id: str) -> Response:
        authorization_actions.ask(self._engine, task_id)
        return _see(url_for("pages.authorization", task_id=task_id, done="ask"))

    def authorization_renew(self, task_id: str) -> Response:
        made = authorization_actions.renew(self._engine, task_id, request.form.get("kind", ""))
        return _see(url_for("pages.authorization", task_id=made, done="draft"))

    def authorization_appeal_by(self, task_id: str) -> Response:
        authorization_actions.appeal_by(self._engine, task_id, request.form.get("day", ""))
        return _see(url_for("pages.authorization", task_id=task_id, done="appeal-by"))

    def authorization_document(self, task_id: str) -> Response:
        ask_id, document = (request.form.get(name, "") for name in ("ask", "document"))
        authorization_actions.send_document(self._engine, task_id, ask_id, document)
        return _see(url_for("pages.authorization", task_id=task_id, done="document"))

    def authorization_cancel(self, task_id: str) -> Response:
        made = authorization_actions.cancel(self._engine, task_id)
        return _see(url_for("pages.authorization", task_id=made, done="cancel"))

    def deliveries(self) -> str:
        page = delivered.listing(self._engine, request.args, self._zone)
        return render_template("deliveries.html", page=page, states=delivered.STATES)

    def delivery(self, uid: str) -> str:
        row, attempts = delivered.one(self._engine, uid, self._zone)
        return render_template("delivery.html", row=row, attempts=attempts)

    def redeliver(self, uid: str) -> Response:
        delivered.again(self._engine, uid)
        return _see(url_for("pages.delivery", uid=uid))


class _Forms:
    """The form that asks for a prior authorization, new or changed."""

    def __init__(self, engine: Engine, zone: ZoneInfo, *, skip_review: bool) -> None:
        self._engine, self._zone, self._skip_review = engine, zone, skip_review

    def authorization_new(self) -> str:
        coverage, order = (request.args.get(name, "") for name in ("coverage", "order"))
        form = authorization_form.blank(self._engine, self._zone, coverage, order)
        return render_template("authorization_form.html", form=form)

    def authorization_make(self) -> Response:
        form = authorization_form.check(self._engine, _filled())
        if form.wrong:
            return _incomplete(form)
        made = authorization_form.keep(self._engine, form.filled, is_reviewed=self._skip_review)
        done = "send" if self._skip_review else "draft"
        return _see(url_for("pages.authorization", task_id=made, done=done))

    def authorization_draft(self, task_id: str) -> str:
        form = authorization_form.of_draft(self._engine, task_id)
        return render_template("authorization_form.html", form=form)

    def authorization_change(self, task_id: str) -> Response:
        form = authorization_form.check(self._engine, _filled(), task_id)
        if form.wrong:
            return _incomplete(form)
        authorization_form.change(self._engine, task_id, form.filled)
        return _see(url_for("pages.authorization", task_id=task_id, done="draft"))

    def authorization_withhold(self, task_id: str) -> Response:
        authorization_form.withhold(self._engine, task_id)
        return _see(url_for("pages.authorization", task_id=task_id, done="withhold"))


def _filled() -> Wishes:
    return authorization_form.posted(request.form, request.form.getlist("documents"))


def _incomplete(form: Form) -> Response:
    text = render_template("authorization_form.html", form=form)
    return Response(text, 422, content_type=_HTML)


def _ours(act: Callable[..., Response]) -> Callable[..., Response]:
    """Let a form act only where one of our own pages sent it."""

    @wraps(act)
    def guarded(**place: str | int) -> Response:
        return act(**place) if _is_ours() else refuse(403)

    return guarded


def _see_list(done: str) -> Response:
    """Answer a form of the worklist with the same list, told what was done."""
    kept = urlencode({**request.args.to_dict(), "done": done})
    return _see(f"{url_for('pages.authorizations')}?{kept}")


def _see(address: str) -> Response:
    """Answer a form with the page to look at: a reload does not send it again."""
    answer = Response(status=303)
    answer.headers["Location"] = address
    return answer


def _is_ours() -> bool:
    """Tell whether a form was sent from one of our own pages: no other site may act for a person.

    Browsers say where a request comes from; who says nothing is no browser. Our own forms have no
    Origin to tell, as our pages give no referrer.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin", "") in ("", request.host_url.rstrip("/"))


def secure(answer: Response) -> Response:
    """Add the security headers; only the style sheet may be kept by a browser."""
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if answer.mimetype == "text/html":
        answer.headers["Cache-Control"] = "no-store"
    return answer


def close() -> None:
    """Show nobody anything but how the pages look: whom we do not know we show no person."""
    if request.endpoint != "pages.static":
        raise Unauthorized


def refuse(status: int) -> Response:
    """Answer a page that cannot be shown, with the next step."""
    texts = {
        401: "Nobody can sign in to these pages yet: this server serves programs, under /fhir. "
        "An open server on loopback shows its pages (INFORCE_AUTH=open).",
        403: "This can only be done from our own pages.",
        404: "There is no such page.",
        410: "This coverage was deleted.",
    }
    text = texts.get(status, "This page cannot be shown.")
    body = render_template("error.html", text=text, status=status)
    return secure(Response(body, status, content_type=_HTML))
