"""A vehicle under attack: files by whoever holds chosen keys are shown to its Primary, or by it to its Secondary."""

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from world import DIRECTOR, IMAGES, PRIMARY, TCU, listed

from uptane.formats.profile import KINDS, Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, RepositoryName, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, Targets
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.atomic_files import FileLayer
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.memory import MemoryImageSlots
from uptane.vehicle.distribution import pack

SUPPLIER, MAKER = RoleName("supplier"), RoleName("maker")
PATH = ImagePath("supplier/parts/abs.img")
OWN_PATH = ImagePath("supplier/parts/head.img")
"""The images of the Secondary and of the Primary."""

Place = tuple[RepositoryName, str]

TOP_LEVEL: list[Place] = [(name, str(role)) for name in (DIRECTOR, IMAGES) for role in Role]
"""The four roles of both repositories."""

DELEGATED: list[Place] = [(IMAGES, SUPPLIER), (IMAGES, MAKER)]
"""A supplier's role, and that of its own supplier."""

PLACES = [*TOP_LEVEL, *DELEGATED]
READERS = ["primary", "secondary"]


class Unsynced(FileLayer):
    """The real disk, without waiting for it: what is tested is a process that ends, and not the power that fails."""

    def fsync(self, file: int) -> None:
        """Returns at once."""


def on_disk(folder: Path) -> Callable[[], Device]:
    """Makes the parts of ECUs that remember in folders."""
    numbers = itertools.count()

    def make() -> Device:
        store = EcuStateFolder(folder / str(next(numbers)), layer=Unsynced())
        return Device(store, MemoryImageSlots(), new_device().signer)

    return make


def every(places: Sequence[Place], readers: Sequence[str] = READERS) -> pytest.MarkDecorator:
    """The test at each of these places, as each reader of them."""
    return pytest.mark.parametrize(
        ("place", "reader"),
        [pytest.param(place, reader, id=f"{'-'.join(place)}-{reader}") for place in places for reader in readers],
    )


