"""The walkthrough as data: what is typed in which window, why, and which banner must appear."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from uptane.demonstration.banners import Banner
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    SecurityError,
)
from uptane.metadata.root import Role

VIN = "democar"
ECU = "TCUdemocar"
FIRMWARE = "firmware.img"
FRESH = "Fresh firmware image"
EVIL = "evil content"
SUPPLIED = "supplier/brakes.img"
WEAK_ECU = "33333"
LAMP = "lamp.img"
DISCREET_ECU = "44444"
CONFIDENTIAL = "secret/radio.img"


@dataclass(frozen=True, slots=True)
class Call:
    """One line typed in a window: `di.`, `dd.` and `dt.` in the services', `dp.`, `ds.` and `ds2.` in the ECUs'.

    Args:
        name, args, kwargs: what is typed.
        shows: the banner that must appear.
        because: the check that must refuse the attack, and for which role or image: another one does not show that
            this one is there.
    """

    name: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    shows: Banner | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A section of the walkthrough.

    Args:
        section: its number, or a word.
        title: what it is called.
        why: what the reader should know before it runs.
        calls: what is typed; exactly the banners and the checks that they name must appear, in that order.
    """

    section: str
    title: str
    why: str
    calls: tuple[Call, ...]


PRIMARY = Call("dp.update_cycle")
SECONDARY = Call("ds.update_cycle")


def _refused(error: type[SecurityError], subject: str) -> Call:
    banner = Banner.REPLAY if error is ReplayedMetadataError else Banner.DEFENDED
    return Call("dp.update_cycle", shows=banner, because=f"{error.code} {subject}")


def _secondary(banner: Banner) -> Call:
    return Call("ds.update_cycle", shows=banner)


