"""Hypothesis strategies for every signed value."""

from datetime import UTC, datetime, timedelta

from der_samples import ed25519_key, keys_by_id
from hypothesis import strategies as st

from uptane.formats.der_format import DER
from uptane.formats.profile import Payload
from uptane.metadata.delegations import DelegatedRole, Delegation, Delegations
from uptane.metadata.digests import HASH_FUNCTIONS, Digests
from uptane.metadata.envelope import Envelope
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    ImagePath,
    PathPattern,
    RoleName,
    VehicleIdentifier,
)
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import (
    Custom,
    EcuAssignment,
    EncryptedImage,
    Image,
    ImageFile,
    MustMatch,
    Targets,
    WrappedKey,
)
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

NAMES = st.text("aZ09-_é漢😀", min_size=1, max_size=8)
BYTES = st.binary(max_size=40)
TIMES = st.integers(min_value=-62135596800, max_value=253402300799).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
VERSIONS = st.integers(min_value=1, max_value=2**31 - 1)
LENGTHS = st.integers(min_value=0, max_value=2**53 - 1)
KEYS = tuple(ed25519_key(number) for number in range(5))
EXTENSIONS = st.dictionaries(NAMES, BYTES, max_size=3).map(lambda entries: Extensions(tuple(entries.items())))
HARDWARE = NAMES.map(HardwareIdentifier)
ECUS = NAMES.map(EcuIdentifier)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def digests(draw: st.DrawFn) -> Digests:
    """One to three hashes."""
    functions = draw(st.sets(st.sampled_from(sorted(HASH_FUNCTIONS)), min_size=1))
    sized = {name: draw(st.binary(min_size=size, max_size=size)) for name, size in HASH_FUNCTIONS.items()}
    return Digests(tuple((name, sized[name]) for name in functions))


@st.composite
def role_keys(draw: st.DrawFn) -> RoleKeys:
    """Some of the keys, in any order, with any threshold."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique_by=lambda key: key.key_id))
    threshold = draw(st.integers(min_value=1, max_value=len(keys)))
    return RoleKeys(key_ids=tuple(key.key_id for key in keys), threshold=threshold)


FILES = st.builds(ImageFile, path=PATHS.map(ImagePath), length=LENGTHS, digests=digests())
METADATA_FILES = st.builds(MetadataFile, version=VERSIONS, length=st.none() | LENGTHS, digests=st.none() | digests())
ENCRYPTED = st.builds(
    EncryptedImage,
    file=FILES,
    method=NAMES,
    nonce=BYTES,
    wrapped_key=st.none() | st.builds(WrappedKey, method=NAMES, value=BYTES),
    extensions=EXTENSIONS,
)
ASSIGNMENTS = st.builds(
    EcuAssignment, hardware_id=st.none() | HARDWARE, encrypted=st.none() | ENCRYPTED, extensions=EXTENSIONS
)
MUST_MATCH = st.builds(
    MustMatch,
    release_counter=st.none() | LENGTHS,
    hardware_ids=st.none() | st.lists(HARDWARE, min_size=1, max_size=3, unique=True).map(tuple),
    extensions=EXTENSIONS,
)
CUSTOM = st.builds(
    Custom,
    must_match=MUST_MATCH,
    ecus=st.dictionaries(ECUS, ASSIGNMENTS, max_size=2),
    url=st.none() | NAMES,
    extensions=EXTENSIONS,
)
IMAGES = st.lists(st.builds(Image, file=FILES, custom=CUSTOM), max_size=3).map(
    lambda images: {image.file.path: image for image in images}
)


@st.composite
def delegations(draw: st.DrawFn) -> Delegations:
    """None, or some to one or several roles."""
    taken = draw(st.lists(st.integers(min_value=1, max_value=3), max_size=3))
    names = iter(draw(st.lists(NAMES, min_size=12, max_size=12, unique=True)))
    entries = []
    for size in taken:
        by_hash = draw(st.booleans())
        patterns = draw(st.lists(PATHS.map(PathPattern), max_size=2))
        prefixes = draw(st.lists(st.text("0123456789abcdef", min_size=1, max_size=8), max_size=2))
        hardware = draw(st.none() | st.lists(HARDWARE, max_size=2))
        roles = tuple(DelegatedRole(name=RoleName(f"r{next(names)}"), keys=draw(role_keys())) for _ in range(size))
        entries.append(
            Delegation(
                roles=roles,
                paths=() if by_hash else tuple(patterns),
                path_hash_prefixes=tuple(prefixes) if by_hash else (),
                hardware_ids=None if hardware is None else tuple(hardware),
                terminating=draw(st.booleans()),
                group=None if size == 1 else RoleName(f"g{next(names)}"),
                min_roles_in_agreement=draw(st.integers(min_value=1, max_value=size)),
                extensions=draw(EXTENSIONS),
            )
        )
    keys = keys_by_id(*KEYS) if entries or draw(st.booleans()) else {}
    return Delegations(keys=keys, delegations=tuple(entries), extensions=draw(EXTENSIONS))


SHARED = {
    "version": VERSIONS,
    "expires": TIMES,
    "vehicle": st.none() | NAMES.map(VehicleIdentifier),
    "extensions": EXTENSIONS,
}
ROOTS = st.builds(
    Root,
    **SHARED,
    keys=st.just(keys_by_id(*KEYS)),
    roles=st.fixed_dictionaries({role: role_keys() for role in Role}),
    consistent_snapshot=st.booleans(),
)
TIMESTAMPS = st.builds(Timestamp, **SHARED, snapshot=METADATA_FILES)
SNAPSHOTS = st.builds(
    Snapshot,
    **SHARED,
    files=st.tuples(st.dictionaries(NAMES.map(RoleName), METADATA_FILES, max_size=3), METADATA_FILES).map(
        lambda drawn: {**drawn[0], RoleName("targets"): drawn[1]}
    ),
)
TARGETS = st.builds(Targets, **SHARED, images=IMAGES, delegations=delegations())
NONCES = st.integers(min_value=0, max_value=2**31 - 1)
COUNTERS = st.integers(min_value=1, max_value=2**63 - 1)
ATTESTATIONS = st.builds(
    TimeAttestation, time=TIMES, nonces=st.lists(NONCES, max_size=4).map(tuple), extensions=EXTENSIONS
)
REPORTS = st.builds(
    EcuVersionReport,
    ecu=ECUS,
    installed=FILES,
    attacks_detected=st.just("") | NAMES,
    time=TIMES,
    previous_time=TIMES,
    counter=COUNTERS,
    nonce=NONCES,
    extensions=EXTENSIONS,
)


def _enveloped(report: EcuVersionReport) -> Envelope[EcuVersionReport]:
    return DER.decode(EcuVersionReport, DER.assemble(DER.encode(report), ()))


MANIFESTS = st.builds(
    VehicleVersionManifest,
    vehicle=NAMES.map(VehicleIdentifier),
    primary=ECUS,
    reports=st.lists(REPORTS, max_size=3, unique_by=lambda report: report.ecu).map(
        lambda reports: tuple(map(_enveloped, reports))
    ),
    counter=COUNTERS,
    extensions=EXTENSIONS,
)
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    ROOTS, TIMESTAMPS, SNAPSHOTS, TARGETS, ATTESTATIONS, REPORTS, MANIFESTS
)
