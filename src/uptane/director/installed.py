"""What each ECU has, on the evidence of its reports, and what it may have got since."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from uptane.director.planning import assignment_of, image_of
from uptane.director.ports import Assignment, Directed, EcuRecord
from uptane.formats.profile import Profile
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import Image, ImageFile
from uptane.metadata.version_report import EcuVersionReport

REPORTED = 0
"""The number of an image that an ECU reported although nobody directed it; directed ones begin at 1."""


def installed_files(profile: Profile, ecus: Sequence[EcuRecord]) -> Mapping[EcuIdentifier, ImageFile]:
    """Name, length and hashes of what each ECU runs, from its last accepted report (STD-5.3.2.1-12).

    An ECU that has not reported yet is not in it.
    """
    return {
        ecu.ecu: profile.format.decode(EcuVersionReport, ecu.report).payload.installed
        for ecu in ecus
        if ecu.report is not None
    }


def outstanding(
    assignments: Sequence[Assignment], installed: Mapping[EcuIdentifier, ImageFile]
) -> tuple[EcuIdentifier, ...]:
    """The ECUs that are not known to have what they shall have; empty for a vehicle that is up to date."""
    return tuple(each.ecu for each in assignments if installed.get(each.ecu) != image_of(each.path, each.image).file)


def by_ecu(directed: Sequence[Directed]) -> Mapping[EcuIdentifier, Sequence[Directed]]:
    """What each ECU was directed, in the order in which it was."""
    found: defaultdict[EcuIdentifier, list[Directed]] = defaultdict(list)
    for each in sorted(directed, key=lambda each: each.number):
        found[each.ecu].append(each)
    return found


def confirmed(
    vehicle: VehicleIdentifier, ecu: EcuIdentifier, directed: Sequence[Directed], installed: ImageFile
) -> Sequence[Directed]:
    """What an ECU may have once it has reported an image: nothing that was directed before that one.

    An ECU never goes back to metadata that is older than what it trusted, but it may already trust newer metadata than
    its report tells of. Where an image was directed twice, the first one counts: the report may be of that time. An
    image that was never directed, such as the factory's, was there before all that was, and is put first as number 0,
    so that it counts as that first one when it is directed later.
    """
    for place, each in enumerate(directed):
        if image_of(each.path, each.image).file == installed:
            return directed[place:]
    bare = assignment_of(vehicle, ecu, Image(file=installed))
    first = Directed(vehicle=vehicle, ecu=ecu, number=REPORTED, path=bare.path, image=bare.image)
    return [first, *(each for each in directed if each.number != REPORTED)]


def may_have(directed: Sequence[Directed], installed: ImageFile | None) -> tuple[Image, ...]:
    """Every image that an ECU may have now: what it reported, and what it was directed since (BP-SEC-13).

    Of an image that was never directed, such as the factory's, the custom data is not known.
    """
    images: dict[ImageFile, Image] = {}
    for each in directed:
        image = image_of(each.path, each.image)
        if image.file not in images or each.number != REPORTED:
            images[image.file] = image
    if installed is not None:
        images.setdefault(installed, Image(file=installed))
    return tuple(images.values())


def confirmations(
    vehicle: VehicleIdentifier, reports: Sequence[EcuVersionReport], directed: Sequence[Directed]
) -> Mapping[EcuIdentifier, Sequence[Directed]]:
    """New reports rule out what their ECUs were directed before, and tell what they have that nobody directed.

    Args:
        vehicle: the vehicle.
        reports: the new ones.
        directed: what its ECUs may have of what they were directed, as far as was known before.

    Returns:
        All that an ECU may have, for each ECU of which that has changed.
    """
    known, changed = dict(by_ecu(directed)), dict[EcuIdentifier, Sequence[Directed]]()
    for report in reports:
        before = known.get(report.ecu, ())
        after = confirmed(vehicle, report.ecu, before, report.installed)
        if list(after) != list(before):
            known[report.ecu] = changed[report.ecu] = after
    return changed
