"""The doors a bot uses, as protocols, and the records that describe a bot and its tools."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from bots.domain.eligibility import Answer, Inquiry
from bots.domain.review import Review, ReviewAnswer
from bots.vault import Vault

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a route gave no answer: a code of our check-error list, and what follows from it.

    `again` says that the same check may succeed later; `supported` is False where the route does
    not reach the payer at all. `after_s` is the least wait before another try.
    """

    code: str
    text: str
    again: bool
    supported: bool = True
    after_s: int | None = None


UNCERTAIN = Failure(
    "no-answer",
    "No whole answer in the time allowed. The request may have arrived: look at the payer's "
    "portal before you send it again.",
    again=False,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of one check: the answer or the failure, and the route that gave it.

    `sent` is the question as it went out (a 270, or a vendor's JSON), "" where none did;
    `received` every byte that came back, whatever it is.
    `payer_id` is the one that was sent, exactly. `earlier` are exchanges by other routes that gave
    no answer.
    """

    route: str
    answer: Answer | None = None
    failure: Failure | None = None
    sent: str = ""
    received: bytes = b""
    payer_id: str = ""
    earlier: tuple["Exchange", ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried of a route: what, whether it works, and what to do if not."""

    what: str
    works: bool
    text: str = ""


class Clearinghouse(Protocol):
    """A route to payers, whatever it speaks on the wire: raw X12, JSON or FHIR.

    To add one: write `connectors/<name>.py`, name it in `connectors.CLEARINGHOUSES`, and record
    its exchanges in `fixtures/clearinghouses/<name>/`. The contract tests find it.
    """

    @property
    def name(self) -> str:
        """The route's name, kept with every answer it gives."""
        ...

    @property
    def payer_systems(self) -> tuple[str, ...]:
        """The identifier systems under which the route knows payers, in order of preference."""
        ...

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Send one 270 and return what came of it. An inactive plan or a reject is an answer."""
        ...

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Return whether the route can be reached and takes our key; no payer is asked."""
        ...

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in the bytes of an earlier exchange by `route`.

        None where they hold no answer. Raises Unreadable where the question cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of a prior authorization request: the payer's Bundle, or the failure.

    `received` is every byte that came back; with neither answer nor failure it is no Bundle.
    `taken` is the number by which a clearinghouse can be asked after the request.
    """

    received: bytes = b""
    answer: Resource | None = None
    failure: Failure | None = None
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What came of a 278: the answer, or the failure; with neither it could not be read.

    `received` is every byte that came back. `taken` is the number by which the clearinghouse can be
    asked after the request, "" where it cannot, or has not got it.
    """

    received: bytes = b""
    answer: ReviewAnswer | None = None
    failure: Failure | None = None
    taken: str = ""


class ReviewRoute(Protocol):
    """A way to payers that take prior authorization requests as X12 278."""

    @property
    def payer_system(self) -> str:
        """The identifier system under which the route knows payers."""
        ...

    def review(self, asked: Review, *, timeout_s: float) -> Reviewed:
        """Send one request, or ask after one that was taken; return what came of it."""
        ...


class PriorAuthRoute(Protocol):
    """A way to send prior authorization requests to payers."""

    def submit(self, address: str, bundle: Resource, *, timeout_s: float) -> Submission:
        """Send a request Bundle to the payer at `address`. A denial is an answer, no failure."""
        ...

    def inquire(self, address: str, bundle: Resource, *, timeout_s: float) -> Submission:
        """Send an inquiry Bundle; the answer is whatever resource came back."""
        ...

    def attach(self, address: str, parameters: Resource, *, timeout_s: float) -> Submission:
        """Send a document for a request; without a failure the payer took it."""
        ...

    def match(self, address: str, parameters: Resource, *, timeout_s: float) -> Submission:
        """Ask who a member is (HRex `$member-match`); a person that is not known is a failure."""
        ...

    def discover(self, location: str, *, timeout_s: float) -> Mapping[str, str]:
        """Return what addresses a payer publishes at `location`, by their HRex codes.

        {} where it publishes none, or we do not trust who does.
        """
        ...

    def is_subscribed(self, address: str, there: str, *, timeout_s: float) -> bool:
        """Tell whether our Subscription at the payer is there and lives."""
        ...

    def subscribe(
        self, address: str, subscription: Resource, there: str, *, timeout_s: float
    ) -> str:
        """Store a Subscription at the payer, in place of the one `there` if there is one.

        Return its address once it is active, "" where the payer does not take it.
        """
        ...


class OrderRoute(Protocol):
    """A way to ask payers about an order (CDS Hooks)."""

    def call(self, address: str, body: Resource, *, timeout_s: float) -> Submission:
        """Call the payer's service of the body's hook; the answer is whatever JSON came back."""
        ...


class Fhir(Protocol):
    """A FHIR R4 server. Every call raises RetryLater when the server cannot be reached."""

    def read_all(self, addresses: Sequence[str]) -> list[Resource | None]:
        """Read several resources, or searches (as Bundles), at once; None for what is not there."""
        ...

    def previous(self, resource: Resource) -> Resource | None:
        """Return the version before this one, None if it is the first or cannot be known."""
        ...

    def search(self, type_name: str, parameters: Sequence[tuple[str, str]]) -> list[Resource]:
        """Return every match, all pages."""
        ...

    def problems(self, resource: Resource, profile: str) -> list[tuple[str, str]]:
        """Return where a resource breaks a profile, as FHIRPath and words.

        [] where the server cannot tell.
        """
        ...

    def create(self, resource: Resource) -> Resource:
        """Store a new resource."""
        ...

    def create_once(self, resource: Resource, condition: str) -> Resource:
        """Create unless a resource meets the search `condition`; return what is then there."""
        ...

    def create_each_once(self, resources: Sequence[tuple[Resource, str]]) -> None:
        """Create each unless a resource meets its search condition; each stands for itself."""
        ...

    def update(self, resource: Resource) -> Resource | None:
        """Store the next version; None where somebody else changed the resource meanwhile."""
        ...

    def put(self, resource: Resource) -> Resource:
        """Store the resource under its id, whatever is there."""
        ...

    def put_all(self, resources: Sequence[Resource]) -> None:
        """Store all resources under their ids, or none."""
        ...

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        """Run the entries of a Bundle of type transaction, all or none; return their answers.

        What was only written is not in them.
        """
        ...


class Mail(Protocol):
    """A mail relay."""

    def send(self, *, message_id: str, to: Sequence[str], subject: str, text: str) -> list[str]:
        """Hand one message to the relay; return the addresses it refused for good.

        Raises RetryLater where the message is taken for nobody.
        """
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a bot: the trace and depth of the delivery that it answers, and what it wrote.

    `depth` goes back to the server with every write, so that a loop of bots is seen; `wrote` are
    Type/id/_history/version.
    """

    trace: str = ""
    depth: str = ""
    wrote: list[str] = field(default_factory=list)


RUN: ContextVar[Run | None] = ContextVar("run", default=None)


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything outside that a bot may use. `pages` is the base URL of the pages for people.

    Without times for a `digest` each alert is mailed at once. `timeout_s` is what one delivery may
    take. `site` names this installation among all that a payer hears from; `notices` gives, for the
    id of its Endpoint, where it may tell us of decisions and the token that proves it. `reviews`
    are the ways to payers that take X12 278, by the payload type of their Endpoints.
    """

    fhir: Fhir
    clearinghouse: Clearinghouse
    prior_auth: PriorAuthRoute
    orders: OrderRoute
    mail: Mail
    vault: Vault
    now: Callable[[], datetime]
    zone: ZoneInfo
    pages: str
    alert_to: tuple[str, ...]
    provider: str
    site: str
    notices: Callable[[str], tuple[str, str]] | None = None
    reviews: Mapping[str, ReviewRoute] = field(default_factory=dict)
    digest: tuple[time, ...] = ()
    timeout_s: float = 70.0


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot: its name (in URLs and Subscription ids), its criteria, and what it does.

    `change` is FHIRPath over %previous and %current that spares events where nothing is to be done;
    a server that does not know the extension sends them all the same.
    """

    name: str
    criteria: str
    handle: Callable[[Resource, Tools], None]
    change: str = ""
