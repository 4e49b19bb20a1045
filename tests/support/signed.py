"""Reports, manifests and images as tests make them: by whoever holds the key that they choose."""

from datetime import datetime

from world import NOW, PRIMARY, VIN

from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.manifest_diff import DIFF_OF
from uptane.metadata.targets import Custom, ImageFile, MustMatch
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import Signer

FACTORY = b"factory image"
FRESH = b"Fresh firmware image"
EVIL = b"evil content"
PATH = "firmware.img"


def custom(counter: int | None = None, hardware: tuple[str, ...] | None = None) -> Custom:
    """Must-match data of an image."""
    ids = None if hardware is None else tuple(map(HardwareIdentifier, hardware))
    return Custom(must_match=MustMatch(release_counter=counter, hardware_ids=ids))


def factory_file() -> ImageFile:
    """The image that every ECU is made with."""
    return ImageFile(
        path=ImagePath("factory.img"), length=len(FACTORY), digests=Digests.of(FACTORY, ("sha256", "sha512"))
    )


def signed_report(
    profile: Profile,
    signer: Signer,
    ecu: EcuIdentifier,
    *,
    counter: int,
    nonce: int = 0,
    attacks: str = "",
    time: datetime = NOW,
    installed: ImageFile | None = None,
) -> bytes:
    """A version report as whoever holds `signer` can make one."""
    report = EcuVersionReport(
        ecu=ecu,
        installed=installed or factory_file(),
        attacks_detected=attacks,
        time=time,
        previous_time=time,
        counter=None if profile.unsafe_no_report_counter else counter,
        nonce=None if profile.unsafe_no_report_counter else nonce,
    )
    return sign(profile, report, [signer])


def signed_manifest(
    profile: Profile,
    signer: Signer,
    *reports: bytes,
    counter: int,
    vin: VehicleIdentifier = VIN,
    primary: EcuIdentifier = PRIMARY,
    diff_of: int | None = None,
) -> bytes:
    """A vehicle version manifest as whoever holds `signer` can make one."""
    envelopes = tuple(profile.format.decode(EcuVersionReport, raw) for raw in reports)
    number = None if profile.unsafe_no_report_counter else counter
    extensions = Extensions(() if diff_of is None else ((DIFF_OF, b"%d" % diff_of),))
    manifest = VehicleVersionManifest(
        vehicle=vin, primary=primary, reports=envelopes, counter=number, extensions=extensions
    )
    return sign(profile, manifest, [signer])
