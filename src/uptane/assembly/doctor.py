"""What can keep production servers from their work: one finding for each check, and what to do."""

import os
import secrets
import shutil
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.assembly.first_root import under_first_root
from uptane.assembly.floor import require_above_floor
from uptane.assembly.production import TIMESERVER_KEY, System, is_elsewhere, public_key, storage_of, utc_now
from uptane.assembly.roots import stored_root
from uptane.assembly.settings import FILE_NAME, Settings, load_settings
from uptane.assembly.unsafe_door import warning
from uptane.image_repository.authority import delegations_by_role
from uptane.metadata.errors import ProvisioningError, SettingsError, StorageError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.timestamp import Timestamp
from uptane.signing.publish import Lifetimes
from uptane.storage.certificate_authority import AUTHORITY, CERTIFICATE, SERVER
from uptane.storage.key_files import load_private_key
from uptane.storage.places import FolderPlace
from uptane.storage.sql.engine import database_name, open_engine, require_existing, storage_errors
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.revision import check_schema
from uptane.storage.sql.roots import roots_in_service
from uptane.storage.sql.schema import REVISION, vehicles
from uptane.verification.own_metadata import OwnMetadata, Reader, verify_own_metadata

ENOUGH_DISK = 1 << 30
"""Free bytes that servers need for uploads and for the growth of a day."""

MARGINS: Mapping[str, timedelta] = {
    "Root": timedelta(days=30),
    "Targets": timedelta(days=14),
    "Snapshot": timedelta(days=1),
    "Timestamp": timedelta(hours=1),
    "certificate": timedelta(days=14),
}
"""How long before its expiry something has to be renewed: as long as somebody may be away, or servers take to sign."""

VEHICLES_LOOKED_AT = 20
"""To verify all metadata of every vehicle of a large fleet would take longer than anybody waits."""

_NEVER = datetime.max.replace(tzinfo=UTC)

CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Args:
        check: what was looked at.
        well: whether it is as it should be.
        said: what was found.
        next_step: what to do, where it is not well.
    """

    check: str
    well: bool
    said: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the checks ask the machine.

    Args:
        now: the time, UTC.
        free_bytes: the room on the disk of a folder.
    """

    now: Callable[[], datetime] = utc_now
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


async def examine(
    folder: Path, machine: Surroundings | None = None, which: frozenset[System] = frozenset(System)
) -> list[Finding]:
    """Looks at everything that servers need; changes nothing, but for a probe of object storage that it removes.

    Args:
        folder: with `uptane.toml`, or that file.
        machine: its clock and disk.
        which: the systems that run on this machine; the keys of others need not be here, and are not looked at.
    """
    try:
        settings = load_settings(folder)
    except UptaneError as error:
        return [_bad("settings", error)]
    ward = _Ward(settings, machine or Surroundings(), which)
    everybody, publishers = frozenset(System), frozenset({System.DIRECTOR, System.IMAGE_REPOSITORY})
    checks: list[tuple[str, Callable[[], Awaitable[str]], frozenset[System]]] = [
        ("settings", ward.settings_file, everybody),
        ("database", ward.database, everybody),
        ("storage", ward.storage, publishers),
        ("keys", ward.keys, everybody),
        ("Image repository", ward.image_repository, publishers),
        ("Director", ward.director, frozenset({System.DIRECTOR})),
        ("certificates", ward.certificates, everybody),
        ("clock", ward.clock, publishers),
        ("disk", ward.disk, everybody),
    ]
    findings = []
    for name, check, concerned in checks:
        if not which & concerned:
            continue
        try:
            findings.append(Finding(check=name, well=True, said=await check()))
        except UptaneError as error:
            findings.append(_bad(name, error))
        except OSError as error:
            said = f"{error.filename or 'a file'}: {error.strerror or 'it cannot be read'}"
            findings.append(Finding(check=name, well=False, said=said, next_step="See that this user may read it."))
    return findings


def _bad(check: str, error: UptaneError) -> Finding:
    return Finding(check=check, well=False, said=error.what, next_step=error.next_step or "Look at it.")


