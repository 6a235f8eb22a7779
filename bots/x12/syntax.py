"""Separators and segments: the lowest layer of X12 (X12.5, X12.6).

ISA is 106 characters with its separators at fixed places; where padding was lost they are found
by counting elements. Everything here is linear in the size of the text.
"""

import msgspec

SIZE_LIMIT = 12 * 1024 * 1024
SEGMENTS_LIMIT = 500_000
ELEMENTS_LIMIT = 1_000
_TRAILERS = ("SE", "GE", "IEA")  # some senders leave out the terminator of the last one
_ISA_LENGTH = 106
_ISA_ELEMENTS = 16
REPLACED = "\ufffd"  # stands for a character that no text may hold (FHIR R4 datatypes.html#string)
_BLANK = "\r\n\t "
_BLANKS = "".join(chr(n) for n in range(0x3001) if chr(n).isspace())  # those of Unicode
_CONTROLS = [*(chr(n) for n in range(32) if chr(n) not in _BLANK), "\x7f"]


class Unreadable(Exception):
    """The text is no X12 that we can read; the message says what was expected, without content."""


class Separators(msgspec.Struct, frozen=True):
    """The four delimiters of an interchange; `repetition` is "" where it has none."""

    element: str = "*"
    component: str = ":"
    repetition: str = "^"
    segment: str = "~"


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One segment: its id, its elements (the id as sent at place 0), and its text as received."""

    id: str
    elements: tuple[str, ...]
    raw: str

    def get(self, place: int) -> str:
        """Return element `place` (1 is the first after the id), "" where it is absent."""
        try:
            return self.elements[place]
        except IndexError:
            return ""


def separators(text: str) -> Separators:
    """Return the delimiters of an interchange. Raises Unreadable where there is no ISA."""
    if not text.startswith("ISA") or len(text) < 4:  # noqa: PLR2004 ISA and its separator
        raise Unreadable("expected an interchange that begins with ISA")
    element = text[3]
    fixed = text[:_ISA_LENGTH]
    if len(fixed) == _ISA_LENGTH and fixed[:-2].count(element) == _ISA_ELEMENTS:
        repetition, component, segment = fixed[82], fixed[104], fixed[105]
    else:
        parts = text.split(element, _ISA_ELEMENTS)
        if len(parts) <= _ISA_ELEMENTS or len(parts[_ISA_ELEMENTS]) < 2:  # noqa: PLR2004
            raise Unreadable("expected 16 elements in ISA")
        repetition = parts[11]
        component, segment = parts[_ISA_ELEMENTS][0], parts[_ISA_ELEMENTS][1]
    if repetition.isalnum() or repetition.isspace() or len(repetition) != 1:
        repetition = ""  # ISA11 "U" of older versions: no repetition separator
    return Separators(element, component, repetition, segment)


def segments(text: str, marks: Separators) -> list[Segment]:
    """Return the segments of `text`, without line ends, indentation and blank segments.

    What stands behind the last terminator was cut off and is no segment: half a number is another
    number. Raises Unreadable beyond the limits of size, segments or elements.
    """
    mark, signs = marks.element, _signs(marks)
    before, after = f" {mark}", f"{mark} "
    blanks = "".join(blank for blank in _BLANKS if blank not in signs)
    found: list[Segment] = []
    read: dict[str, Segment] = {}  # payers repeat many segments word for word
    for raw in _raws(text, marks):
        if raw not in read:
            elements = raw.split(mark)
            if len(elements) > ELEMENTS_LIMIT:
                raise Unreadable(f"expected at most {ELEMENTS_LIMIT} elements in a segment")
            if before in raw or after in raw or not raw.isprintable():  # other blanks are not
                elements = [element.strip(blanks) for element in elements]
            read[raw] = Segment(elements[0].upper(), tuple(elements), raw)
        found.append(read[raw])
    return found


def _raws(text: str, marks: Separators) -> list[str]:
    """Return the texts of all segments."""
    if len(text) > SIZE_LIMIT:
        raise Unreadable(f"expected at most {SIZE_LIMIT} characters")
    *parts, rest = text.split(marks.segment)
    if rest.strip(_BLANK).upper().startswith(_TRAILERS):
        parts.append(rest)
    if len(parts) > SEGMENTS_LIMIT:
        raise Unreadable(f"expected at most {SEGMENTS_LIMIT} segments")
    return [raw for part in parts if (raw := part.strip(_BLANK))]


def _signs(marks: Separators) -> set[str]:
    return {marks.element, marks.component, marks.repetition, marks.segment}


def readable(text: str, marks: Separators) -> str:
    """Return `text` with each control character that is no separator as REPLACED."""
    for control in _CONTROLS:
        if control in text and control not in _signs(marks):
            text = text.replace(control, REPLACED)
    return text


def repeats(value: str, marks: Separators) -> list[str]:
    """Return the repetitions of an element; [""] for an empty one."""
    return value.split(marks.repetition) if marks.repetition else [value]


def join(name: str, elements: list[str], marks: Separators) -> str:
    """Return one segment as text: trailing empty elements are left out (X12.6)."""
    while elements and not elements[-1]:
        elements = elements[:-1]
    return marks.element.join([name, *elements]) + marks.segment
