"""The small values that an ECU remembers and that change with every cycle, as JSON."""

from dataclasses import dataclass
from datetime import datetime

from uptane.formats.canonical_json import Json, compact, decode_strict
from uptane.formats.json_fields import Fields, read_time, write_time
from uptane.formats.json_images import read_file, write_file
from uptane.metadata.errors import FormatError
from uptane.metadata.targets import ImageFile
from uptane.vehicle.installation_states import RUNNING, Installation, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuState:
    """The small values that change.

    Args:
        counter: of the last report that was made, or that a Primary may make next; begins at the provisioning time in
            microseconds.
        manifest_counter: of the last vehicle manifest that was made, or that may be made next; on a Primary.
        time, previous_time: the last two verified times, UTC.
        time_source: the identifier of the key under which `time` was attested, which is the first one for the time of
            provisioning, or UNSAFE_CLOCK; None where it is not known.
        judged_time: the latest time at which metadata is known to have been good; None for `time`.
        cycles_without_time: update cycles since a time was attested; counted no further than it matters.
        nonce: what the next time attestation must answer.
        installed: the image that runs.
        release_counter: the highest release counter ever installed; None before the first.
        attacks: descriptions of attacks seen and not yet reported.
        installation: how far an installation has come, and the slot of the image that runs.
    """

    counter: int
    manifest_counter: int
    time: datetime
    previous_time: datetime
    nonce: int
    installed: ImageFile
    release_counter: int | None = None
    cycles_without_time: int = 0
    time_source: str | None = None
    judged_time: datetime | None = None
    attacks: tuple[str, ...] = ()
    installation: Installation = RUNNING

    def encode(self) -> bytes:
        """The state as JSON."""
        members: dict[str, Json] = {
            "counter": self.counter,
            "manifest_counter": self.manifest_counter,
            "time": write_time(self.time),
            "previous_time": write_time(self.previous_time),
            "cycles_without_time": self.cycles_without_time,
            "time_source": self.time_source,
            "judged_time": None if self.judged_time is None else write_time(self.judged_time),
            "nonce": self.nonce,
            "installed": _write(self.installed),
            "release_counter": self.release_counter,
            "attacks": list(self.attacks),
            "installation": _write_installation(self.installation),
        }
        return compact({name: value for name, value in members.items() if value is not None})

    @classmethod
    def decode(cls, raw: bytes) -> "EcuState":
        """The inverse of `encode`; raises FormatError."""
        fields = Fields(decode_strict(raw), "ECU state")
        judged = fields.optional("judged_time", str)
        return cls(
            counter=fields.take("counter", int),
            manifest_counter=fields.take("manifest_counter", int),
            time=read_time(fields.take("time", str), "time"),
            previous_time=read_time(fields.take("previous_time", str), "previous_time"),
            cycles_without_time=fields.optional("cycles_without_time", int) or 0,
            time_source=fields.optional("time_source", str),
            judged_time=None if judged is None else read_time(judged, "judged_time"),
            nonce=fields.take("nonce", int),
            installed=_read(fields.take("installed", dict)),
            release_counter=fields.optional("release_counter", int),
            attacks=fields.texts("attacks", str),
            installation=_read_installation(fields.take("installation", dict)),
        )


def _write(file: ImageFile) -> dict[str, Json]:
    return {"path": str(file.path), **write_file(file)}


def _read(members: dict[str, Json]) -> ImageFile:
    file = Fields(members, "image")
    path = file.take("path", str)
    return read_file(path, file.members)


def _write_installation(installation: Installation) -> dict[str, Json]:
    candidate, failed = installation.candidate, installation.failed
    members: dict[str, Json] = {
        "phase": installation.phase.value,
        "active": installation.active,
        "candidate": None if candidate is None else _write(candidate),
        "counter": installation.counter,
        "failed": None if failed is None else _write(failed),
        "failures": installation.failures,
    }
    return {name: value for name, value in members.items() if value is not None}


def _read_installation(members: dict[str, Json]) -> Installation:
    fields = Fields(members, "installation")
    candidate, failed = fields.optional("candidate", dict), fields.optional("failed", dict)
    return Installation(
        phase=_phase(fields.take("phase", str)),
        active=fields.take("active", str),
        candidate=None if candidate is None else _read(candidate),
        counter=fields.optional("counter", int),
        failed=None if failed is None else _read(failed),
        failures=fields.take("failures", int),
    )


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError as error:
        raise FormatError(f"an installation cannot be {text!r}", field="phase") from error
