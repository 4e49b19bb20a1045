"""Suppliers hand in images with metadata that they signed themselves; what they may not sign leaves no trace."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from catalogs import catalog_of
from fleet import Fleet
from links import wait
from msgspec import structs
from signed import EVIL, FRESH
from suppliers import Supplier, UploadDesk, entry, hand_in
from world import IMAGES, delegation, delegations, new_signer

from uptane.formats.profile import Profile
from uptane.image_repository.uploads import UploadLimits
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    DelegationError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    ImageRollbackError,
    LengthMismatchError,
    ProvisioningError,
    ReplayedMetadataError,
)
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.signing.sign import sign

SUPPLIER, OTHER, BELOW = RoleName("supplier"), RoleName("other"), RoleName("below")
BRAKES, ENGINE = "supplier/brakes.img", "other/engine.img"


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that delegates to two suppliers, who keep their keys to themselves."""
    return Fleet(profile)


@pytest.fixture
def supplier(fleet: Fleet) -> Supplier:
    """The supplier of brakes, published as a delegation without a first file."""
    supplier = Supplier(fleet, SUPPLIER, fleet.grant(SUPPLIER, "supplier/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    return supplier


@pytest.fixture
def other(fleet: Fleet, supplier: Supplier) -> Supplier:
    """The supplier of engines."""
    other = Supplier(fleet, OTHER, fleet.grant(OTHER, "other/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    return other


@pytest.fixture
def desk(fleet: Fleet, supplier: Supplier, other: Supplier) -> UploadDesk:
    """Where they hand it in."""
    return UploadDesk(fleet)


def found(fleet: Fleet, path: str) -> Image:
    """The image as a client finds it, from the Root on."""
    wanted = ImagePath(path)
    return wait(catalog_of(fleet).look_up({wanted: None}, fleet.now))[wanted]


@pytest.mark.standard("STD-5.3.1-4", "STD-5.3.1-5", "STD-5.1.2.1-1")
def test_a_supplier_uploads_an_image_that_clients_then_find(fleet: Fleet, desk: UploadDesk, supplier: Supplier) -> None:
    before = fleet.published()
    upload = supplier.upload({BRAKES: FRESH})
    receipt = desk.receive(upload)
    assert receipt.published is not None and (receipt.signatures, receipt.needed) == (1, 1)
    assert fleet.file(IMAGES, SUPPLIER) == upload.metadata
    listed = found(fleet, BRAKES)
    assert listed == entry(BRAKES, FRESH)
    for _, digest in listed.file.digests:
        assert wait(fleet.image_store.read(fleet.profile.requested_image(ImagePath(BRAKES), digest))) == FRESH
    name = fleet.profile.metadata_name
    assert {file for file, raw in fleet.published().items() if before.get(file) != raw} == {
        name(SUPPLIER), name(SUPPLIER, 1), name(Role.SNAPSHOT), name(Role.SNAPSHOT, 4), name(Role.TIMESTAMP),
    }  # fmt: skip


def test_what_stays_as_it_was_need_not_come_along_again(fleet: Fleet, desk: UploadDesk, supplier: Supplier) -> None:
    desk.receive(supplier.upload({BRAKES: FRESH}))
    new = entry("supplier/lights.img", b"lights")
    signed = supplier.sign(entry(BRAKES, FRESH), new, version=2)
    desk.receive(hand_in(SUPPLIER, signed, {"supplier/lights.img": b"lights"}))
    assert found(fleet, BRAKES).file == entry(BRAKES, FRESH).file
    assert found(fleet, "supplier/lights.img") == new


def test_a_supplier_withdraws_an_image(fleet: Fleet, desk: UploadDesk, supplier: Supplier) -> None:
    desk.receive(supplier.upload({BRAKES: FRESH}))
    desk.receive(supplier.upload({}, version=2))
    assert dict(fleet.targets(SUPPLIER).images) == {}


@pytest.mark.standard("STD-5.3.1-5")
def test_a_supplier_delegates_to_one_below_who_then_uploads(fleet: Fleet, desk: UploadDesk, supplier: Supplier) -> None:
    deeper = Supplier(fleet, BELOW, [new_signer()])
    key = deeper.signers[0]
    granted = delegations([key], delegation(BELOW, [key], paths=["supplier/*"]))
    desk.receive(supplier.upload({}, delegations=granted))
    desk.receive(deeper.upload({BRAKES: FRESH}))
    assert found(fleet, BRAKES) == entry(BRAKES, FRESH)
    desk.refuses(deeper.upload({ENGINE: EVIL}, version=2), DelegationError)


@pytest.mark.standard("STD-5.3.1-5", "STD-5.4.4.7-7")
@pytest.mark.parametrize("path", [ENGINE, "brakes.img", "supplier/deep/brakes.img"])
def test_a_path_outside_the_delegation_is_refused(desk: UploadDesk, supplier: Supplier, path: str) -> None:
    """TH-30: a supplier signs for what is another's, beside what is his."""
    refusal = desk.refuses(supplier.upload({BRAKES: FRESH, path: EVIL}), DelegationError)
    assert (refusal.facts["role"], refusal.facts["image"]) == (SUPPLIER, path)
    desk.receive(supplier.upload({BRAKES: FRESH}))


@pytest.mark.standard("STD-5.3.1-5")
def test_hardware_outside_the_delegation_is_refused(fleet: Fleet, desk: UploadDesk) -> None:
    signers = fleet.grant(BELOW, "below/*", hardware=("brake-1",), at_hand=False)
    wait(fleet.images.publish(fleet.now))
    below = Supplier(fleet, BELOW, signers)
    desk.refuses(below.upload({"below/a.img": EVIL}, hardware=("engine-1",)), DelegationError)
    desk.receive(below.upload({"below/a.img": FRESH}, hardware=("brake-1",)))


@pytest.mark.standard("STD-5.3.1-5", "STD-5.4.4.7-8")
def test_a_role_behind_a_terminating_delegation_has_no_say(fleet: Fleet, desk: UploadDesk, other: Supplier) -> None:
    """No client would ever ask it."""
    late = Supplier(fleet, BELOW, [fleet.new_key()])
    first = delegation(RoleName("first"), [fleet.new_key()], paths=["late/a*"], terminating=True)
    last = delegation(BELOW, late.signers, paths=["late/*"])
    for granted, key in ((first, new_signer()), (last, late.signers[0])):
        if granted is first:
            granted = delegation(RoleName("first"), [key], paths=["late/a*"], terminating=True)
        wait(fleet.images.delegate(granted, [key.key]))
    wait(fleet.images.publish(fleet.now))
    desk.refuses(late.upload({"late/a.img": FRESH}), DelegationError)
    desk.receive(late.upload({"late/b.img": FRESH}))


@pytest.mark.standard("STD-5.3.1-3", "STD-5.3.1-5")
def test_a_wrong_key_is_refused(desk: UploadDesk, supplier: Supplier, other: Supplier) -> None:
    for thief in ([new_signer()], other.signers, []):
        desk.refuses(supplier.upload({BRAKES: EVIL}, signers=thief), BadSignatureError)
    desk.receive(supplier.upload({BRAKES: FRESH}))


@pytest.mark.standard("STD-5.3.1-5")
@pytest.mark.parametrize("role", ["nobody", "targets", "snapshot", "root"])
def test_a_role_that_nobody_delegates_to_is_refused(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier, role: str
) -> None:
    """Not even the Targets key makes an upload of the top-level role: that one is the operator's."""
    signed = supplier.sign(entry(BRAKES, EVIL), version=4, signers=fleet.image_keys[Role.TARGETS])
    desk.refuses(hand_in(role, signed, {BRAKES: EVIL}), DelegationError)


@pytest.mark.standard("STD-5.3.1-5")
def test_another_suppliers_role_is_refused(desk: UploadDesk, supplier: Supplier, other: Supplier) -> None:
    desk.receive(other.upload({ENGINE: FRESH}))
    mine = supplier.sign(entry(ENGINE, EVIL), version=2)
    desk.refuses(hand_in(OTHER, mine, {ENGINE: EVIL}), BadSignatureError)


@pytest.mark.standard("STD-5.3.1-5")
@pytest.mark.parametrize("published", [True, False], ids=["with a first file", "before its first file"])
def test_a_supplier_cannot_take_over_anothers_role_by_delegating_to_it(
    desk: UploadDesk, supplier: Supplier, other: Supplier, published: bool
) -> None:
    if published:
        desk.receive(other.upload({ENGINE: FRESH}))
    key = supplier.signers[0]
    for keys in ([key], [key, *other.signers]):
        granted = delegations(keys, delegation(OTHER, keys, paths=["supplier/*"]))
        refusal = desk.refuses(supplier.upload({}, delegations=granted), DelegationError)
        assert refusal.facts["role"] == OTHER
    same = delegations(other.signers, delegation(OTHER, other.signers, paths=["supplier/*"]))
    desk.receive(supplier.upload({}, delegations=same))


def test_a_role_below_gets_no_keys_that_did_not_sign_what_is_published_of_it(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier
) -> None:
    """Clients would refuse the file that is there, and the repository could publish nothing more."""
    old, new = fleet.new_key(), fleet.new_key()
    below = Supplier(fleet, BELOW, [old])
    grants = [delegations([key], delegation(BELOW, [key], paths=["supplier/*"])) for key in (old, new)]
    desk.receive(supplier.upload({}, delegations=grants[0]))
    desk.receive(below.upload({BRAKES: FRESH}))
    refusal = desk.refuses(supplier.upload({}, version=2, delegations=grants[1]), DelegationError)
    assert isinstance(refusal.__cause__, BadSignatureError)
    named_anew = delegations([old, new], delegation("below-2", [new], paths=["supplier/*"]), delegation(BELOW, [old]))
    desk.receive(supplier.upload({}, version=2, delegations=named_anew))


@pytest.mark.standard("STD-5.2.1-7")
@pytest.mark.parametrize("version", [1, 2, 4, 2**31 - 1])
def test_an_older_upload_again_or_one_that_skips_a_version_is_refused(
    desk: UploadDesk, supplier: Supplier, version: int
) -> None:
    first = supplier.upload({BRAKES: FRESH})
    desk.receive(first)
    desk.receive(supplier.upload({BRAKES: b"second"}, version=2, counter=2))
    again = first if version == 1 else supplier.upload({BRAKES: EVIL}, version=version, counter=3)
    refusal = desk.refuses(again, ReplayedMetadataError)
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (3, version)


def test_metadata_that_has_expired_is_refused(desk: UploadDesk, supplier: Supplier) -> None:
    desk.refuses(supplier.upload({BRAKES: FRESH}, days=0), ExpiredMetadataError)


@pytest.mark.standard("STD-5.3.1-5", "STD-5.2.3.1-5")
def test_images_whose_bytes_were_swapped_are_refused(desk: UploadDesk, supplier: Supplier) -> None:
    signed = supplier.sign(entry(BRAKES, FRESH), entry("supplier/a.img", b"a"))
    for content, error in (
        (EVIL.ljust(len(FRESH), b"!"), BadHashError),
        (FRESH[:-1], LengthMismatchError),
        (FRESH + b"!", EndlessDataError),
    ):
        desk.refuses(hand_in(SUPPLIER, signed, {"supplier/a.img": b"a", BRAKES: content}), error)
    desk.receive(hand_in(SUPPLIER, signed, {"supplier/a.img": b"a", BRAKES: FRESH}))


def test_every_listed_hash_must_match_and_not_the_first_alone(desk: UploadDesk, supplier: Supplier) -> None:
    good, evil = entry(BRAKES, FRESH), entry(BRAKES, EVIL)
    mixed = tuple((good if name == "sha256" else evil).file.digests[name] for name in ("sha256", "sha512"))
    digests = structs.replace(good.file.digests, items=tuple(zip(("sha256", "sha512"), mixed, strict=True)))
    signed = supplier.sign(structs.replace(good, file=structs.replace(good.file, digests=digests)))
    desk.refuses(hand_in(SUPPLIER, signed, {BRAKES: FRESH}), BadHashError)


def test_bytes_that_are_missing_and_bytes_that_nobody_listed_are_refused(desk: UploadDesk, supplier: Supplier) -> None:
    signed = supplier.sign(entry(BRAKES, FRESH))
    desk.refuses(hand_in(SUPPLIER, signed, {}), FormatError)
    desk.refuses(hand_in(SUPPLIER, signed, {BRAKES: FRESH, "supplier/more.img": EVIL}), FormatError)
    desk.receive(hand_in(SUPPLIER, signed, {BRAKES: FRESH}))
    changed = supplier.sign(entry(BRAKES, b"other bytes under the same name"), version=2)
    desk.refuses(hand_in(SUPPLIER, changed, {}), FormatError)


@pytest.mark.standard("STD-5.2.3.1.1-4")
@pytest.mark.parametrize("counter", [6, None])
@pytest.mark.parametrize("between", [True, False], ids=["withdrawn in between", "in its place"])
def test_a_release_counter_that_was_lowered_is_refused(
    desk: UploadDesk, supplier: Supplier, counter: int | None, between: bool
) -> None:
    desk.receive(supplier.upload({BRAKES: FRESH}, counter=7))
    version = 2
    if between:
        desk.receive(supplier.upload({}, version=2))
        version = 3
    refusal = desk.refuses(supplier.upload({BRAKES: EVIL}, version=version, counter=counter), ImageRollbackError)
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (7, counter)
    desk.receive(supplier.upload({BRAKES: b"same release"}, version=version, counter=7))


def test_a_counter_that_a_thief_raised_is_no_floor_once_his_key_is_revoked(fleet: Fleet, desk: UploadDesk) -> None:
    stolen = fleet.grant(BELOW, "below/*")
    wait(fleet.images.publish(fleet.now))
    thief = Supplier(fleet, BELOW, stolen)
    desk.receive(thief.upload({"below/a.img": EVIL}, version=2, counter=2**53 - 1))
    new = fleet.new_key()
    fleet.images.add_signers([new])
    wait(fleet.images.replace_role_keys(BELOW, {new.key.key_id: new.key}))
    wait(fleet.images.publish(fleet.now))
    desk.receive(Supplier(fleet, BELOW, [new]).upload({"below/a.img": FRESH}, version=4, counter=2))


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "supplier/../other/engine.img", "/supplier/brakes.img", "supplier/%2e%2e/x"]
)
@pytest.mark.standard("STD-5.2.7-5")
def test_a_name_that_leaves_its_folder_is_refused(desk: UploadDesk, supplier: Supplier, path: str) -> None:
    """TH-35: he wrote the metadata with a program of his own, which does not ask what a name may be."""
    good = entry(BRAKES, EVIL)
    bad = structs.replace(good, file=structs.replace(good.file, path=str.__new__(ImagePath, path)))
    desk.refuses(hand_in(SUPPLIER, supplier.sign(bad), {}), FormatError)


def test_a_name_that_looks_like_the_stored_file_of_another_image_is_refused(
    desk: UploadDesk, supplier: Supplier
) -> None:
    desk.receive(supplier.upload({BRAKES: FRESH}))
    digest = entry(BRAKES, FRESH).file.digests["sha256"].hex()
    desk.refuses(supplier.upload({f"supplier/{digest}.brakes.img": EVIL}, version=2), FormatError)


@pytest.mark.standard("STD-5.4-3")
def test_huge_uploads_are_refused_before_anything_is_read(fleet: Fleet, supplier: Supplier, other: Supplier) -> None:
    small = UploadLimits(metadata_bytes=2000, images=3, image_bytes=100, roles=2)
    desk = UploadDesk(fleet, small)
    large = desk.refuses(supplier.upload({f"supplier/{n}.img": b"" for n in range(100)}), EndlessDataError)
    assert "2000 bytes" in large.what, "before it is read"
    desk.refuses(supplier.upload({BRAKES: bytes(101)}), EndlessDataError)
    desk.receive(supplier.upload({BRAKES: bytes(100)}))
    refusal = desk.refuses(other.upload({ENGINE: FRESH}), EndlessDataError)
    assert refusal.facts["role"] == OTHER
    desk.receive(supplier.upload({BRAKES: bytes(100)}, version=2))
    narrow = UploadDesk(fleet, replace(small, roles=100, snapshot_bytes=2 * len("targets" + SUPPLIER + OTHER) + 191))
    narrow.refuses(other.upload({ENGINE: FRESH}), EndlessDataError)
    few = UploadDesk(fleet, replace(small, metadata_bytes=100_000, image_bytes=1000))
    few.refuses(supplier.upload({f"supplier/{n}.img": b"" for n in range(4)}, version=3), EndlessDataError)


def test_a_supplier_cannot_make_every_search_slow_with_patterns(desk: UploadDesk, supplier: Supplier) -> None:
    new = new_signer()
    patterns = [f"supplier/{number}/*" for number in range(10_001)]
    below = delegations([new], delegation(BELOW, [new], paths=patterns))
    desk.refuses(supplier.upload({}, delegations=below), EndlessDataError)


def test_delegations_that_no_client_would_follow_are_refused(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier
) -> None:
    """TH-32: a chain of delegations that goes deeper than clients do."""
    signer = supplier.signers[0]
    chain = [SUPPLIER, *(RoleName(f"deep{n}") for n in range(32))]
    for role, deeper in itertools.pairwise(chain):
        granted = delegations([signer], delegation(deeper, [signer], paths=["supplier/*"]))
        desk.receive(Supplier(fleet, role, [signer]).upload({}, delegations=granted))
    deepest = Supplier(fleet, chain[-1], [signer])
    desk.refuses(deepest.upload({BRAKES: FRESH}), DelegationError)
    desk.receive(deepest.upload({}))


def test_nothing_is_stored_where_the_online_keys_are_not_at_hand(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier
) -> None:
    locked = UploadDesk(fleet)
    locked.repository._keyring.clear()
    locked.refuses(supplier.upload({BRAKES: FRESH}), ProvisioningError)


def test_of_two_uploads_at_once_one_wins_and_the_other_is_told(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier
) -> None:
    uploads = [supplier.upload({BRAKES: FRESH}), supplier.upload({BRAKES: b"another"})]

    async def together() -> list[object]:
        handing_in = [desk.repository.receive(upload, fleet.now) for upload in uploads]
        return list(await asyncio.gather(*handing_in, return_exceptions=True))

    won, lost = sorted(wait(together()), key=lambda outcome: isinstance(outcome, Exception))
    assert not isinstance(won, Exception)
    assert isinstance(lost, ReplayedMetadataError) and lost.facts["expected"] == 2
    assert fleet.file(IMAGES, SUPPLIER) == uploads[0].metadata


def test_what_the_operator_added_still_waits_after_an_upload(
    fleet: Fleet, desk: UploadDesk, supplier: Supplier
) -> None:
    wait(desk.repository.add_image(ImagePath("own.img"), FRESH))
    desk.receive(supplier.upload({BRAKES: FRESH}))
    assert ImagePath("own.img") not in fleet.targets().images
    desk.repository.add_signers(fleet.image_keys[Role.TARGETS])
    wait(desk.repository.publish(fleet.now))
    assert found(fleet, "own.img").file == entry("own.img", FRESH).file
    assert found(fleet, BRAKES) == entry(BRAKES, FRESH)


def test_damaged_metadata_is_refused(fleet: Fleet, desk: UploadDesk, supplier: Supplier) -> None:
    good = supplier.sign(entry(BRAKES, FRESH))
    snapshot = fleet.file(IMAGES, Role.SNAPSHOT)
    for raw in (
        b"",
        good[:-1],
        good + b"x",
        snapshot,
        sign(fleet.profile, wait(fleet.images.published()).root.payload, supplier.signers),
    ):
        desk.refuses(hand_in(SUPPLIER, raw, {BRAKES: FRESH}), FormatError)
