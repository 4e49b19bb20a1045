"""What images require and conflict with, as an operator writes it down: one rule a line, kept by the Director alone."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import HardwareIdentifier, PathPattern
from uptane.metadata.targets import MAX_RELEASE_COUNTER, Image

MAX_RULES = 1000
"""Rules of one Director; a plan is checked against each."""

_COUNTERS = re.compile(r"([0-9]{1,16})?(\.\.)?([0-9]{1,16})?", re.ASCII)
_BARE = re.compile(r"""[^\s'"\\#]+""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """The releases of an image: those whose name matches and whose release counter lies in a range.

    Args:
        pattern: matches the names.
        lowest, highest: the range, both ends included; None leaves an end open.
    """

    pattern: PathPattern
    lowest: int | None = None
    highest: int | None = None

    def __post_init__(self) -> None:
        for counter in (self.lowest, self.highest):
            if counter is not None and not 0 <= counter <= MAX_RELEASE_COUNTER:
                raise FormatError(f"a release counter of 0 to {MAX_RELEASE_COUNTER} is needed", field="dependency")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise FormatError(f"{self.lowest}..{self.highest} holds no release counter", field="dependency")

    def may_be(self, image: Image) -> bool:
        """Whether an image may be of this line: one whose release counter is not known may be any release."""
        return self._is(image, unknown=True)

    def surely_is(self, image: Image) -> bool:
        """Whether an image is of this line beyond doubt."""
        return self._is(image, unknown=False)

    def _is(self, image: Image, *, unknown: bool) -> bool:
        if not self.pattern.matches(image.file.path):
            return False
        if self.lowest is None and self.highest is None:
            return True
        counter = image.custom.must_match.release_counter
        if counter is None:
            return unknown
        return (self.lowest is None or counter >= self.lowest) and (self.highest is None or counter <= self.highest)

    def __str__(self) -> str:
        name = _word(self.pattern)
        if self.lowest is None and self.highest is None:
            return name
        if self.lowest == self.highest:
            return f"{name} {self.lowest}"
        low, high = ("" if end is None else str(end) for end in (self.lowest, self.highest))
        return f"{name} {low}..{high}"


class Relation(StrEnum):
    """What a rule says."""

    REQUIRES = "requires"
    CONFLICTS = "conflicts with"


class Among(StrEnum):
    """How many ECUs have to have what is required."""

    ANY = "any"
    EVERY = "every"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One rule: an ECU may have `image` only where other ECUs of its vehicle have, or have not, `other`.

    Args:
        image: what the rule is about.
        relation: whether it requires or conflicts with something.
        other: what that is.
        hardware: which ECUs count; None for all. An ECU whose hardware is not on record is of none.
        among: whether one other ECU of that hardware is enough, or each has to have it; each where there is none at
            all is fulfilled.

    Raises:
        FormatError: `Among.EVERY` without a hardware or in a conflict, where it would mean nothing sensible.
    """

    image: ImageLine
    relation: Relation
    other: ImageLine
    hardware: HardwareIdentifier | None = None
    among: Among = Among.ANY

    def __post_init__(self) -> None:
        if self.among is Among.EVERY and (self.hardware is None or self.relation is Relation.CONFLICTS):
            raise FormatError(f"{str(self)!r}: `every` needs `requires` and a hardware", field="dependency")

    def counts(self, hardware: HardwareIdentifier | None) -> bool:
        """Whether an ECU of that hardware is meant."""
        return self.hardware is None or self.hardware == hardware

    def __str__(self) -> str:
        rule = f"{self.image} {self.relation} {self.other}"
        if self.hardware is None:
            return rule
        every = "every " if self.among is Among.EVERY else ""
        return f"{rule} on {every}{_word(self.hardware)}"


def read_dependency(line: str) -> Dependency:
    """Reads one rule.

        IMAGE [COUNTERS] requires IMAGE [COUNTERS] [on [every] HARDWARE]
        IMAGE [COUNTERS] conflicts with IMAGE [COUNTERS] [on HARDWARE]

    IMAGE is the name of an image, in which `*` and `?` match within one component. COUNTERS is one release counter or a
    range, `2..5`, `2..` or `..5`, both ends included. A name with blanks stands in quotes.

    Raises:
        FormatError: it is not of that form.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise FormatError(f"not a dependency: {line!r}: {error}", field="dependency") from error
    image, rest = _read_line(line, words)
    relation, rest = _read_relation(line, rest)
    other, rest = _read_line(line, rest)
    match rest:
        case []:
            return Dependency(image=image, relation=relation, other=other)
        case ["on", hardware]:
            return Dependency(image=image, relation=relation, other=other, hardware=HardwareIdentifier(hardware))
        case ["on", "every", hardware]:
            return Dependency(
                image=image,
                relation=relation,
                other=other,
                hardware=HardwareIdentifier(hardware),
                among=Among.EVERY,
            )
    raise _not_a_rule(line)


def read_dependencies(text: str) -> tuple[Dependency, ...]:
    """Reads rules, one a line; what follows a `#` and empty lines are left out.

    Raises:
        FormatError: a line is no rule (`facts["line"]` is its number), or there are too many.
    """
    rules: list[Dependency] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.partition("#")[0].strip():
            continue
        try:
            rules.append(read_dependency(line))
        except FormatError as error:
            raise FormatError(f"line {number}: {error.what}", field="dependency", line=number) from error
    if len(rules) > MAX_RULES:
        raise FormatError(f"more than {MAX_RULES} dependencies", field="dependency")
    return tuple(rules)


def _read_line(line: str, words: Sequence[str]) -> tuple[ImageLine, Sequence[str]]:
    if not words:
        raise _not_a_rule(line)
    pattern, rest = PathPattern(words[0]), words[1:]
    found = _COUNTERS.fullmatch(rest[0]) if rest else None
    if found is None or not any(found.groups()):
        return ImageLine(pattern=pattern), rest
    low, between, high = found.groups()
    if between is None or (low is None and high is None):
        if between is not None or high is not None:
            raise _not_a_rule(line)
        return ImageLine(pattern=pattern, lowest=int(low), highest=int(low)), rest[1:]
    lowest, highest = (None if end is None else int(end) for end in (low, high))
    return ImageLine(pattern=pattern, lowest=lowest, highest=highest), rest[1:]


def _read_relation(line: str, words: Sequence[str]) -> tuple[Relation, Sequence[str]]:
    if words[:1] == ["requires"]:
        return Relation.REQUIRES, words[1:]
    if words[:2] == ["conflicts", "with"]:
        return Relation.CONFLICTS, words[2:]
    raise _not_a_rule(line)


def _not_a_rule(line: str) -> FormatError:
    return FormatError(
        f"not a dependency: {line.strip()!r}",
        next_step="Write: IMAGE [COUNTERS] requires|conflicts with IMAGE [COUNTERS] [on [every] HARDWARE].",
        field="dependency",
    )


def _word(text: str) -> str:
    return text if _BARE.fullmatch(text) else shlex.quote(text)
