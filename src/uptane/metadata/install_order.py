"""In which order the ECUs of a vehicle shall install: a number beside each ECU in the Director's custom data."""

from collections.abc import Mapping

from msgspec import structs

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.targets import EcuAssignment, Image

INSTALL_ORDER = "install_order"
"""The name of the extension; its value is the number in decimal digits, which is its JSON text as well."""

MAX_INSTALL_ORDER = 65_535


def check_install_order(order: object) -> int:
    """Returns `order` if it is an integer of 0 to MAX_INSTALL_ORDER; raises FormatError otherwise."""
    if type(order) is not int or not 0 <= order <= MAX_INSTALL_ORDER:
        raise FormatError(f"install order must be an integer of 0 to {MAX_INSTALL_ORDER}", field=INSTALL_ORDER)
    return order


def with_install_order(assignment: EcuAssignment, order: int) -> EcuAssignment:
    """The same with that number in place of an earlier one."""
    others = tuple(item for item in assignment.extensions if item[0] != INSTALL_ORDER)
    number = b"%d" % check_install_order(order)
    return structs.replace(assignment, extensions=Extensions((*others, (INSTALL_ORDER, number))))


def install_order_of(assignment: EcuAssignment) -> int | None:
    """The number of an ECU; None where there is none, FormatError where it is no such number."""
    text = assignment.extensions.as_dict().get(INSTALL_ORDER)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 5 or (text[:1] == b"0" and text != b"0"):
        raise FormatError("install order is not a number in decimal digits", field=INSTALL_ORDER)
    return check_install_order(int(text))


def in_install_order(images: Mapping[EcuIdentifier, Image]) -> tuple[EcuIdentifier, ...]:
    """The ECUs of a bundle as they shall install: lower numbers first, then those without one.

    ECUs of the same number may install at the same time; here they stand in the order of their identifiers.

    Args:
        images: the image of each ECU, as `VerifiedBundle.images` has them.

    Raises:
        FormatError: a number is none.
    """

    def place(ecu: EcuIdentifier) -> tuple[int, str]:
        said = images[ecu].custom.ecus.get(ecu)
        order = None if said is None else install_order_of(said)
        return MAX_INSTALL_ORDER + 1 if order is None else order, ecu

    return tuple(sorted(images, key=place))