class _Ward:
    """The checks; each gives what is well, and raises what is not."""

    def __init__(self, settings: Settings, machine: Surroundings, which: frozenset[System]) -> None:
        self._settings = settings
        self._which = which
        self._profile = settings.profile
        self._machine = machine
        self._timestamp: Timestamp | None = None
        """That of the Image repository, where it was verified: a thief's tells no time."""

    async def settings_file(self) -> str:
        file = self._settings.folder / FILE_NAME
        if file.is_file():
            _require_private(file)
        if self._settings.listen.unsafe_xmlrpc:
            raise SettingsError(
                warning(self._settings.listen.unsafe_xmlrpc),
                next_step="Take unsafe_xmlrpc out of [listen] wherever vehicles depend on these servers.",
                field="listen.unsafe_xmlrpc",
            )
        return f"{self._settings.folder}, format {self._settings.format}"

    async def database(self) -> str:
        async def look(engine: AsyncEngine) -> str:
            await check_schema(engine)
            name = database_name(engine)
            with storage_errors(name):
                async with engine.connect() as connection:
                    await connection.execute(
                        insert(vehicles).values(vehicle=f"doctor {secrets.token_hex(16)}", manifest_counter=0)
                    )
                    await connection.rollback()
            return f"{name} has revision {REVISION} and can be written to"

        return await self._on_database(look)

    async def storage(self) -> str:
        place = storage_of(self._settings)
        if not isinstance(place, FolderPlace):
            await place.objects.prove()
            return f"{place.objects.where('')} keeps the conditions of a write"
        if not place.root.is_dir() or not os.access(place.root, os.R_OK | os.W_OK | os.X_OK):
            raise StorageError(
                f"the folder {place.root} is not there, or this user may not write to it",
                next_step="Mount it, correct its owner, or restore it from a backup.",
                path=str(place.root),
            )
        return f"{place.root} can be written to"

    async def keys(self) -> str:
        systems = [system for system in (System.DIRECTOR, System.IMAGE_REPOSITORY) if system in self._which]
        for system in systems:
            self._keys_of(system)
        if System.TIMESERVER in self._which:
            self._public(TIMESERVER_KEY)
        elif System.DIRECTOR in self._which:
            public_key(self._settings, TIMESERVER_KEY)  # new vehicles are told of it
        strange = sorted(system for system in System if system not in self._which and self._has_private(system))
        if strange:
            raise ProvisioningError(
                f"private keys of {' and '.join(strange)} are in {self._folder_of_keys}, where it does not run",
                next_step="Move them to the machine where it runs; leave their .pub files.",
            )
        away = [f"{system}-{role}" for system in systems for role in Role if self._is_elsewhere(system, role)]
        but = f" but {', '.join(away)}, which servers can do without," if away else ""
        return f"all{but} in {self._folder_of_keys}, readable for their owner only"

    async def image_repository(self) -> str:
        store = under_first_root(self._settings, storage_of(self._settings).metadata("metadata"))
        own = await require_above_floor(self._settings, lambda: self._verified(store, None))
        if not own.timestamp:
            raise ProvisioningError("the Image repository has no Timestamp", next_step="Restore it from a backup.")
        snapshot = self._profile.format.decode(Snapshot, own.snapshot).payload
        timestamp = self._timestamp = self._profile.format.decode(Timestamp, own.timestamp).payload
        if System.IMAGE_REPOSITORY in self._which:
            self._require_keys_of_root(System.IMAGE_REPOSITORY, own.root.payload)
        # A role that was revoked is published for ever, and nobody signs it again.
        contents = {name: each.payload for name, each in own.targets.items()}
        trusted = delegations_by_role(contents, with_images=True)
        roles = [(name, each) for name, each in own.targets.items() if name in trusted]
        ends = [("Root", "Root", own.root.payload.expires)]
        ends += [(f"Targets role {name}", "Targets", each.payload.expires) for name, each in roles]
        ends += [("Snapshot", "Snapshot", snapshot.expires), ("Timestamp", "Timestamp", timestamp.expires)]
        for what, kind, expires in ends:
            remedy = self._renewal_of_root(System.IMAGE_REPOSITORY) if kind == "Root" else _renewal(kind)
            self._require_time_left(f"{what} of the Image repository", kind, expires, remedy)
        first, _, when = min(ends, key=lambda end: end[2])
        signed = ", and signed with these keys" if System.IMAGE_REPOSITORY in self._which else ""
        return f"verified{signed}; {first} expires first, on {when:%Y-%m-%d at %H:%M}"

    async def director(self) -> str:
        async def look(engine: AsyncEngine) -> str:
            await check_schema(engine)
            key = (
                None
                if self._is_elsewhere(System.DIRECTOR, Role.ROOT)
                else self._public(f"{System.DIRECTOR}-{Role.ROOT}")
            )
            count = soon = 0
            margin, first, first_soon = MARGINS["Root"], _NEVER, (_NEVER, "")
            async for vehicle, raw in roots_in_service(engine, self._profile.metadata_name(Role.ROOT)):
                if count < VEHICLES_LOOKED_AT or raw is None:
                    root = (await self._verified(SqlPublished(engine, vehicle), vehicle)).root.payload
                    self._require_keys_of_root(System.DIRECTOR, root)
                else:
                    root = stored_root(self._profile, vehicle, raw)
                count, first = count + 1, min(first, root.expires)
                # What has its key here is signed when the vehicle reports, and may expire while it is parked.
                signed_here = key is not None and key.key_id in root.roles[Role.ROOT].key_ids
                if not signed_here and root.expires - self._machine.now() < margin:
                    soon, first_soon = soon + 1, min(first_soon, (root.expires, vehicle))
            if soon:
                raise UptaneError(
                    f"{soon} of {count} Roots of vehicles expire within {margin.days} days or have expired, the first, "
                    f"of vehicle {first_soon[1]}, on {first_soon[0]:%Y-%m-%d at %H:%M} UTC, and their key is not here",
                    next_step=self._renewal_of_root(System.DIRECTOR),
                )
            verified = min(count, VEHICLES_LOOKED_AT)
            said = f"the metadata of the first {verified} vehicles is verified, and signed with these keys"
            return f"{said}; of all {count}, the first Root expires on {first:%Y-%m-%d}" if count else said

        return await self._on_database(look)

    async def certificates(self) -> str:
        folder = self._settings.place(self._settings.certificates.folder)
        authority = _certificate(folder / (AUTHORITY + CERTIFICATE))
        issues = System.DIRECTOR in self._which or (folder / AUTHORITY).exists()
        if issues:
            _require_private(folder / AUTHORITY)
            if load_private_key(folder / AUTHORITY).public_key() != authority.public_key():
                raise StorageError(
                    f"{AUTHORITY + CERTIFICATE} in {folder} is not the certificate of the key beside it",
                    next_step="Restore the folder from a backup.",
                )
        lifetime = timedelta(days=self._settings.certificates.vehicle_days)
        self._require_left(
            "the authority's certificate",
            authority.not_valid_after_utc,
            lifetime,
            "Make a new authority, and bring its certificate to the vehicles.",
        )
        if not (folder / (SERVER + CERTIFICATE)).exists() and self._settings.listen.behind_front:
            return "the authority is in order; a front has the server's certificate"
        if not (folder / (SERVER + CERTIFICATE)).exists() and issues:
            return "the authority is in order; the server's certificate is made at the first start"
        _require_private(folder / SERVER)
        server = _certificate(folder / (SERVER + CERTIFICATE)).not_valid_after_utc
        remedy = "Start the servers anew." if issues else "Bring a new one from the machine that has the authority."
        self._require_time_left("the server's certificate", "certificate", server, remedy)
        return f"authority and server are in order; that of the server is valid until {server:%Y-%m-%d}"

    async def clock(self) -> str:
        now = self._machine.now()
        authority = _certificate(self._settings.place(self._settings.certificates.folder) / (AUTHORITY + CERTIFICATE))
        signed = authority.not_valid_before_utc
        if self._timestamp is not None:
            signed = max(signed, self._timestamp.expires - Lifetimes().timestamp)
        if now + CLOCK_TOLERANCE < signed:
            raise UptaneError(
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, but metadata or certificates were signed later than that",
                next_step="Set it, and keep it right with NTP.",
            )
        last = "what was signed last" if self._timestamp else "the authority was made (no Timestamp is verified)"
        return f"{now:%Y-%m-%d %H:%M} UTC, not before {last}; whether it is right, NTP has to know"

    async def disk(self) -> str:
        place = storage_of(self._settings)
        folders = [self._settings.folder]
        if isinstance(place, FolderPlace) and place.root.is_dir():
            folders.append(place.root)
        free = min(self._machine.free_bytes(folder) for folder in folders)
        if free < ENOUGH_DISK:
            raise StorageError(
                f"{free >> 20} MiB are free, of {ENOUGH_DISK >> 20} that servers need",
                next_step="Make room on the disk.",
            )
        return f"{free >> 20} MiB are free"

    @property
    def _folder_of_keys(self) -> Path:
        return self._settings.place(self._settings.keys.folder)

    def _public(self, name: str) -> PublicKey:
        file = self._folder_of_keys / name
        if not file.exists():
            raise ProvisioningError(
                f"the key {name} is not in {self._folder_of_keys}", next_step="Restore it from a backup.", name=name
            )
        _require_private(file)
        return PublicKey.of(load_private_key(file).public_key(), self._profile.format.key_id_rule)

    def _keys_of(self, system: System) -> Mapping[Role, PublicKey]:
        return {role: self._public(f"{system}-{role}") for role in Role if not self._is_elsewhere(system, role)}

    def _is_elsewhere(self, system: System, role: Role) -> bool:
        return is_elsewhere(self._settings, system, role)

    def _renewal_of_root(self, system: System) -> str:
        if system is System.DIRECTOR or self._is_elsewhere(system, Role.ROOT):
            return f"Run: uptane root renew {system} --key FILE, where FILE is its Root key."
        return "See that a server runs, which has its key and signs it again."

    def _has_private(self, system: System) -> bool:
        names = [TIMESERVER_KEY] if system is System.TIMESERVER else [f"{system}-{role}" for role in Role]
        return any((self._folder_of_keys / name).exists() for name in names)

    def _require_keys_of_root(self, system: System, root: Root) -> None:
        for role, key in self._keys_of(system).items():
            if key.key_id not in root.roles[role].key_ids:
                raise ProvisioningError(
                    f"the key {system}-{role} is not one that the published Root names",
                    next_step="Restore the keys that belong to this repository.",
                    role=role,
                )

    def _require_time_left(self, what: str, kind: str, expires: datetime, remedy: str) -> None:
        self._require_left(what, expires, MARGINS[kind], remedy)

    def _require_left(self, what: str, expires: datetime, margin: timedelta, remedy: str) -> None:
        left = expires - self._machine.now()
        if left < margin:
            word = "expired" if left <= timedelta(0) else "expires"
            raise UptaneError(f"{what} {word} on {expires:%Y-%m-%d at %H:%M} UTC", next_step=remedy)

    async def _verified(self, store: Reader, vehicle: VehicleIdentifier | None) -> OwnMetadata:
        own = await verify_own_metadata(store, self._profile, vehicle)
        if own is None:
            whose = "the Image repository" if vehicle is None else f"vehicle {vehicle}"
            raise ProvisioningError(
                f"there is no metadata of {whose}", next_step="Restore it from a backup, or add it again."
            )
        return own

    async def _on_database(self, look: Callable[[AsyncEngine], Awaitable[str]]) -> str:
        require_existing(self._settings.database_url)
        engine = open_engine(self._settings.database_url)
        try:
            return await look(engine)
        finally:
            await engine.dispose()


def _require_private(file: Path) -> None:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise StorageError(
            f"{file} can be read or changed by others (mode {mode:04o})",
            next_step=f"Run: chmod 600 {file}",
            path=str(file),
        )


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise StorageError(f"{file} holds no certificate", next_step="Restore it from a backup.") from error


def _renewal(kind: str) -> str:
    if kind in ("Snapshot", "Timestamp"):
        return "Publish: see that a server runs, or add an image."
    return f"Sign {kind} again, where its key is; servers that have it do so."