STEPS: tuple[Step, ...] = (
    Step(
        "1",
        "Starting",
        "Services, a Primary and a Secondary start. The Director has directed nothing yet.",
        (
            Call("dp.clean_slate"),
            PRIMARY,
            Call("ds.clean_slate", kwargs={"primary_port": "$PRIMARY_PORT"}),
            _secondary(Banner.NO_UPDATE),
        ),
    ),
    Step(
        "2",
        "Delivering an update",
        "An image is signed on the Image repository, then assigned to the Secondary by the Director.",
        (
            Call("di.add_target_and_write_to_live", kwargs={"filename": FIRMWARE, "file_content": FRESH}),
            Call("dd.add_target_to_director", (FIRMWARE, FIRMWARE, VIN, ECU)),
            Call("dd.write_to_live", kwargs={"vin_to_update": VIN}),
            PRIMARY,
            _secondary(Banner.UPDATED),
        ),
    ),
    Step(
        "3.1",
        "Arbitrary package attack on the Director, no keys",
        "A man in the middle alters the image that the Director hosts. No signed metadata lists such bytes.",
        (
            Call("dd.mitm_arbitrary_package_attack", (VIN, FIRMWARE)),
            _refused(BadHashError, FIRMWARE),
            Call("dd.undo_mitm_arbitrary_package_attack", (VIN, FIRMWARE)),
            PRIMARY,
        ),
    ),
    Step(
        "3.2",
        "Arbitrary package attack on the Image repository, no keys",
        "The same on the Image repository's side.",
        (
            Call("di.mitm_arbitrary_package_attack", (FIRMWARE,)),
            _refused(BadHashError, FIRMWARE),
            Call("di.undo_mitm_arbitrary_package_attack", (FIRMWARE,)),
            PRIMARY,
        ),
    ),
    Step(
        "3.3",
        "Replay attack, no keys",
        "An old, once genuine Timestamp is put in place of the newer one that the Primary has seen.",
        (
            Call("dd.backup_timestamp", (VIN,)),
            Call("dd.write_to_live", (VIN,)),
            PRIMARY,
            Call("dd.replay_timestamp", (VIN,)),
            _refused(ReplayedMetadataError, Role.TIMESTAMP),
            Call("dd.restore_timestamp", (VIN,)),
        ),
    ),
    Step(
        "3.4",
        "Arbitrary package attack with stolen Director keys",
        "The thief signs for an evil image. The Image repository has signed another one under that name.",
        (
            Call(
                "dd.add_target_and_write_to_live",
                kwargs={"filename": FIRMWARE, "file_content": EVIL, "vin": VIN, "ecu_serial": ECU},
            ),
            _refused(RepositoryMismatchError, FIRMWARE),
        ),
    ),
    Step(
        "3.5",
        "Arbitrary package attack with the keys of both repositories",
        "With the keys of both repositories nothing tells evil from good: this attack succeeds.",
        (
            Call("di.add_target_and_write_to_live", kwargs={"filename": FIRMWARE, "file_content": EVIL}),
            PRIMARY,
            _secondary(Banner.COMPROMISED),
        ),
    ),
    Step(
        "3.6",
        "Recovering from the theft",
        "The offline Root keys revoke the stolen keys and name new ones; the good image is signed again.",
        (
            Call("di.revoke_compromised_keys"),
            Call("di.add_target_and_write_to_live", kwargs={"filename": FIRMWARE, "file_content": FRESH}),
            Call("dd.revoke_compromised_keys"),
            Call(
                "dd.add_target_and_write_to_live",
                kwargs={"filename": FIRMWARE, "file_content": FRESH, "vin": VIN, "ecu_serial": ECU},
            ),
            PRIMARY,
            _secondary(Banner.UPDATED),
        ),
    ),
    Step(
        "3.7",
        "Arbitrary package attack with revoked keys",
        "The thief signs once more with the keys that were revoked.",
        (
            Call("dd.sign_with_compromised_keys_attack", (VIN,)),
            _refused(BadSignatureError, Role.TIMESTAMP),
            Call("dd.undo_sign_with_compromised_keys_attack", (VIN,)),
        ),
    ),
    Step(
        "end",
        "Back to normal",
        "What the revoked keys signed left no trace: nothing is to be done.",
        (PRIMARY, _secondary(Banner.NO_UPDATE_NEEDED)),
    ),
)
"""The walkthrough: ten banners in this order."""

PARTIAL_STEPS: tuple[Step, ...] = (
    Step(
        "partial",
        "A Secondary with partial verification",
        "A weak ECU sees the Director's Root and Targets only. Its Primary has verified both repositories.",
        (
            Call(
                "ds2.clean_slate",
                kwargs={"ecu_serial": WEAK_ECU, "primary_port": "$PRIMARY_PORT", "partial_verifying": True},
            ),
            Call("di.add_target_and_write_to_live", kwargs={"filename": LAMP, "file_content": FRESH}),
            Call("dd.add_target_and_write_to_live", (LAMP, FRESH, VIN, WEAK_ECU)),
            PRIMARY,
            Call("ds2.update_cycle", shows=Banner.UPDATED),
        ),
    ),
    Step(
        "in between",
        "Stolen Director keys, and then the Primary too",
        "The Primary passes no evil image on. A thief who holds it too fools the partial Secondary, not the full one.",
        (
            Call("dd.add_target_and_write_to_live", (LAMP, EVIL, VIN, WEAK_ECU)),
            Call("dd.add_target_to_director", (LAMP, LAMP, VIN, ECU)),
            Call("dd.write_to_live", (VIN,)),
            _refused(RepositoryMismatchError, LAMP),
            Call("ds2.update_cycle", shows=Banner.NO_UPDATE_NEEDED),
            Call(
                "ds.ATTACK_update_from_hostile_primary",
                shows=Banner.DEFENDED,
                because=f"{RepositoryMismatchError.code} {LAMP}",
            ),
            Call("ds2.ATTACK_update_from_hostile_primary", shows=Banner.COMPROMISED),
        ),
    ),
    Step(
        "followed",
        "A partial Secondary follows the Director's Root",
        "Root names new keys, and both Secondaries learn of it. The thief in the Primary signs with the old ones.",
        (
            Call("dd.revoke_compromised_keys"),
            Call("dd.add_target_and_write_to_live", (LAMP, FRESH, VIN, WEAK_ECU)),
            Call("dd.add_target_to_director", (FIRMWARE, FIRMWARE, VIN, ECU)),
            Call("dd.write_to_live", (VIN,)),
            PRIMARY,
            Call("ds2.update_cycle", shows=Banner.UPDATED),
            _secondary(Banner.NO_UPDATE_NEEDED),
            Call("dd.sign_with_compromised_keys_attack", (VIN,)),
            Call(
                "ds2.ATTACK_update_from_hostile_primary",
                shows=Banner.DEFENDED,
                because=f"{BadSignatureError.code} {Role.TARGETS}",
            ),
            Call("dd.undo_sign_with_compromised_keys_attack", (VIN,)),
        ),
    ),
)
"""Beyond the walkthrough's ten: what partial verification can do and what it cannot."""

