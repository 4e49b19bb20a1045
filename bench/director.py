"""A Director's Targets, Snapshot and Timestamp for a vehicle it has signed nothing for yet, beside `tuf`."""

import asyncio
import itertools
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from bench.figure import Figure
from bench.rounds import Program, Rounds
from bench.samples import NOW, MemoryFiles, image
from uptane.assembly.servers import director_over_folder
from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.planning import assignment_of, plan_targets
from uptane.director.ports import Assignment, EcuRecord
from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, Image, MustMatch
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher, new_root
from uptane.signing.signer import KeySigner

ECUS = 10
HARDWARE = HardwareIdentifier("gateway-mk3")


def director_sets(rounds: Rounds) -> list[Figure]:
    """The set of one vehicle after the other, ten ECUs each with an image of its own: (f)."""
    private = {role: Ed25519PrivateKey.generate() for role in Role}
    figures = []
    for name in ("json", "der"):
        ours, messages = _ours(name, private)
        programs = {"ours": ours, "tuf": _tuf(private), "bare": _bare(private, messages)}
        times = rounds.of(programs, repeat=20)
        figures += [
            Figure(
                name=f"director_{name}_to_tuf",
                what=f"(f) {name}: Targets, Snapshot and Timestamp of a fresh vehicle with {ECUS} ECUs",
                ours=times["ours"],
                other=times["tuf"],
                other_name="tuf (JSON)",
                most_ratio=1 / 2,
            ),
            Figure(
                name=f"director_{name}_to_bare",
                what=f"(f) {name}: the same",
                ours=times["ours"],
                other=times["bare"],
                other_name="its three signatures",
                most_ratio=1.6,
            ),
        ]
    return figures


def whole_publications(rounds: Rounds) -> list[Figure]:
    """A publication of the Director with its database and its folder, for information."""
    with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        return asyncio.run(_publications(Path(folder), rounds))


def fleet_images() -> list[Image]:
    """The images that the campaign gives to every vehicle, one for each kind of ECU."""
    must_match = MustMatch(release_counter=3, hardware_ids=(HARDWARE,))
    return [Image(file=image(number).file, custom=Custom(must_match=must_match)) for number in range(ECUS)]


def inventory_of(
    vehicle: VehicleIdentifier, images: list[Image], key: PublicKey
) -> tuple[list[Assignment], list[EcuRecord]]:
    """What the Director's database says of a vehicle."""
    ecus = [
        EcuRecord(
            vehicle=vehicle,
            ecu=EcuIdentifier(f"{vehicle}-ECU{number}"),
            key=key,
            is_primary=number == 0,
            hardware_id=HARDWARE,
        )
        for number in range(len(images))
    ]
    return [assignment_of(vehicle, ecu.ecu, given) for ecu, given in zip(ecus, images, strict=True)], ecus


def _ours(format_name: str, private: dict[Role, Ed25519PrivateKey]) -> tuple[Program, list[bytes]]:
    """Plan, encode, sign, assemble, and hand the files to a store in memory; every run is another vehicle."""
    profile, images = PROFILES[format_name], fleet_images()
    signers = {role: KeySigner(key) for role, key in private.items()}
    keyring = {signer.key.key_id: signer for signer in signers.values()}
    root = new_root({role: [signer] for role, signer in signers.items()})
    numbers = itertools.count()

    def fresh() -> tuple[Publisher, Published, list[Assignment], list[EcuRecord]]:
        vehicle = VehicleIdentifier(f"VIN{next(numbers):014d}")
        publisher = Publisher(
            store=MemoryFiles(), profile=profile, keyring=keyring, lifetimes=Lifetimes(), vehicle=vehicle
        )
        first = asyncio.run(publisher.publish(None, Draft(root=root), NOW))
        return publisher, Published(root=first.root), *inventory_of(vehicle, images, signers[Role.ROOT].key)

    # Made beforehand, because registration, the first Root and the database are not what is measured.
    vehicles = [fresh() for _ in range(64)]
    turns = itertools.cycle(vehicles)

    def issue() -> Published:
        publisher, before, assignments, ecus = next(turns)
        publisher.store.files.clear()  # type: ignore[attr-defined]
        draft = Draft(targets={TARGETS_ROLE: plan_targets(assignments, ecus)})
        return _finished(publisher.publish(before, draft, NOW))

    store = vehicles[0][0].store
    issue()
    assert isinstance(store, MemoryFiles)
    decoded = [
        profile.format.decode(kind, store.files[profile.metadata_name(role)]).message for role, kind in _kinds().items()
    ]
    return issue, decoded


