r"""How an error of this project stands in the text of an XML-RPC fault, and how the caller gets it back.

    CODE: WHAT. [ATTACK attack]
    NEXT STEP

`E-UNKNOWN-VEHICLE: the Director knows no vehicle 'x'.\nRegister it first.` is one; the attack and the second line
stand only where the error has them. Whoever reads a fault with any XML-RPC library sees the whole error; our client
raises it again as the class it was.
"""

import re
from collections.abc import Iterator

from uptane.metadata.attacks import Attack
from uptane.metadata.errors import UptaneError

MAX_TEXT = 4_000
"""Characters of another party's text that are kept; longer than any error of ours."""

INTERNAL_ERROR = "E-ERROR: internal error."
"""What a caller learns of an exception that nobody foresaw: nothing."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_FAULT = re.compile(
    r"(?P<code>E-[A-Z0-9-]{1,40}): (?P<what>[^\n]*?)\.?(?: \[(?P<attack>[a-z -]+) attack\])?(?:\n(?P<next_step>.*))?",
    re.DOTALL,
)


def fault_text(error: UptaneError) -> str:
    """The text of the fault for an error; the facts do not travel."""
    attack = f" [{error.attack} attack]" if error.attack else ""
    next_step = f"\n{printable(error.next_step)}" if error.next_step else ""
    return f"{error.code}: {printable(error.what)}.{attack}{next_step}"


def error_from_fault(text: str, *, peer: str) -> UptaneError:
    """The error that a fault tells of, as the class it was raised as.

    Args:
        text: the text of the fault, from an untrusted sender.
        peer: who sent it; kept in `facts["peer"]`, since a check that failed there is no check of ours.

    Returns:
        The error. A code that is not known here gives an `UptaneError` with `facts["peer_code"]`, and words that are
            none of this project's one with `facts["foreign"]`.
    """
    found = _FAULT.fullmatch(text[:MAX_TEXT])
    if found is None:
        return UptaneError(f"the {peer} refused: {printable(text[:MAX_TEXT])}", peer=peer, foreign=True)
    code, what, next_step = found["code"], printable(found["what"]), printable(found["next_step"] or "")
    attack = Attack(found["attack"]) if found["attack"] in set(Attack) else None
    kind = _KINDS.get((code, attack)) or _KINDS_BY_CODE.get(code)
    if kind is None:
        return UptaneError(f"the {peer} refused: {what}", next_step=next_step, peer=peer, peer_code=code)
    error = kind(what, next_step=next_step, peer=peer)
    error.attack = attack
    return error


def printable(text: str) -> str:
    """The text on one line, without characters that would steer a terminal."""
    return _UNPRINTABLE.sub(" ", text).strip()


def _family(kind: type[UptaneError]) -> Iterator[type[UptaneError]]:
    if "code" in vars(kind):  # a class without one of its own goes by that of the class above it
        yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


# Two classes may share a code (E-UNKNOWN-ECU); then their attacks tell them apart.
_KINDS = {(kind.code, kind.attack): kind for kind in _family(UptaneError)}
_KINDS_BY_CODE = {kind.code: kind for kind in reversed(list(_family(UptaneError)))}
