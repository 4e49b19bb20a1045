"""How a Secondary verifies what its Primary hands over: all of it, or the Director's part where it is too weak."""

from datetime import datetime
from typing import Protocol

from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.vehicle.distribution import BareTargets, Bundle
from uptane.vehicle.memory import EcuMemory, VerificationKind
from uptane.vehicle.ports import PrimaryLink
from uptane.verification.check_root import load_root
from uptane.verification.full_verification import full_verification
from uptane.verification.partial_verification import (
    TargetsKeys,
    VerifiedTargets,
    partial_verification,
    partial_verification_under,
)
from uptane.verification.steps import Fetcher, Procedure, run


class Verification(Protocol):
    """One way to verify metadata, with the memory of the ECU that does."""

    @property
    def validated(self) -> str:
        """What an image that passed may be called."""
        ...

    def ask(self, primary: PrimaryLink) -> bytes:
        """Gets the metadata that it needs."""
        ...

    def opened(self, received: bytes) -> Fetcher:
        """What it got, as a source of files; raises SecurityError."""
        ...

    def verify(self, received: bytes, now: datetime) -> Image | None:
        """Verifies it by a time and gives the ECU's own image, if it is to have one.

        Raises:
            SecurityError, UnreachableError: it is refused, or not complete.
        """
        ...


def verification_of(memory: EcuMemory) -> Verification:
    """The way that an ECU was made for."""
    return FullVerification(memory) if memory.verification is VerificationKind.FULL else PartialVerification(memory)


class FullVerification:
    """Both repositories, and whether they agree (5.4.4.2)."""

    validated = "fully validated by the Director and Image Repo"

    def __init__(self, memory: EcuMemory) -> None:
        self._memory = memory

    def ask(self, primary: PrimaryLink) -> bytes:
        """The bundle of both repositories."""
        return primary.metadata(self._memory.ecu)

    def opened(self, received: bytes) -> Fetcher:
        """The files of the bundle."""
        return Bundle(received, self._memory.profile)

    def verify(self, received: bytes, now: datetime) -> Image | None:
        """See `full_verification`."""
        memory = self._memory
        procedure = full_verification(
            director=memory.context(memory.director, now),
            director_held=memory.held(memory.director),
            image_repository=memory.context(memory.image_repository, now),
            image_repository_held=memory.held(memory.image_repository),
            ecus={memory.ecu: memory.facts},
            knows_whole_vehicle=False,
        )
        return run(procedure, self.opened(received), memory).images.get(memory.ecu)


class PartialVerification:
    """The Director's Targets (5.4.4.1), under its newest Root or under pinned keys, as the ECU was made for."""

    validated = "validated by the Director alone; what the Image Repo says of it, the Primary has checked"

    def __init__(self, memory: EcuMemory) -> None:
        self._memory = memory

    def ask(self, primary: PrimaryLink) -> bytes:
        """The Director's Roots and Targets, or Targets alone."""
        return primary.partial_metadata(self._memory.ecu)

    def verify(self, received: bytes, now: datetime) -> Image | None:
        """See `partial_verification`."""
        return run(self._procedure(now), self.opened(received), self._memory).image

    def opened(self, received: bytes) -> Fetcher:
        """The files of the bundle, or Targets alone."""
        profile = self._memory.profile
        if profile.unsafe_partial_without_root:
            return BareTargets(received, self._memory.director, profile)
        return Bundle(received, profile)

    def _procedure(self, now: datetime) -> Procedure[VerifiedTargets]:
        memory = self._memory
        director, held = memory.context(memory.director, now), memory.held(memory.director)
        if memory.verification is VerificationKind.PARTIAL:
            return partial_verification(director=director, held=held, ecu=memory.ecu, facts=memory.facts)
        return partial_verification_under(
            TargetsKeys.of(load_root(director, held.root)),
            director=director,
            held=held.files.get(Role.TARGETS),
            ecu=memory.ecu,
            facts=memory.facts,
        )
