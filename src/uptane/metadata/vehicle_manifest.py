"""Vehicle version manifest: the reports of all ECUs, signed by the Primary (STD-5.4.2.1.1)."""

from msgspec import Struct, structs

from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.version_report import EcuVersionReport, check_counter

MAX_REPORTS = 1024
"""Reports in one manifest; a vehicle has some 150 ECUs."""


class VehicleVersionManifest(Struct, frozen=True, kw_only=True, gc=False):
    """The payload of a vehicle version manifest (M-83 to M-86).

    Args:
        vehicle: the vehicle.
        primary: the Primary that signs.
        reports: the latest signed report of each ECU, the Primary's own among them, each complete with its
            own signatures and its exact bytes; in the order of the ECU identifiers. Several of one ECU stand in it,
            in the order of their arrival, only where the profile has `unsafe_several_reports`.
        counter: rises with every manifest of the vehicle; None only where the profile has
            `unsafe_no_report_counter`.

    Raises:
        FormatError: too many reports.
    """

    vehicle: VehicleIdentifier
    primary: EcuIdentifier
    reports: tuple[Envelope[EcuVersionReport], ...]
    counter: int | None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        if len(self.reports) > MAX_REPORTS:
            raise FormatError(f"more than {MAX_REPORTS} reports", field="reports")
        structs.force_setattr(self, "reports", tuple(sorted(self.reports, key=lambda report: report.payload.ecu)))
        if self.counter is not None:
            check_counter(self.counter)

    def require_counter(self) -> int:
        """The counter; FormatError where there is none."""
        if self.counter is None:
            raise FormatError("a vehicle manifest without a counter", field="counter")
        return self.counter

    def require_one_report_each(self) -> tuple[Envelope[EcuVersionReport], ...]:
        """The reports, at most one of each ECU (STD-5.4.2.1.1-9); FormatError for two of one."""
        if len({report.payload.ecu for report in self.reports}) != len(self.reports):
            raise FormatError("two reports of one ECU", field="reports")
        return self.reports
