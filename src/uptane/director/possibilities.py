"""How an ECU may be after a publication: what it may have then, and what it is told to install for that."""

from dataclasses import dataclass

from uptane.director.dependencies import ImageLine
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.targets import Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """One way in which an ECU may be left.

    Args:
        images: every image that it may have then: one where it is newly directed, all that are not ruled out where it
            is left alone; empty for an ECU of which nothing is known.
        directed: the image that it is newly directed, if any.
        until_then: every image that it may have until it has installed that one.
    """

    images: tuple[Image, ...]
    directed: Image | None = None
    until_then: tuple[Image, ...] = ()

    @classmethod
    def of(cls, image: Image, until_then: tuple[Image, ...] = ()) -> "Outcome":
        """The ECU is newly directed an image, and has one of those until then."""
        return cls(images=(image,), directed=image, until_then=until_then)

    def may_have(self, line: ImageLine) -> bool:
        """Whether the ECU may have an image of that line then."""
        return any(line.may_be(image) for image in self.images)

    def may_still_have(self, line: ImageLine) -> bool:
        """Whether the ECU may have an image of that line until it has installed what it is directed."""
        return any(line.may_be(image) for image in self.until_then)

    def surely_has(self, line: ImageLine) -> bool:
        """Whether the ECU has an image of that line then, whichever of the possible ones it has."""
        return bool(self.images) and all(line.surely_is(image) for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuChoices:
    """What can be done about an ECU.

    Args:
        ecu, hardware: the ECU.
        outcomes: the ways in which it may be left, the preferred one first.
    """

    ecu: EcuIdentifier
    hardware: HardwareIdentifier | None
    outcomes: tuple[Outcome, ...]