SUPPLIER_STEPS: tuple[Step, ...] = (
    Step(
        "supplier",
        "A supplier signs its own image",
        "The Image repository delegates supplier/* to a role with a key of its own, which signs an image.",
        (
            Call("di.delegate", ("supplier", ["supplier/*"])),
            Call("di.add_target_to_role", ("supplier", FIRMWARE, SUPPLIED)),
            Call("di.write_to_live"),
            Call("dd.add_target_to_director", (FIRMWARE, SUPPLIED, VIN, ECU)),
            Call("dd.write_to_live", (VIN,)),
            PRIMARY,
            _secondary(Banner.UPDATED),
        ),
    ),
    Step(
        "stolen",
        "The supplier's key is stolen",
        "The thief signs an evil image as the supplier. The Director never directed it.",
        (
            Call("di.sign_with_stolen_supplier_key_attack", ("supplier", SUPPLIED)),
            _refused(RepositoryMismatchError, SUPPLIED),
            Call("di.undo_sign_with_stolen_supplier_key_attack"),
        ),
    ),
    Step(
        "revoked",
        "The supplier's key is revoked",
        "Whoever delegated it trusts a new key instead. The good image is signed again; the thief tries once more.",
        (
            Call("di.revoke_delegated_keys", ("supplier",)),
            Call("di.add_target_to_role", ("supplier", FIRMWARE, SUPPLIED)),
            Call("di.write_to_live"),
            PRIMARY,
            _secondary(Banner.NO_UPDATE_NEEDED),
            Call("di.sign_with_stolen_supplier_key_attack", ("supplier", SUPPLIED)),
            _refused(BadSignatureError, "supplier"),
        ),
    ),
)
"""Beyond the walkthrough's ten: the stolen supplier key of its note in 3.5."""

ENCRYPTED_STEPS: tuple[Step, ...] = (
    Step(
        "encrypted",
        "An image that one ECU alone can read",
        "The Image repository lists the image and does not host it. The Director encrypts it; the Primary hands it on.",
        (
            Call(
                "ds2.clean_slate",
                kwargs={"ecu_serial": DISCREET_ECU, "primary_port": "$PRIMARY_PORT", "encrypted_images": True},
            ),
            Call("di.list_target_at_imagerepo", (FIRMWARE, CONFIDENTIAL)),
            Call("di.write_to_live"),
            Call("dd.add_encrypted_target_to_director", (FIRMWARE, CONFIDENTIAL, VIN, DISCREET_ECU)),
            Call("dd.write_to_live", (VIN,)),
            PRIMARY,
            Call("ds2.update_cycle", shows=Banner.UPDATED),
        ),
    ),
)
"""Beyond the walkthrough's ten: an encrypted image."""
