"""Values refuse what the Standard does not allow, so that nobody has to check again."""

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import structs
from world import FAR, NOW, PRIMARY, TCU, VIN, delegation, delegations, image, keys_of, new_signer, targets

from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import MAX_DELEGATIONS, Delegation, Delegations
from uptane.metadata.digests import HASH_FUNCTIONS, Digests
from uptane.metadata.envelope import MAX_SIGNATURE_BYTES, MAX_SIGNATURES, Envelope, Signature, check_signatures
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    MixAndMatchError,
    SecurityError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.metadata.extensions import MAX_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, KeyId, PathPattern, RoleName
from uptane.metadata.repository_map import (
    MAX_MAPPINGS,
    MAX_REPOSITORIES,
    MappedRepository,
    Mapping,
    RepositoryKind,
    RepositoryMap,
)
from uptane.metadata.root import MAX_KEYS, MAX_VERSION, Common, Role, RoleKeys, check_keys
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import (
    MAX_LENGTH,
    Custom,
    EncryptedImage,
    ImageFile,
    MustMatch,
    WrappedKey,
    check_length,
)
from uptane.metadata.time_attestation import MAX_NONCES, TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import MAX_REPORTS, VehicleVersionManifest
from uptane.metadata.version_report import MAX_COUNTER, MAX_NONCE, EcuVersionReport
from uptane.signing.publish import new_root

FILE = ImageFile(path=ImagePath("a.img"), length=1, digests=Digests.of(b"a"))
REPORT = EcuVersionReport(ecu=TCU, installed=FILE, attacks_detected="", time=NOW, previous_time=NOW, counter=1, nonce=0)
ROOT = new_root({role: [new_signer()] for role in Role})
BAD_NUMBERS = [0, -1, 1.0, 1.5, "1", None, True, pytest.param(10**1_000_000, id="a million digits")]


def tree(kind: type[UptaneError]) -> list[type[UptaneError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in tree(child))]


@pytest.mark.standard("STD-5.4.4.2-20")
@pytest.mark.parametrize("kind", tree(UptaneError))
def test_every_error_has_a_code_a_cause_and_survives_a_process_border(kind: type[UptaneError]) -> None:
    error = kind("it went wrong", next_step="Try again.", role="targets", expected=2)
    assert error.code.startswith("E-")
    assert str(error).startswith("it went wrong.") and str(error).endswith(" Try again.")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), copy.facts) == (kind, str(error), error.facts)


@pytest.mark.standard("STD-5.4.4.2-21")
def test_an_error_names_its_attack_where_there_is_one() -> None:
    assert str(MixAndMatchError("x")) == "x. [mix-and-match attack]"
    assert str(FormatError("x")) == "x."
    assert "register" in str(UnknownVehicleError("x")).lower()
    assert BadSignatureError("x").attack is Attack.ARBITRARY_SOFTWARE
    codes = [kind.code for kind in tree(SecurityError)]
    assert len(set(codes)) == len(codes), "one code, one kind of refusal"


@pytest.mark.standard("STD-5.2.1-7")
@pytest.mark.parametrize("version", [*BAD_NUMBERS, MAX_VERSION + 1])
def test_a_version_is_an_integer_from_1_to_31_bits(version: object) -> None:
    with pytest.raises(FormatError) as refusal:
        Common(version=version, expires=NOW)  # type: ignore[arg-type]
    assert len(str(refusal.value)) < 200
    with pytest.raises(FormatError):
        MetadataFile(version=version)  # type: ignore[arg-type]


@pytest.mark.standard("STD-5.2.1-6")
def test_a_time_has_a_zone_and_whole_seconds_and_is_kept_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert Common(version=1, expires=datetime(2026, 1, 1, 2, tzinfo=east)).expires == datetime(2026, 1, 1, tzinfo=UTC)
    for time in (NOW.replace(tzinfo=None), NOW.replace(microsecond=1)):
        with pytest.raises(FormatError):
            Common(version=1, expires=time)


@pytest.mark.standard("STD-5.2.2-3")
@pytest.mark.parametrize("threshold", [*BAD_NUMBERS, 3])
def test_a_threshold_can_be_met_and_asks_for_a_key(threshold: object) -> None:
    """CVE-2026-23992: a threshold of 0 turned verification off."""
    ids = tuple(new_signer().key.key_id for _ in range(2))
    with pytest.raises(FormatError):
        RoleKeys(key_ids=ids, threshold=threshold)  # type: ignore[arg-type]


@pytest.mark.standard("STD-5.2.2-3", "STD-5.2.3.2-10")
def test_a_role_has_keys_and_each_once() -> None:
    key_id = new_signer().key.key_id
    for key_ids in ((), (key_id, key_id)):
        with pytest.raises(FormatError):
            RoleKeys(key_ids=key_ids, threshold=1)