def _kinds() -> dict[Role, Any]:
    from uptane.formats.profile import KINDS

    return {role: KINDS[role] for role in (Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)}


def _finished(coroutine: Coroutine[Any, Any, Published]) -> Published:
    """The result of a coroutine that waits for nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Published = stop.value
        return result
    raise RuntimeError("it waits")


def _bare(private: dict[Role, Ed25519PrivateKey], messages: list[bytes]) -> Program:
    """The signatures over the same three messages, with keys that are loaded."""
    pairs = list(zip((private[Role.TARGETS], private[Role.SNAPSHOT], private[Role.TIMESTAMP]), messages, strict=True))

    def sign() -> None:
        for key, message in pairs:
            key.sign(message)

    return sign


def _tuf(private: dict[Role, Ed25519PrivateKey]) -> Program:
    """The same three roles with `tuf`: values, signatures, compact files; hash and length listed in the parent role."""
    signers = {role: CryptoSigner(key) for role, key in private.items()}
    serializer = JSONSerializer(compact=True)
    images = fleet_images()
    numbers = itertools.count()

    def issue() -> list[bytes]:
        vin = f"VIN{next(numbers) % 64:014d}"
        listed = {}
        for number, each in enumerate(images):
            path = str(each.file.path)
            custom = {
                "must_match": {"release_counter": 3, "hardware_ids": [str(HARDWARE)]},
                "ecus": {f"{vin}-ECU{number}": {"hardware_id": str(HARDWARE)}},
            }
            hashes = {name: digest.hex() for name, digest in each.file.digests}
            listed[path] = TargetFile(each.file.length, hashes, path, {"custom": custom})
        targets = Metadata(
            Targets(1, expires=NOW + timedelta(days=91), targets=listed, unrecognized_fields={"vin": vin})
        )
        targets.sign(signers[Role.TARGETS])
        raw = targets.to_bytes(serializer)
        file = MetaFile.from_data(1, raw, ["sha256"])
        snapshot = Metadata(
            Snapshot(
                1,
                expires=NOW + timedelta(days=7),
                meta={"targets.json": file},
                unrecognized_fields={"vin": vin},
            )
        )
        snapshot.sign(signers[Role.SNAPSHOT])
        raw_snapshot = snapshot.to_bytes(serializer)
        timestamp = Metadata(
            Timestamp(
                1,
                expires=NOW + timedelta(days=1),
                snapshot_meta=MetaFile.from_data(1, raw_snapshot, ["sha256"]),
                unrecognized_fields={"vin": vin},
            )
        )
        timestamp.sign(signers[Role.TIMESTAMP])
        return [raw, raw_snapshot, timestamp.to_bytes(serializer)]

    return issue


async def _publications(folder: Path, rounds: Rounds) -> list[Figure]:
    private = {role: KeySigner(Ed25519PrivateKey.generate()) for role in Role}
    running = await director_over_folder(
        PROFILES["der"],
        folder,
        new_root({role: [signer] for role, signer in private.items()}),
        catalog=UNSAFE_NO_CATALOG,
    )
    director, images = running.director, fleet_images()
    director.add_signers(private.values())
    times: list[float] = []
    loop = asyncio.get_running_loop()
    for number in range(rounds.count):
        vehicle = VehicleIdentifier(f"VIN{number:014d}")
        await director.add_new_vehicle(vehicle, NOW)
        for position, given in enumerate(images):
            key = KeySigner(Ed25519PrivateKey.generate()).key
            ecu = EcuIdentifier(f"{vehicle}-ECU{position}")
            await director.register_ecu(
                vehicle=vehicle, ecu=ecu, key=key, is_primary=position == 0, hardware_id=HARDWARE
            )
            await director.assign(vehicle, ecu, given)
        started = loop.time()
        await director.publish(vehicle, NOW)
        times.append((loop.time() - started) * 1000)
    await running.close()
    times.sort()
    return [
        Figure(
            what="der: a whole publication of the Director: SQLite, what was published verified again, files, fsync",
            ours=times[len(times) // 2],
        )
    ]
