"""A vehicle manifest that holds only what has changed since a whole one (STD-5.4.2.1-3)."""

from msgspec import structs

from uptane.metadata.errors import FormatError, UnknownBaseError
from uptane.metadata.extensions import Extensions
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

DIFF_OF = "diff_of"
"""The name of the extension; its value is the counter of the whole manifest in decimal digits, which is its JSON text
as well."""

_MAX_DIGITS = 19


def diff_of(manifest: VehicleVersionManifest) -> int | None:
    """The counter of the whole manifest that this one is a diff of; None for a whole one, FormatError for no number."""
    text = manifest.extensions.as_dict().get(DIFF_OF)
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MAX_DIGITS or (text[:1] == b"0" and text != b"0"):
        raise FormatError("a diff names no counter in decimal digits", field=DIFF_OF)
    return int(text)


def as_diff(manifest: VehicleVersionManifest, base: VehicleVersionManifest) -> VehicleVersionManifest | None:
    """The manifest without the reports that stand in `base` as well, byte for byte.

    Returns:
        The diff; None where it cannot say everything, because an ECU of `base` is not there any more.
    """
    before = {report.payload.ecu: report.raw for report in base.reports}
    if not before.keys() <= {report.payload.ecu for report in manifest.reports}:
        return None
    changed = tuple(report for report in manifest.reports if before.get(report.payload.ecu) != report.raw)
    extensions = Extensions((*manifest.extensions, (DIFF_OF, b"%d" % base.require_counter())))
    return structs.replace(manifest, reports=changed, extensions=extensions)


def applied(diff: VehicleVersionManifest, base: VehicleVersionManifest | None) -> VehicleVersionManifest:
    """The whole manifest that a diff stands for, with the diff's own counter.

    Raises:
        UnknownBaseError: it is a diff of another manifest than `base`.
    """
    named = diff_of(diff)
    if base is None or named is None or base.counter != named:
        raise UnknownBaseError(
            f"vehicle {diff.vehicle} sent a diff of its manifest {named}, which is not the last whole one here",
            vehicle=diff.vehicle,
            expected=None if base is None else base.counter,
            offered=named,
        )
    own = {report.payload.ecu for report in diff.reports}
    unchanged = tuple(report for report in base.reports if report.payload.ecu not in own)
    return structs.replace(diff, reports=(*diff.reports, *unchanged))
