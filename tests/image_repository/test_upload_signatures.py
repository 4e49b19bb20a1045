"""Roles of several owners: a threshold of two that the repository collects, and groups whose members must agree."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from catalogs import catalog_of
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH
from suppliers import Supplier, UploadDesk, entry, hand_in
from world import IMAGES, delegation, new_signer

from uptane.formats.canonical_json import canonical
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import BadHashError, BadSignatureError, DelegationError, FormatError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.signing.signer import KeySigner

OWNERS = RoleName("owners")
PATH = "owners/a.img"
CONTENT = {PATH: FRESH}


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that lists nothing yet."""
    return Fleet(profile)


@pytest.fixture
def owners(fleet: Fleet) -> Supplier:
    """Three owners of a role, two of whom must sign."""
    signers = fleet.grant(OWNERS, "owners/*", keys=3, threshold=2, at_hand=False)
    wait(fleet.images.publish(fleet.now))
    return Supplier(fleet, OWNERS, signers)


@pytest.fixture
def desk(fleet: Fleet, owners: Supplier) -> UploadDesk:
    """Where they hand it in."""
    return UploadDesk(fleet)


def is_found(fleet: Fleet) -> bool:
    """Whether a client finds the image as the owners listed it."""
    path = ImagePath(PATH)
    return wait(catalog_of(fleet).look_up({path: None}, fleet.now)) == {path: entry(PATH, FRESH)}


@pytest.mark.standard("STD-5.3.1-5", "STD-5.2.3.2-12")
def test_it_is_published_when_the_second_signature_of_the_same_bytes_is_handed_in(
    fleet: Fleet, desk: UploadDesk, owners: Supplier
) -> None:
    one, two, _ = owners.signers
    before = desk.everything()
    receipt = desk.receive(owners.upload(CONTENT, signers=[one]))
    assert (receipt.published, receipt.signatures, receipt.needed) == (None, 1, 2)
    assert desk.everything()[:2] == before[:2]
    again = desk.receive(owners.upload(CONTENT, signers=[one]))
    assert again == receipt
    assert desk.receive(owners.upload(CONTENT, signers=[two])).published is not None
    assert is_found(fleet)
    assert desk.everything()[2] == {}


def test_an_image_is_stored_where_the_last_signature_came_while_its_upload_waited_for_the_turn(
    fleet: Fleet, owners: Supplier
) -> None:
    """Each of the two was one of two signatures when it was handed in, so neither had stored the image."""
    one, two, _ = owners.signers
    other = UploadDesk(fleet)

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        assert (await other.repository.receive(owners.upload(CONTENT, signers=[one]), fleet.now)).published is None
        yield

    desk = UploadDesk(fleet, turn=turn)
    desk.waiting._files = other.waiting._files
    assert desk.receive(owners.upload(CONTENT, signers=[two])).published is not None
    assert is_found(fleet)
    assert FRESH in desk.everything()[1].values()


@pytest.mark.standard("STD-5.2.2-2")
def test_signatures_over_other_bytes_do_not_add_up(desk: UploadDesk, owners: Supplier) -> None:
    one, two, three = owners.signers
    desk.receive(owners.upload(CONTENT, signers=[one]))
    receipt = desk.receive(owners.upload({PATH: EVIL}, signers=[two]))
    assert (receipt.published, receipt.signatures) == (None, 1)
    assert desk.receive(owners.upload(CONTENT, signers=[three])).published is not None


def test_a_signature_over_other_bytes_is_not_published_with_the_others(
    fleet: Fleet, desk: UploadDesk, owners: Supplier
) -> None:
    one, two, three = owners.signers
    desk.receive(owners.upload({PATH: EVIL}, signers=[one]))
    enough = owners.upload(CONTENT, signers=[two, three])
    desk.receive(enough)
    assert fleet.file(IMAGES, OWNERS) == enough.metadata


def written_elsewhere(owners: Supplier, *signers: KeySigner) -> bytes:
    """What another tool wrote, which says that there are no delegations where ours says nothing."""
    signed = json.loads(owners.sign(entry(PATH, FRESH)))["signed"] | {"delegations": {"keys": {}, "roles": []}}
    made = [{"keyid": each.key.key_id, "sig": each.sign(canonical(signed)).hex()} for each in signers]
    return canonical({"signatures": made, "signed": signed})


@pytest.mark.parametrize("profile", [PROFILES["json"]], ids=["json"])
def test_what_another_tool_wrote_is_published_byte_for_byte_and_its_signatures_are_not_collected(
    fleet: Fleet, desk: UploadDesk, owners: Supplier
) -> None:
    one, two, three = owners.signers
    desk.receive(hand_in(OWNERS, written_elsewhere(owners, one), CONTENT))
    refusal = desk.refuses(hand_in(OWNERS, written_elsewhere(owners, two), CONTENT), FormatError)
    assert refusal.facts["field"] == "signatures"
    enough = written_elsewhere(owners, one, three)
    desk.receive(hand_in(OWNERS, enough, CONTENT))
    assert fleet.file(IMAGES, OWNERS) == enough
    assert is_found(fleet)


def test_a_wrong_signature_adds_nothing_and_spoils_nothing(fleet: Fleet, desk: UploadDesk, owners: Supplier) -> None:
    one, two, _ = owners.signers
    desk.receive(owners.upload(CONTENT, signers=[one]))
    desk.refuses(owners.upload(CONTENT, signers=[new_signer()]), BadSignatureError)
    desk.receive(owners.upload(CONTENT, signers=[two, new_signer()]))
    assert is_found(fleet)


def test_whoever_signs_brings_the_images_that_he_signs_for(desk: UploadDesk, owners: Supplier) -> None:
    one, two, _ = owners.signers
    signed = [owners.sign(entry(PATH, FRESH), signers=[key]) for key in (one, two)]
    swapped = {PATH: EVIL.ljust(len(FRESH))}
    desk.refuses(hand_in(OWNERS, signed[0], swapped), BadHashError)
    desk.receive(hand_in(OWNERS, signed[0], CONTENT))
    desk.refuses(hand_in(OWNERS, signed[1], swapped), BadHashError)


def test_a_repository_without_a_place_to_wait_asks_for_all_signatures_at_once(fleet: Fleet, owners: Supplier) -> None:
    desk = UploadDesk(fleet, waits=False)
    desk.refuses(owners.upload(CONTENT, signers=owners.signers[:1]), BadSignatureError)
    desk.receive(owners.upload(CONTENT, signers=owners.signers[:2]))


@pytest.mark.standard("STD-5.3.1-5")
def test_each_member_of_a_group_uploads_and_clients_find_what_they_agree_on(fleet: Fleet, desk: UploadDesk) -> None:
    members = [Supplier(fleet, RoleName(name), [fleet.new_key()]) for name in ("maker", "tester")]
    granted = delegation({each.role: each.signers for each in members}, paths=["group/*"], group="both", agree=2)
    wait(fleet.images.delegate(granted, [each.signers[0].key for each in members]))
    wait(fleet.images.publish(fleet.now))
    path = ImagePath("group/a.img")
    for content in ({path: FRESH}, {path: EVIL}):
        desk.receive(members[0].upload(content, version=1 if content[path] == FRESH else 2))
        if content[path] == FRESH:
            desk.receive(members[1].upload(content))
            assert wait(catalog_of(fleet).look_up({path: None}, fleet.now)) == {path: entry(path, FRESH)}
    assert wait(catalog_of(fleet).look_up({path: None}, fleet.now)) == {}
    desk.refuses(members[1].upload({"owners/a.img": EVIL}, version=2), DelegationError)
