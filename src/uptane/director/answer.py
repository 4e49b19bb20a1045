"""What a Director answers whoever handed it a manifest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from uptane.director.installed import installed_files, outstanding
from uptane.director.manifest_intake import Taken
from uptane.director.quick_answers import Followed
from uptane.formats.profile import Profile
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.signing.publish import Published
from uptane.verification.check_manifest import CheckedManifest


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a manifest.

    Args:
        manifest: as it was taken in.
        look_up: finds `outstanding`, for which not everybody asks.
        published: the vehicle's new metadata; None where what it can fetch already is still good.
        withheld: why the assigned images are not directed, if they are not.
    """

    manifest: CheckedManifest
    look_up: Callable[[], Sequence[EcuIdentifier]]
    published: Published | None = None
    withheld: UptaneError | None = None

    @cached_property
    def outstanding(self) -> tuple[EcuIdentifier, ...]:
        """The ECUs that are not known to have their assigned image; empty for a vehicle that is up to date."""
        return tuple(self.look_up())

    @classmethod
    def of(cls, profile: Profile, taken: Taken, followed: Followed) -> Self:
        """The answer to a manifest that was taken in with all that followed."""
        checked, state = taken.manifest, followed.state

        def look_up() -> Sequence[EcuIdentifier]:
            said = {each.payload.ecu: each.payload.installed for each in checked.manifest.reports}
            silent = [ecu for ecu in state.ecus if ecu.ecu not in said or ecu.ecu in checked.refused]
            return outstanding(state.assignments, {**said, **installed_files(profile, silent)})

        return cls(manifest=checked, look_up=look_up, published=followed.published, withheld=followed.withheld)
