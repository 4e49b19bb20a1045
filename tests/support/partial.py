"""ECUs with partial verification, in both profiles of AMB-17: over the repositories of a test, and in a vehicle."""

from dataclasses import dataclass

import pytest
from fleet import Fleet, Vehicle
from signed import FRESH, PATH
from world import DIRECTOR, TCU, Ecu, World

from uptane.formats.profile import Profile
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.vehicle.memory import VerificationKind
from uptane.verification.check_root import load_root
from uptane.verification.match_images import EcuFacts
from uptane.verification.partial_verification import (
    TargetsKeys,
    VerifiedTargets,
    partial_verification,
    partial_verification_under,
)
from uptane.verification.steps import run

FOLLOWS, PINNED = VerificationKind.PARTIAL, VerificationKind.PARTIAL_PINNED


@pytest.fixture(params=[FOLLOWS, PINNED], ids=["follows Root", "pinned keys"])
def kind(request: pytest.FixtureRequest) -> VerificationKind:
    """Both profiles of AMB-17; the folders' conftest files offer it."""
    return VerificationKind(request.param)


def partial_vehicle(profile: Profile, kind: VerificationKind, **made: object) -> Vehicle:
    """A vehicle whose Primary has verified an update that its partial Secondary has not asked for yet."""
    car = Vehicle(Fleet(profile), verification=kind, **made)  # type: ignore[arg-type]
    car.primary.update_cycle()
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    return car


@dataclass
class PartialEcu(Ecu):
    """The TCU as an ECU with partial verification; `refused` works on it as on any other.

    Args:
        pinned: the keys that it believes for good; without them it follows the Director's Root.
    """

    pinned: TargetsKeys | None = None
    ecu: EcuIdentifier = TCU

    @classmethod
    def made(cls, world: World, *, pinned: bool) -> "PartialEcu":
        """One that is made now; where its keys are pinned, they are those of the present Root."""
        made = cls(world.director, world.images, {TCU: EcuFacts()}, knows_whole_vehicle=False)
        if pinned:
            made.pinned = TargetsKeys.of(load_root(made.context(DIRECTOR), made.held[DIRECTOR].root))
        return made

    def cycle(self) -> VerifiedTargets:  # type: ignore[override]
        """One update cycle's metadata part."""
        self.fetched.clear()
        director, held, facts = self.context(DIRECTOR), self.held[DIRECTOR], self.ecus[self.ecu]
        if self.pinned is None:
            return run(partial_verification(director=director, held=held, ecu=self.ecu, facts=facts), self, self)
        floor = held.files.get(Role.TARGETS)
        procedure = partial_verification_under(self.pinned, director=director, held=floor, ecu=self.ecu, facts=facts)
        return run(procedure, self, self)
