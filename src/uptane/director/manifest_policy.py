"""What a Director does about a manifest that is genuine and still not as it should be: ECUs missing, times amiss."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct, structs

from uptane.director.ports import Alert
from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import (
    BadTimeAttestationError,
    MissingReportError,
    SecurityError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.version_report import EcuVersionReport
from uptane.verification.check_manifest import CheckedManifest

NAMED = 8
"""ECUs that an alert names one by one: whoever reaches a Primary can add a thousand."""


class Consequence(StrEnum):
    """What follows from a finding."""

    DROP = "drop"
    """The manifest is refused as a whole and nothing is stored."""

    SET_ASIDE = "set aside"
    """The report is not believed and not stored, the rest is; the Primary's own report drops the manifest."""

    FLAG = "flag"
    """Everything is taken in, and an alert tells of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPolicy:
    """What is asked of a manifest beyond its signatures and counters (STD-5.3.2.1-4, -5, -8).

    Args:
        missing: what follows when an ECU of the inventory is not in it. A vehicle whose Secondary has not reported yet
            would never get its first update if that were dropped.
        ahead: what follows from a report whose time is later than ours. The time in a report was signed by a
            Timeserver, so a wrong one comes from a stolen key or from an ECU that lies.
        tolerance: how much later it may be.
        outdated: what follows from a report that is too old. A report tells the time of the cycle before, so a parked
            vehicle's first report is as old as its rest was long.
        oldest: how old it may be.
    """

    missing: Consequence = Consequence.FLAG
    ahead: Consequence = Consequence.SET_ASIDE
    tolerance: timedelta = timedelta(hours=1)
    outdated: Consequence = Consequence.FLAG
    oldest: timedelta = timedelta(days=366)

    def under(self, profile: Profile) -> "ManifestPolicy":
        """The policy as far as the profile lets it hold: where manifests may lack ECUs, that drops none."""
        return replace(self, missing=Consequence.FLAG) if profile.unsafe_incomplete_manifests else self

    def judge(
        self, checked: CheckedManifest, repeated: Sequence[Envelope[EcuVersionReport]], now: datetime
    ) -> "Judged":
        """Applies the policy to a manifest that was checked.

        Args:
            checked: the manifest.
            repeated: the reports that came again.
            now: UTC.

        Raises:
            MissingReportError: an ECU is missing, where that drops.
            BadTimeAttestationError: a time is ahead or too old, where that drops, or where it is the Primary's own.
        """
        alerts: list[Alert] = []
        vehicle = checked.manifest.vehicle
        if checked.missing:
            text = f"the manifest of vehicle {vehicle} says nothing of {_names(checked.missing)}"
            if self.missing is not Consequence.FLAG:
                raise MissingReportError(text, vehicle=vehicle, missing=checked.missing)
            alerts.append(Alert(vehicle=vehicle, time=now, code=MissingReportError.code, text=text))
        aside: set[EcuIdentifier] = set()
        latest, earliest = now + self.tolerance, now - self.oldest
        for report in (*(fresh.envelope for fresh in checked.fresh), *repeated):
            if earliest <= report.payload.time <= latest:
                continue
            consequence, error = self._about_time(report.payload, now)
            own = report.payload.ecu == checked.manifest.primary
            if consequence is Consequence.DROP or (own and consequence is Consequence.SET_ASIDE):
                raise error
            if consequence is Consequence.SET_ASIDE:
                aside.add(report.payload.ecu)
            alerts.append(Alert(vehicle=vehicle, time=now, code=error.code, text=error.what))
        alerts += [_alert(vehicle, now, what, ecus) for what, ecus in _set_aside(checked)]
        if aside:
            checked = structs.replace(
                checked,
                fresh=tuple(fresh for fresh in checked.fresh if fresh.envelope.payload.ecu not in aside),
                repeated=tuple(ecu for ecu in checked.repeated if ecu not in aside),
                refused=(*checked.refused, *sorted(aside)),
            )
        return Judged(manifest=checked, alerts=tuple(alerts))

    def _about_time(self, report: EcuVersionReport, now: datetime) -> tuple[Consequence, SecurityError]:
        if report.time > now:
            consequence, what = self.ahead, "which has not come yet"
        else:
            consequence, what = self.outdated, "which is long past"
        error = BadTimeAttestationError(
            f"the version report of {report.ecu} is of {report.time:%Y-%m-%dT%H:%M:%SZ}, {what}",
            next_step="Look at the ECU's time, the Timeserver's key and this server's clock.",
            ecu=report.ecu,
            expected=now,
            offered=report.time,
        )
        return consequence, error


class Judged(Struct, frozen=True, kw_only=True, gc=False):
    """A manifest that is taken in.

    Args:
        manifest: without the reports that are not believed.
        alerts: what an operator should know of it.
    """

    manifest: CheckedManifest
    alerts: tuple[Alert, ...] = ()


DEFAULT_POLICY = ManifestPolicy()

STRICT_POLICY = ManifestPolicy(missing=Consequence.DROP, ahead=Consequence.DROP, outdated=Consequence.DROP)
"""Drops whatever the Standard says should be dropped; for vehicles whose ECUs report before they are handed over."""


def _set_aside(checked: CheckedManifest) -> Iterable[tuple[str, Sequence[EcuIdentifier]]]:
    if checked.strangers:
        yield "reports ECUs that are not registered", checked.strangers
    if checked.refused:
        yield "forged or old reports, set aside", checked.refused


def _alert(vehicle: VehicleIdentifier, now: datetime, what: str, ecus: Sequence[EcuIdentifier]) -> Alert:
    return Alert(vehicle=vehicle, time=now, code="E-SPOOF", text=f"vehicle {vehicle}: {what}: {_names(ecus)}")


def _names(ecus: Sequence[EcuIdentifier]) -> str:
    more = f" and {len(ecus) - NAMED} more" if len(ecus) > NAMED else ""
    return ", ".join(ecus[:NAMED]) + more
