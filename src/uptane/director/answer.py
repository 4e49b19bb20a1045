"""What a Director answers whoever handed it a manifest."""

from dataclasses import dataclass
from typing import Self

from uptane.director.installed import installed_files, outstanding
from uptane.director.manifest_intake import Taken
from uptane.director.quick_answers import Followed
from uptane.formats.profile import Profile
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.signing.publish import Published
from uptane.verification.check_manifest import CheckedManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a manifest.

    Args:
        manifest: as it was taken in.
        outstanding: the ECUs that are not known to have their assigned image; empty for a vehicle that is up to date.
        published: the vehicle's new metadata; None where what it can fetch already is still good.
        withheld: why the assigned images are not directed, if they are not.
    """

    manifest: CheckedManifest
    outstanding: tuple[EcuIdentifier, ...]
    published: Published | None = None
    withheld: UptaneError | None = None

    @classmethod
    def of(cls, profile: Profile, taken: Taken, followed: Followed) -> Self:
        """The answer to a manifest that was taken in with all that followed."""
        checked, state = taken.manifest, followed.state
        said = {each.payload.ecu: each.payload.installed for each in checked.manifest.reports}
        silent = [ecu for ecu in state.ecus if ecu.ecu not in said or ecu.ecu in checked.refused]
        installed = {**said, **installed_files(profile, silent)}
        return cls(
            manifest=checked,
            outstanding=outstanding(state.assignments, installed),
            published=followed.published,
            withheld=followed.withheld,
        )
