"""Hypothesis strategies for every value that the archived formats carry."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from pouf1_samples import enveloped, public_key

from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.rules import FILEINFO_CUSTOM
from uptane.formats.profile import Format, Payload
from uptane.metadata.digests import Digests
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RoleName, VehicleIdentifier
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import NO_CUSTOM, Custom, EcuAssignment, Image, ImageFile, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

KEYS = tuple(public_key(number) for number in range(6))
TIMES = st.integers(min_value=1, max_value=2**32 - 1).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
VERSIONS = st.integers(min_value=1, max_value=2**31 - 1)
LENGTHS = st.integers(min_value=0, max_value=2**32 - 1)
NONCES = st.integers(min_value=0, max_value=2**31 - 1)


@st.composite
def digests(draw: st.DrawFn, functions: frozenset[str] | None = None) -> Digests:
    """SHA-256, SHA-512 or both."""
    chosen = functions or draw(st.sets(st.sampled_from(("sha256", "sha512")), min_size=1))
    sizes = {"sha256": 32, "sha512": 64}
    return Digests(tuple((name, draw(st.binary(min_size=sizes[name], max_size=sizes[name]))) for name in chosen))


LISTED = st.builds(MetadataFile, version=VERSIONS, length=LENGTHS, digests=digests(frozenset({"sha256"})))
VERSIONED = st.builds(MetadataFile, version=VERSIONS)


@st.composite
def der_roots(draw: st.DrawFn) -> Root:
    """Four keys, each of one role."""
    keys = dict(zip(Role, draw(st.permutations(KEYS)), strict=False))
    return Root(
        version=draw(VERSIONS),
        expires=draw(TIMES),
        keys={key.key_id: key for key in keys.values()},
        roles={role: RoleKeys(key_ids=(key.key_id,), threshold=1) for role, key in keys.items()},
        consistent_snapshot=False,
    )


@st.composite
def json_roots(draw: st.DrawFn) -> Root:
    """Any keys for any role, with any threshold."""
    roles = {}
    for role in Role:
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique_by=lambda key: key.key_id))
        threshold = draw(st.integers(min_value=1, max_value=len(keys)))
        roles[role] = RoleKeys(key_ids=tuple(key.key_id for key in keys), threshold=threshold)
    return Root(
        version=draw(VERSIONS),
        expires=draw(TIMES),
        keys={key.key_id: key for key in KEYS},
        roles=roles,
        consistent_snapshot=False,
    )


def payloads(wire: Format) -> st.SearchStrategy[Payload]:
    """Any signed value that the format carries."""
    names = st.text("aZ09-_ ~!" if wire is POUF1 else 'aZ09-_é漢😀"', min_size=1, max_size=8).filter(
        lambda name: name == name.strip()
    )
    paths = st.lists(names, min_size=1, max_size=3).map("/".join).map(ImagePath)
    ecus = names.map(EcuIdentifier)
    files = st.builds(ImageFile, path=paths, length=LENGTHS, digests=digests())
    custom = st.just(NO_CUSTOM) | ecus.map(lambda ecu: Custom(ecus={ecu: EcuAssignment()}))
    images = st.lists(st.builds(Image, file=files, custom=custom), max_size=4).map(
        lambda entries: {image.file.path: image for image in entries}
    )
    fileinfo = ecus.map(lambda ecu: Extensions(((FILEINFO_CUSTOM, _canonical({"ecu_serial": str(ecu)})),)))
    reports = st.builds(
        EcuVersionReport,
        ecu=ecus,
        installed=files,
        attacks_detected=st.just("") | st.lists(names, min_size=1, max_size=3).map("\n".join),
        time=TIMES,
        previous_time=TIMES,
        counter=st.none(),
        nonce=st.none(),
        extensions=st.just(NO_EXTENSIONS) if wire is POUF1 else st.just(NO_EXTENSIONS) | fileinfo,
    )
    return st.one_of(
        der_roots() if wire is POUF1 else json_roots(),
        st.builds(Timestamp, version=VERSIONS, expires=TIMES, snapshot=LISTED),
        st.builds(
            Snapshot,
            version=VERSIONS,
            expires=TIMES,
            files=st.dictionaries(names.map(RoleName), VERSIONED, max_size=3).map(
                lambda drawn: {RoleName("targets"): MetadataFile(version=1), **drawn}
            ),
            root=LISTED,
        ),
        st.builds(Targets, version=VERSIONS, expires=TIMES, images=images),
        st.builds(TimeAttestation, time=TIMES, nonces=st.lists(NONCES, max_size=4).map(tuple)),
        reports,
        st.builds(
            VehicleVersionManifest,
            vehicle=names.map(VehicleIdentifier),
            primary=ecus,
            reports=st.lists(reports, max_size=4).map(lambda drawn: enveloped(wire, *drawn)),
            counter=st.none(),
        ),
    )


def _canonical(value: dict[str, str]) -> bytes:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '\\"') + '"'

    return ("{" + ",".join(f"{quoted(name)}:{quoted(value[name])}" for name in sorted(value)) + "}").encode()
