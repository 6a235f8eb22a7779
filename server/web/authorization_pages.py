"""The pages of prior authorizations: the worklist, one request, and the form that asks for one."""

from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, render_template, request, url_for

from fhir_profiles.prior_auth_claim import Wishes
from server.access.people import Right
from server.errors import FhirError
from server.interactions.engine import Engine
from server.web import (
    authorization_actions,
    authorization_clock,
    authorization_form,
    authorization_owner,
    authorization_story,
    authorization_told,
    authorizations,
    site,
)
from server.web.authorization_clock import Notice
from server.web.authorization_form import Form
from server.web.authorization_told import Told
from server.web.authorization_words import WORDS as STATUSES
from server.web.site import Route, View

# What a form has done, said on the page that follows it.
_DONE = {
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
}


def routes(engine: Engine, zone: ZoneInfo, *, skip_review: bool) -> tuple[Route, ...]:
    """Return the routes; with `skip_review` a filled form is sent without another look."""
    shown, forms = _Requests(engine, zone), _Forms(engine, zone, skip_review=skip_review)
    whole, one = "/authorizations", "/authorizations/<task_id>"
    return (
        _page(whole, shown.authorizations),
        _form(whole, shown.authorizations_ask),
        _form(f"{whole}/assign", shown.authorizations_assign),
        _page(f"{whole}.csv", shown.authorizations_csv),
        _page(f"{whole}/new", forms.authorization_new),
        _form(f"{whole}/new", forms.authorization_make),
        _page(one, shown.authorization),
        _page(f"{one}/change", forms.authorization_draft),
        _form(f"{one}/change", forms.authorization_change),
        _form(f"{one}/withhold", forms.authorization_withhold),
        _form(f"{one}/send", shown.authorization_send),
        _form(f"{one}/assign", shown.authorization_assign),
        _form(f"{one}/record", shown.authorization_record),
        _form(f"{one}/ask", shown.authorization_ask),
        _form(f"{one}/renew", shown.authorization_renew),
        _form(f"{one}/appeal-by", shown.authorization_appeal_by),
        _form(f"{one}/extend", shown.authorization_extend),
        _form(f"{one}/judge", shown.authorization_judge),
        _form(f"{one}/document", shown.authorization_document),
        _form(f"{one}/cancel", shown.authorization_cancel),
    )


def _page(path: str, view: View) -> Route:
    return Route(path, view, Right.AUTHORIZATIONS)


def _form(path: str, view: View) -> Route:
    return Route(path, view, Right.AUTHORIZATIONS, "POST")


class _Requests:
    """The list, one request, and each form on its page, as a method."""

    def __init__(self, engine: Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone

    def authorizations(self) -> str:
        page = authorizations.worklist(self._engine, self._zone, request.args)
        done = site.told(_DONE)
        kept = urlencode(request.args.to_dict())
        return render_template(
            "authorizations.html", page=page, words=STATUSES, done=done, kept=kept,
            owners=authorization_owner.choices(self._engine),
        )  # fmt: skip

    def authorizations_ask(self) -> Response:
        page = authorizations.worklist(self._engine, self._zone, request.args)
        for row in page.rows:
            if row.is_waiting:
                site.touch(f"Task/{row.id}")
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
        site.touch(f"Task/{task_id}")
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
        return answer

    def authorization(self, task_id: str) -> str:
        return self._story(task_id, site.told(_DONE))

    def authorization_extend(self, task_id: str) -> Response:
        told = Notice(*(request.form.get(name, "") for name in ("days", "noticed", "reason")))
        wrong = told.lacks()
        if wrong:
            return self._corrected(task_id, notice=told, wrong=wrong)
        authorization_clock.extend(self._engine, task_id, told, self._zone)
        return site.see(url_for("pages.authorization", task_id=task_id, done="extend"))

    def authorization_judge(self, task_id: str) -> Response:
        urgency, by = (request.form.get(name, "") for name in ("urgency", "by"))
        authorization_clock.judge(self._engine, task_id, urgency, by, self._zone)
        return site.see(url_for("pages.authorization", task_id=task_id, done="judge"))

    def authorization_record(self, task_id: str) -> Response:
        told = authorization_told.filled(request.form)
        wrong = told.lacks()
        if wrong:
            return self._corrected(task_id, told=told, mistold=wrong)
        authorization_told.record(self._engine, task_id, told)
        return site.see(url_for("pages.authorization", task_id=task_id, done="record"))

    def _corrected(self, task_id: str, **shown: Any) -> Response:
        """Answer a form of a request's page with the page, what is wrong marked."""
        return Response(self._story(task_id, "", **shown), 422, content_type=site.HTML)

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
        return site.see(url_for("pages.authorization", task_id=task_id, done="assigned"))

    def authorization_send(self, task_id: str) -> Response:
        authorization_actions.send_again(self._engine, task_id)
        return site.see(url_for("pages.authorization", task_id=task_id, done="send"))

    def authorization_ask(self, task_id: str) -> Response:
        authorization_actions.ask(self._engine, task_id)
        return site.see(url_for("pages.authorization", task_id=task_id, done="ask"))

    def authorization_renew(self, task_id: str) -> Response:
        made = authorization_actions.renew(self._engine, task_id, request.form.get("kind", ""))
        return site.see(url_for("pages.authorization", task_id=made, done="draft"))

    def authorization_appeal_by(self, task_id: str) -> Response:
        authorization_actions.appeal_by(self._engine, task_id, request.form.get("day", ""))
        return site.see(url_for("pages.authorization", task_id=task_id, done="appeal-by"))

    def authorization_document(self, task_id: str) -> Response:
        ask_id, document = (request.form.get(name, "") for name in ("ask", "document"))
        authorization_actions.send_document(self._engine, task_id, ask_id, document)
        return site.see(url_for("pages.authorization", task_id=task_id, done="document"))

    def authorization_cancel(self, task_id: str) -> Response:
        made = authorization_actions.cancel(self._engine, task_id)
        return site.see(url_for("pages.authorization", task_id=made, done="cancel"))


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
        return site.see(url_for("pages.authorization", task_id=made, done=done))

    def authorization_draft(self, task_id: str) -> str:
        form = authorization_form.of_draft(self._engine, task_id)
        return render_template("authorization_form.html", form=form)

    def authorization_change(self, task_id: str) -> Response:
        form = authorization_form.check(self._engine, _filled(), task_id)
        if form.wrong:
            return _incomplete(form)
        authorization_form.change(self._engine, task_id, form.filled)
        return site.see(url_for("pages.authorization", task_id=task_id, done="draft"))

    def authorization_withhold(self, task_id: str) -> Response:
        authorization_form.withhold(self._engine, task_id)
        return site.see(url_for("pages.authorization", task_id=task_id, done="withhold"))


def _filled() -> Wishes:
    return authorization_form.posted(request.form, request.form.getlist("documents"))


def _incomplete(form: Form) -> Response:
    text = render_template("authorization_form.html", form=form)
    return Response(text, 422, content_type=site.HTML)


def _see_list(done: str) -> Response:
    """Answer a form of the worklist with the same list, told what was done."""
    kept = urlencode({**request.args.to_dict(), "done": done})
    return site.see(f"{url_for('pages.authorizations')}?{kept}")
