"""Narratives: an XHTML div of text, lists, tables, links and images, and nothing that acts.

Source: FHIR R4 narrative.html#xhtml (txt-1, txt-2).
"""

from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
_WORDS = (
    """a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2
    h3 h4 h5 h6 hr i img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead
    tr tt ul var""",
    """abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign
    char charoff cite class colspan compact coords dir frame headers height href hreflang hspace id
    lang longdesc name nowrap rel rev rowspan rules scope shape span src start style summary
    tabindex title type valign value vspace width xml:lang xmlns""",
)
_TAGS = frozenset(_WORDS[0].split())
_ATTRIBUTES = frozenset(_WORDS[1].split())


def problem(text: str) -> str:
    """Return what is wrong with a narrative's div, "" if it is right."""
    reader = _Reader()
    try:
        reader.read(text)
    except expat.ExpatError:
        return "txt-1: the div is not well-formed XML."
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found = ""
        self._depth = 0
        self._has_content = False

    def read(self, text: str) -> None:
        parser = expat.ParserCreate("UTF-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.Parse(text.encode("utf-8", "replace"), True)  # noqa: FBT003 the last part
        if not self.found and not self._has_content:
            self.found = "txt-2: the div must say something."

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and (name != "div" or attributes.get("xmlns") != NAMESPACE):
            self.found = self.found or f"txt-1: expected a div of {NAMESPACE}."
        self._depth += 1
        if name not in _TAGS or not _ATTRIBUTES.issuperset(attributes):
            self.found = self.found or "txt-1: the div holds an element or attribute that acts."
        if any(_acts(attributes.get(key, "")) for key in ("href", "src")):
            self.found = self.found or "txt-1: a link of the div runs a script."
        self._has_content = self._has_content or name == "img"

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _text(self, text: str) -> None:
        self._has_content = self._has_content or bool(text.strip())

    def _doctype(self, *_parts: object) -> None:
        self.found = self.found or "txt-1: the div has no document type."

    def _instruction(self, *_parts: object) -> None:
        self.found = self.found or "txt-1: the div holds no processing instruction."


def _acts(address: str) -> bool:
    scheme = "".join(address.split()).lower()
    return scheme.startswith(("javascript:", "vbscript:", "data:text/html"))