class Stage:
    """A fleet, and a vehicle whose Secondary runs an image of a supplier's supplier.

    Args:
        profile: the wire format.
        reader: which ECU is shown what the test forges.
        hardware: of the Secondary, if it knows its own.
        device: makes the parts of each ECU.
        keys: of every role, all of which must sign.
    """

    def __init__(
        self,
        profile: Profile,
        reader: str = "primary",
        *,
        hardware: HardwareIdentifier | None = None,
        device: Callable[[], Device] | None = None,
        keys: int = 1,
    ) -> None:
        self.profile, self.reader = profile, reader
        self.fleet = Fleet(profile, keys=keys, threshold=keys)
        grant = self.fleet.grant
        self.suppliers = {SUPPLIER: grant(SUPPLIER, "supplier/*/*", keys=keys, threshold=keys)}
        self.suppliers[MAKER] = grant(MAKER, "supplier/parts/*", delegator=SUPPLIER, keys=keys, threshold=keys)
        self.shown: dict[tuple[RepositoryName, str], bytes | None] = {}
        self.content, self.releases, self.custom = b"", 0, NO_CUSTOM
        self.before: object = None
        self.fleet.add_vehicle()
        self.car = Vehicle(self.fleet, hardware_id=hardware, device=device)
        self.release()
        self.car.cycle()

    @property
    def ecu(self) -> Device:
        """The parts of the ECU that is attacked."""
        return self.car.device if self.reader == "primary" else self.car.tcu.device

    def renew(self) -> Image:
        """Both repositories sign every role anew, and release an image."""
        wait(self.fleet.images.renew())
        return self.release()

    def release(self, custom: Custom | None = None, ecu: EcuIdentifier = TCU) -> Image:
        """Both repositories sign for a new image, with this or the usual custom data, for the Secondary or another."""
        self.releases += 1
        content = b"release %d" % self.releases
        if ecu == TCU:
            self.content = content
        path = PATH if ecu == TCU else OWN_PATH
        image = wait(
            self.fleet.images.add_image(
                path, content, custom=custom or self.custom, role=MAKER, unsafe_lower_release=True
            )
        )
        wait(self.fleet.images.publish(self.fleet.now))
        self.fleet.direct(image, ecu)
        return image

    def signers(self, repository: RepositoryName, role: str) -> list[KeySigner]:
        """The genuine keys of a role."""
        if role in self.suppliers:
            return self.suppliers[RoleName(role)]
        return (self.fleet.director_keys if repository == DIRECTOR else self.fleet.image_keys)[Role(role)]

    def raw(self, repository: RepositoryName, role: str) -> bytes:
        """What is shown of a role: the forged file, or the published one."""
        for (name, file), raw in reversed(self.shown.items()):
            if name == repository and file.split(".")[-2] == role and raw is not None:
                return raw
        return self.fleet.file(repository, role)

    def payload(self, repository: RepositoryName, role: str) -> Any:
        """The payload of what is shown."""
        kind = KINDS[Role(role)] if role in set(Role) else Targets
        return self.profile.format.decode(kind, self.raw(repository, role)).payload

    def show(
        self, repository: RepositoryName, role: str, raw: bytes, version: int | None = None, *, relist: bool = True
    ) -> None:
        """Shows a file in the place of a newer one.

        Args:
            repository, role: which file.
            raw: its bytes.
            version: under which it stands; the next one when it is not given.
            relist: whether the roles above list it, genuinely signed, so that it is the only fault.
        """
        number = self.payload(repository, role).version + 1 if version is None else version
        named = None if role == Role.TIMESTAMP else number
        self.shown[repository, self.profile.metadata_name(role, named)] = raw
        if not relist or role in (Role.ROOT, Role.TIMESTAMP):
            return
        if role == Role.SNAPSHOT:
            self.forge(repository, Role.TIMESTAMP, snapshot=listed(raw, number))
        else:
            files = self.payload(repository, Role.SNAPSHOT).files
            self.forge(repository, Role.SNAPSHOT, files=dict(files) | {RoleName(role): listed(raw, number)})

    def withhold(self, repository: RepositoryName, role: str, version: int | None = None) -> None:
        """The file is there and is not shown."""
        self.shown[repository, self.profile.metadata_name(role, version)] = None

    def restart(self) -> None:
        """The ECU that is attacked comes up from its memory; one in a folder is opened anew."""
        if isinstance(self.ecu.store, EcuStateFolder):
            root = self.ecu.store._folder.path
            self.ecu.store.close()
            self.ecu.store = EcuStateFolder(root, layer=Unsynced())
        if self.reader == "primary":
            self.car.restart_primary()
        else:
            self.car.tcu.start()

    def forged(
        self, repository: RepositoryName, role: str, *, signers: Sequence[KeySigner] | None = None, **changes: object
    ) -> bytes:
        """The next version of a role with these changes, signed by these, or by the role's own keys."""
        old = self.payload(repository, role)
        new = structs.replace(old, **({"version": old.version + 1} | changes))
        return sign(self.profile, new, self.signers(repository, role) if signers is None else signers)

    def forge(
        self,
        repository: RepositoryName,
        role: str,
        *,
        signers: Sequence[KeySigner] | None = None,
        under: int | None = None,
        relist: bool = True,
        **changes: object,
    ) -> bytes:
        """Shows what `forged` makes, under the name of a version if one is given."""
        raw = self.forged(repository, role, signers=signers, **changes)
        self.show(repository, role, raw, under or changes.get("version"), relist=relist)  # type: ignore[arg-type]
        return raw

    def direct(self, *images: Image, **changes: object) -> None:
        """Whoever holds the Director's keys shows other assignments."""
        assigned = {image.file.path: image for image in images}
        self.forge(DIRECTOR, TARGETS_ROLE, images=assigned, **changes)

    @property
    def nonce(self) -> int:
        """What the next time attestation for the ECU that is attacked must answer."""
        ecu = self.car.primary if self.reader == "primary" else self.car.secondary
        return ecu.memory.state.nonce

    def attest(self, raw: bytes) -> None:
        """The ECU that is attacked gets this time attestation."""
        if self.reader == "primary":
            self.car.links.attestation = raw
        else:
            self.car.link.swapped_attestation = raw

    def bundle(self) -> dict[str, bytes]:
        """The files that the Primary hands to its Secondary."""
        with zipfile.ZipFile(io.BytesIO(self.car.primary.secondaries.get_metadata(TCU))) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def deliver(self) -> None:
        """What is shown reaches the ECU that is attacked."""
        if self.reader == "primary":
            self.car.links.altered |= self.shown
        elif self.shown:
            files: dict[str, bytes | None] = dict(self.bundle())
            files |= {f"{repository}/{name}": raw for (repository, name), raw in self.shown.items()}
            self.car.link.swapped_bundle = pack({name: raw for name, raw in files.items() if raw is not None})

    def handed_on(self) -> object:
        """What the Secondary can get from its Primary, and what lies in the slots of both."""
        primary = self.car.primary.secondaries
        slots = [
            {name: b"".join(device.slots.chunks(name) or ()) for name in getattr(device.slots, "_images", ())}
            for device in (self.car.device, self.car.tcu.device)
        ]
        return primary.get_metadata(TCU), primary.get_image(TCU), slots

    @contextmanager
    def refuses(
        self,
        expected: type[UptaneError],
        attack: Attack | None,
        *,
        new_roots: bool = False,
        undo: Callable[[], object] = bool,
        ecu: EcuIdentifier = TCU,
    ) -> Iterator[list[UptaneError]]:
        """The block is the attack, by forged files or by whatever it does to the links.

        The ECU refuses it and names it, trusts and runs byte for byte what it did, hands nothing on, tells the attack
        in its next version report, and then takes and installs a genuine release.

        Args:
            expected, attack: exactly the error that its cycle ends with, and the attack that it names.
            new_roots: genuine new Roots come with the attack, and are kept.
            undo: what else has to happen before a clean cycle.
            ecu: which ECU gets the genuine release.
        """
        self.before = self.handed_on()

        def repair() -> None:
            assert self.handed_on() == self.before
            undo()
            self.release(ecu=ecu)

        refuse = self.car.primary_refuses if self.reader == "primary" else self.car.secondary_refuses
        with refuse(expected, undo=repair, new_roots=new_roots) as errors:
            yield errors
            self.deliver()
        self.shown.clear()
        assert errors[0].attack is attack
        assert self.car.running() == self.content

    def inventory(self) -> object:
        """What the Director keeps of the vehicle."""
        director, ecus = self.fleet.director, (PRIMARY, TCU)
        records = [wait(director.ecu(ecu)) for ecu in ecus]
        return wait(director.vehicle(self.car.vin)), records, [self.fleet.reports(ecu) for ecu in ecus]

    def refuses_manifest(self, raw: bytes, expected: type[UptaneError], attack: Attack | None, **sender: str) -> None:
        """The Director refuses a manifest and names the attack, keeps what it had, and takes the next genuine one."""
        claimed = {"vehicle": self.car.vin, "primary": PRIMARY} | sender
        before = self.inventory()
        with pytest.raises(UptaneError) as refusal:
            wait(self.fleet.director.receive_manifest(**claimed, raw=raw, now=self.fleet.now))  # type: ignore[arg-type]
        assert (type(refusal.value), refusal.value.attack) == (expected, attack), repr(refusal.value)
        assert self.inventory() == before
        self.release()
        self.car.cycle()
        assert self.inventory() != before
        assert self.car.running() == self.content

    def refuses_report(self, raw: bytes, expected: type[UptaneError], attack: Attack | None, nonce: int = 0) -> None:
        """The Primary refuses a report and names the attack, keeps what it had, and hands on the next genuine one."""
        memory, door = self.car.primary.memory, self.car.primary.secondaries
        before = {name: memory.read(name) for name in memory.names("")}, self.handed_on()
        with pytest.raises(UptaneError) as refusal:
            door.register_ecu_manifest(self.car.vin, TCU, nonce, raw)
        assert (type(refusal.value), refusal.value.attack) == (expected, attack), repr(refusal.value)
        assert ({name: memory.read(name) for name in memory.names("")}, self.handed_on()) == before
        accepted = len(self.fleet.reports(TCU))
        self.release()
        self.car.cycle()
        self.car.primary.update_cycle()
        assert len(self.fleet.reports(TCU)) > accepted
        assert self.car.running() == self.content