@pytest.mark.standard("STD-5.2.2-2")
def test_root_lists_one_key_under_one_identifier() -> None:
    """CVE-2020-15093: the same key under two identifiers met a threshold of two."""
    key, other = new_signer().key, new_signer().key
    with pytest.raises(FormatError):
        structs.replace(ROOT, keys=dict(ROOT.keys) | {key.key_id: key, other.key_id: key})


@pytest.mark.standard("STD-5.2.2-1", "STD-5-3")
def test_root_has_all_four_roles_and_their_keys() -> None:
    with pytest.raises(FormatError) as refusal:
        structs.replace(ROOT, roles={role: keys for role, keys in ROOT.roles.items() if role is not Role.TIMESTAMP})
    assert refusal.value.facts["role"] == "timestamp"
    with pytest.raises(FormatError):
        structs.replace(ROOT, keys={})
    with pytest.raises(FormatError):
        check_keys({KeyId(f"{n:064x}"): new_signer().key for n in range(1)} | _many_keys(), {})


def _many_keys() -> dict[KeyId, object]:
    return {KeyId(f"{n + 1:064x}"): object() for n in range(MAX_KEYS)}


@pytest.mark.parametrize(
    "items",
    [
        (),
        (("md5", b"\0" * 16),),
        (("sha256", b"\0" * 31),),
        (("sha512", b"\0" * 32),),
        (("sha256", b"\0" * 32), ("sha256", b"\1" * 32)),
        (("sha256", b"\0" * 32), ("crc32", b"\0" * 4)),
    ],
)
def test_hashes_are_of_known_functions_and_at_least_one(items: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(FormatError):
        Digests(items)


@pytest.mark.parametrize("wrong", HASH_FUNCTIONS)
def test_every_hash_must_match(wrong: str) -> None:
    good = Digests.of(b"image", HASH_FUNCTIONS)
    assert good.matches(b"image") and not good.matches(b"imagf")
    flipped = Digests(tuple((name, digest[:-1] + b"\0" if name == wrong else digest) for name, digest in good))
    assert flipped == good or not flipped.matches(b"image")
    assert good["sha256"] == dict(good)["sha256"]


@pytest.mark.parametrize("length", [-1, MAX_LENGTH + 1, 1.0, True, None, "1"])
def test_a_length_is_an_integer_that_every_reader_holds(length: object) -> None:
    with pytest.raises(FormatError):
        check_length(length)


def test_signatures_are_few_small_and_one_for_each_key() -> None:
    """CVE-2020-6173: thousands of signatures stalled the client."""
    one = Signature(key_id=new_signer().key.key_id, value=b"s")
    many = tuple(Signature(key_id=KeyId(f"{n:064x}"), value=b"") for n in range(MAX_SIGNATURES + 1))
    assert check_signatures((one,)) == (one,)
    assert check_signatures(many[1:]) == many[1:]
    other, oversize = (structs.replace(one, value=value) for value in (b"t", b"\0" * (MAX_SIGNATURE_BYTES + 1)))
    for bad in (many, (one, other), (oversize,)):
        with pytest.raises(FormatError):
            check_signatures(bad)


def test_extensions_are_few_and_each_once() -> None:
    assert Extensions((("b", b"2"), ("a", b"1"))).items == (("a", b"1"), ("b", b"2"))
    assert Extensions((("a", b"1"),)).as_dict() == {"a": b"1"}
    many = tuple((f"e{n}", b"1") for n in range(MAX_EXTENSIONS + 1))
    for bad in (many, (("a", b"1"), ("a", b"2")), (("", b"1"),), (("a\n", b"1"),)):
        with pytest.raises(FormatError):
            Extensions(bad)


SIGNERS = [new_signer() for _ in range(3)]
PAIR = {"a": SIGNERS[:1], "b": SIGNERS[1:2]}


@pytest.mark.standard("STD-5.1.2.1-2", "STD-5.4.4.8-1")
@pytest.mark.parametrize(
    "other",
    [
        {"roles": ()},
        {"roles": delegation("a", SIGNERS).roles * 2},
        {"path_hash_prefixes": ("ab",)},
        {"paths": (), "path_hash_prefixes": ("",)},
        {"paths": (), "path_hash_prefixes": ("AB",)},
        {"paths": (), "path_hash_prefixes": ("0" * 65,)},
        {"group": RoleName("g")},
        {"min_roles_in_agreement": 0},
        {"min_roles_in_agreement": 2},
        {"min_roles_in_agreement": True},
    ],
)
def test_a_delegation_that_cannot_be_meant_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        structs.replace(delegation("a", SIGNERS, paths=["*"]), **other)


@pytest.mark.standard("STD-5.2.3.2-9")
@pytest.mark.parametrize("role", list(Role))
def test_a_delegated_role_cannot_take_the_name_of_a_top_level_role(role: Role) -> None:
    with pytest.raises(FormatError):
        delegation(str(role), SIGNERS)


@pytest.mark.parametrize("name", ["2.root", "1.targets", "10.supplier.x", "0.a"])
def test_a_delegated_role_cannot_be_named_like_a_version_of_another_roles_file(name: str) -> None:
    """Its file would replace version 2 of Root, which every client asks for."""
    with pytest.raises(FormatError):
        delegation(name, SIGNERS)


@pytest.mark.parametrize("name", ["v2.root", "supplier.1", "2root", "2"])
def test_a_delegated_role_may_have_numbers_elsewhere(name: str) -> None:
    assert delegation(name, SIGNERS).roles[0].name == name


@pytest.mark.standard("STD-5.2.3.2-9", "STD-5.2.3.2-4", "STD-5.2.3.2-10", "STD-5.1.2.1-2")
def test_delegations_name_each_role_and_group_once_and_list_its_keys() -> None:
    one, group = delegation("c", SIGNERS[2:]), delegation(PAIR, group="g", agree=2)
    assert [role.name for role in delegations(SIGNERS, one, group).roles] == ["c", "a", "b"]
    twin = delegation({"d": SIGNERS[:1], "e": SIGNERS[1:2]}, group="g", agree=2)
    for items in ((one, one), (group, twin)):
        with pytest.raises(FormatError):
            delegations(SIGNERS, *items)
    with pytest.raises(FormatError):
        delegations(SIGNERS[:1], one)
    with pytest.raises(FormatError):
        many = (delegation(f"r{n}", SIGNERS[:1]) for n in range(MAX_DELEGATIONS + 1))
        Delegations(keys={SIGNERS[0].key.key_id: SIGNERS[0].key}, delegations=tuple(many))
    assert not Delegations() and delegations(SIGNERS) and delegations(SIGNERS, one)


@pytest.mark.standard("STD-5.4.4.7-7", "STD-5.2.3.2-6", "STD-5.2.3.2-7")
def test_a_delegation_covers_paths_and_hardware() -> None:
    image_path, digest = "a.img", "ab" * 32
    any_hardware = delegation("a", SIGNERS, paths=["*.img"])
    for_a = delegation("a", SIGNERS, paths=["*.img"], hardware=["A"])
    for_none = delegation("a", SIGNERS, paths=["*.img"], hardware=[])
    assert any_hardware.covers(image_path, digest, frozenset({"B"}))
    assert for_a.covers(image_path, digest, frozenset({"A"})) and for_a.covers(image_path, digest, None)
    assert not for_a.covers(image_path, digest, frozenset({"B"}))
    assert not for_a.covers(image_path, digest, frozenset({"A", "B"}))
    assert not for_none.covers(image_path, digest, frozenset({"A"}))
    assert not delegation("a", SIGNERS).covers(image_path, digest, None), "no path, no image"
    binned = delegation("a", SIGNERS, path_hash_prefixes=("00", "aba"))
    assert binned.covers(image_path, digest, None) and not binned.covers(image_path, "b" * 64, None)


def test_snapshot_lists_the_top_level_targets() -> None:
    with pytest.raises(FormatError):
        Snapshot(version=1, expires=FAR, files={})
    with pytest.raises(FormatError):
        MetadataFile(version=1, length=-1)


@pytest.mark.standard("STD-5.2.5-2")
def test_a_timestamp_without_a_hash_is_noticed() -> None:
    with pytest.raises(FormatError):
        Timestamp(version=1, expires=FAR, snapshot=MetadataFile(version=1)).require_hash()


def test_images_and_custom_data_are_within_bounds() -> None:
    with pytest.raises(FormatError):
        MustMatch(release_counter=-1)
    with pytest.raises(FormatError):
        MustMatch(release_counter=True)
    with pytest.raises(FormatError):
        MustMatch(hardware_ids=())
    with pytest.raises(FormatError):
        MustMatch(hardware_ids=(HardwareIdentifier("A"), HardwareIdentifier("A")))
    assert MustMatch(hardware_ids=(HardwareIdentifier("B"), HardwareIdentifier("A"))).hardware_ids == ("A", "B")
    with pytest.raises(FormatError):
        Custom(url="")
    with pytest.raises(FormatError):
        EncryptedImage(file=FILE, method="")
    with pytest.raises(FormatError):
        WrappedKey(method="x" * 65, value=b"")
    assert targets(image("a", b"1")).images[ImagePath("a")].file.length == 1


@pytest.mark.parametrize(
    "change",
    [
        {"counter": 0},
        {"counter": MAX_COUNTER + 1},
        {"counter": True},
        {"nonce": -1},
        {"nonce": MAX_NONCE + 1},
        {"attacks_detected": "x" * 1025},
        {"attacks_detected": "a\rb"},
        {"time": NOW.replace(microsecond=5)},
        {"previous_time": NOW.replace(tzinfo=None)},
    ],
)
def test_a_version_report_is_within_bounds(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        structs.replace(REPORT, **change)


@pytest.mark.parametrize("change", [{"counter": None}, {"nonce": None}, {"attacks_detected": "a\nb"}])
def test_what_only_older_formats_may_lack_or_hold_is_asked_for(change: dict[str, object]) -> None:
    report = structs.replace(REPORT, **change)
    with pytest.raises(FormatError):
        report.require_one_line(), report.require_freshness()


def test_a_vehicle_manifest_holds_one_report_for_each_ecu_in_order() -> None:
    def envelope(ecu: str) -> Envelope[EcuVersionReport]:
        report = structs.replace(REPORT, ecu=EcuIdentifier(ecu))
        return Envelope(payload=report, message=b"", signatures=(), raw=ecu.encode())

    manifest = VehicleVersionManifest(vehicle=VIN, primary=PRIMARY, reports=(envelope("b"), envelope("a")), counter=1)
    assert [report.payload.ecu for report in manifest.reports] == ["a", "b"]
    with pytest.raises(FormatError):
        structs.replace(manifest, reports=tuple(envelope(f"e{n}") for n in range(MAX_REPORTS + 1)))
    with pytest.raises(FormatError):
        structs.replace(manifest, reports=(envelope("a"), envelope("a"))).require_one_report_each()
    with pytest.raises(FormatError):
        structs.replace(manifest, counter=0)


def test_a_time_attestation_has_whole_seconds_and_few_nonces() -> None:
    assert TimeAttestation(time=NOW, nonces=()).nonces == ()
    for nonces in ((-1,), ([],), (0,) * (MAX_NONCES + 1)):
        with pytest.raises(FormatError):
            TimeAttestation(time=NOW, nonces=nonces)  # type: ignore[arg-type]


def repository(name: str, kind: RepositoryKind) -> MappedRepository:
    return MappedRepository(name=name, kind=kind, urls=("http://127.0.0.1/",))  # type: ignore[arg-type]


DIRECTOR_ = repository("director", RepositoryKind.DIRECTOR)
IMAGES_ = repository("imagerepo", RepositoryKind.IMAGE)


@pytest.mark.standard("STD-5.2.6-6")
def test_the_map_covers_every_image_in_the_basic_case() -> None:
    basic = RepositoryMap.basic(director=DIRECTOR_, image_repository=IMAGES_)
    assert basic.mappings[0].covers("a/b/c") and basic.mappings[0].covers("a")
    assert basic.of_kind(RepositoryKind.IMAGE) == {IMAGES_.name}
    narrow = Mapping(paths=(PathPattern("a/*"),), repositories=(IMAGES_.name,))
    assert narrow.covers("a/b") and not narrow.covers("a/b/c")


@pytest.mark.parametrize(
    "change",
    [
        {"repositories": (DIRECTOR_,)},
        {"repositories": (DIRECTOR_, IMAGES_, IMAGES_)},
        {
            "repositories": (
                DIRECTOR_,
                *(repository(f"r{n}", RepositoryKind.IMAGE) for n in range(MAX_REPOSITORIES)),
            )
        },
        {"mappings": ()},
        {"mappings": (Mapping(paths=(), repositories=(IMAGES_.name,)),)},
        {"mappings": (Mapping(paths=(PathPattern("*"),), repositories=()),)},
        {"mappings": (Mapping(paths=(PathPattern("*"),), repositories=("other",)),)},  # type: ignore[arg-type]
        {"mappings": (Mapping(paths=(PathPattern("*"),), repositories=(IMAGES_.name,)),) * (MAX_MAPPINGS + 1)},
    ],
)
def test_a_map_that_leads_nowhere_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        structs.replace(RepositoryMap.basic(director=DIRECTOR_, image_repository=IMAGES_), **change)


def test_a_repository_has_an_address() -> None:
    with pytest.raises(FormatError):
        MappedRepository(name=IMAGES_.name, kind=RepositoryKind.IMAGE, urls=())
    with pytest.raises(FormatError):
        MappedRepository(name=IMAGES_.name, kind=RepositoryKind.IMAGE, urls=("http://a\n",))


def test_role_keys_of_a_delegation_are_those_of_its_signers() -> None:
    assert keys_of(SIGNERS, 2).threshold == 2
    assert isinstance(delegation("a", SIGNERS), Delegation)
