"""Advisories on delegations: who is asked first, where the search ends, and with whose keys a role is checked."""

import hashlib
from collections.abc import Mapping

import pytest
from delegating import key, role, to
from links import wait
from msgspec import structs
from stage import PATH, READERS, TOP_LEVEL, Place, Stage, every
from world import DIRECTOR, IMAGES, PRIMARY, TCU, delegation, delegations, image, listed, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import Delegation
from uptane.metadata.errors import BadSignatureError, MixAndMatchError, RepositoryMismatchError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner

ARBITRARY = Attack.ARBITRARY_SOFTWARE
RIGHT, WRONG = image(PATH, b"right"), image(PATH, b"wrong")
NOTHING = role()
ELSEWHERE = "supplier/other/*"


def show(stage: Stage, keys: Mapping[str, KeySigner] | None = None, **roles: Targets) -> None:
    """The Image repository as it is with these roles; all but the first are signed by keys of their own."""
    files = dict(stage.payload(IMAGES, Role.SNAPSHOT).files)
    for name, content in roles.items():
        top = name == Role.TARGETS
        version = stage.payload(IMAGES, name).version + 1 if top else 1
        signers = stage.signers(IMAGES, name) if top else [(keys or {}).get(name, key(name))]
        raw = sign(stage.profile, structs.replace(content, version=version), signers)
        stage.shown[IMAGES, stage.profile.metadata_name(name, version)] = raw
        files[RoleName(name)] = listed(raw, version)
    stage.forge(IMAGES, Role.SNAPSHOT, files=files)


def at(name: str, **other: object) -> Delegation:
    """A delegation of the one image that the tests are about."""
    return to(name, str(PATH), **other)


GRAPHS: dict[str, dict[str, Targets]] = {
    "its own entry counts before any delegation": {"targets": role(RIGHT, at("a")), "a": role(WRONG)},
    "the first delegation counts": {"targets": role(at("a"), at("b")), "a": role(RIGHT), "b": role(WRONG)},
    "all below the first comes before the second": {
        "targets": role(at("a"), at("b")),
        "a": role(at("c")),
        "b": role(WRONG),
        "c": role(at("d")),
        "d": role(RIGHT),
    },
    "an entry counts before what it delegates to": {
        "targets": role(at("a"), at("b")),
        "a": role(RIGHT, at("c")),
        "b": role(WRONG),
        "c": role(WRONG),
    },
    "who finds nothing gives way": {"targets": role(at("a"), at("b")), "a": NOTHING, "b": role(RIGHT)},
    "who has no authority is not asked": {
        "targets": role(to("a", ELSEWHERE), at("b")),
        "a": role(WRONG),
        "b": role(RIGHT),
    },
    "a circle is left": {
        "targets": role(at("a"), at("c")),
        "a": role(at("b")),
        "b": role(at("a")),
        "c": role(RIGHT),
    },
    "two ways lead to one role": {
        "targets": role(at("a"), at("b"), at("d")),
        "a": role(to("c", ELSEWHERE)),
        "b": role(at("c")),
        "c": role(RIGHT),
        "d": role(WRONG),
    },
    "below a terminating one the search goes on": {
        "targets": role(at("a", terminating=True), at("b")),
        "a": role(at("c")),
        "b": role(WRONG),
        "c": role(RIGHT),
    },
    "a terminating one that does not cover the image ends nothing": {
        "targets": role(to("a", ELSEWHERE, terminating=True), at("b")),
        "a": NOTHING,
        "b": role(RIGHT),
    },
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_cve_2024_47534_the_role_that_counts_is_found_in_the_order_of_priority(
    profile: Profile, reader: str, graph: str
) -> None:
    """The image that another role lists is refused; the one that the right role lists is installed."""
    stage = Stage(profile, reader)
    with stage.refuses(RepositoryMismatchError, ARBITRARY):
        show(stage, **GRAPHS[graph])
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))
    show(stage, **GRAPHS[graph])
    stage.direct(image(PATH, b"right", ecus=(TCU,)))
    wait(stage.fleet.images.store_image(PATH, b"right"))
    stage.car.links.altered |= stage.shown
    stage.car.cycle()
    assert stage.car.running() == b"right"


ENDED: dict[str, dict[str, Targets]] = {
    "a sibling": {"targets": role(at("a", terminating=True), at("b")), "a": NOTHING, "b": role(WRONG)},
    "a sibling of the one above": {
        "targets": role(at("a"), at("b")),
        "a": role(at("c", terminating=True), at("d")),
        "b": role(WRONG),
        "c": NOTHING,
        "d": role(WRONG),
    },
    "a sibling of one that delegates on": {
        "targets": role(at("a", terminating=True), at("b")),
        "a": role(at("c")),
        "b": role(WRONG),
        "c": NOTHING,
    },
    "a sibling of a group that disagrees": {
        "targets": role(
            delegation({"a": [key("a")], "c": [key("c")]}, paths=[PATH], group="group", agree=2, terminating=True),
            at("b"),
        ),
        "a": role(RIGHT),
        "b": role(WRONG),
        "c": NOTHING,
    },
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("graph", ENDED)
def test_cve_2025_2886_after_a_terminating_delegation_nobody_else_is_asked(
    profile: Profile, reader: str, graph: str
) -> None:
    stage = Stage(profile, reader)
    with stage.refuses(RepositoryMismatchError, ARBITRARY):
        show(stage, **ENDED[graph])
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))


def bins(count: int) -> list[Delegation]:
    """Delegations that divide all images by the first hexadecimal digit of their names' hash."""
    digits = "0123456789abcdef"
    size = 16 // count
    return [
        delegation(f"bin-{n}", [key("bins")], path_hash_prefixes=tuple(digits[n * size : (n + 1) * size]))
        for n in range(count)
    ]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("count", [2, 16])
def test_ghsa_77hh_43cm_v8j6_a_bin_speaks_for_its_own_images_only(profile: Profile, reader: str, count: int) -> None:
    """Every bin but the right one lists the image; all have the same key."""
    stage = Stage(profile, reader)
    right = int(hashlib.sha256(PATH.encode()).hexdigest()[0], 16) * count // 16
    roles = {f"bin-{n}": NOTHING if n == right else role(WRONG) for n in range(count)}
    top = structs.replace(role(), delegations=delegations([key("bins")], *bins(count)))
    with stage.refuses(RepositoryMismatchError, ARBITRARY):
        show(stage, dict.fromkeys(roles, key("bins")), targets=top, **roles)
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))


@pytest.mark.parametrize("reader", READERS)
def test_ghsa_77hh_43cm_v8j6_a_bin_is_not_shown_under_the_name_of_another(profile: Profile, reader: str) -> None:
    """They have the same key and the same version, but each is listed with its own hash."""
    stage = Stage(profile, reader)
    right = int(hashlib.sha256(PATH.encode()).hexdigest()[0], 16) * 2 // 16
    roles = {
        "bin-0": role(WRONG),
        "bin-1": role(WRONG),
        f"bin-{right}": role(image("supplier/parts/xyz.img", b"wrong")),
    }
    top = structs.replace(role(), delegations=delegations([key("bins")], *bins(2)))
    with stage.refuses(MixAndMatchError, Attack.MIX_AND_MATCH) as errors:
        show(stage, dict.fromkeys(roles, key("bins")), targets=top, **roles)
        mine, other = (stage.profile.metadata_name(f"bin-{n}", 1) for n in (right, 1 - right))
        stage.shown[IMAGES, mine] = stage.shown[IMAGES, other]
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))
    assert errors[0].facts["role"] == f"bin-{right}"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["bin-2", "bin-00", "bin-", "stranger"])
def test_ghsa_77hh_43cm_v8j6_a_role_that_nobody_delegates_to_is_not_asked(
    profile: Profile, reader: str, name: str
) -> None:
    """The Snapshot lists it, it is signed by the key of the bins, and it lists the image."""
    stage = Stage(profile, reader)
    top = structs.replace(role(), delegations=delegations([key("bins")], *bins(2)))
    roles = {"bin-0": NOTHING, "bin-1": NOTHING, name: role(WRONG)}
    with stage.refuses(RepositoryMismatchError, ARBITRARY):
        show(stage, dict.fromkeys(roles, key("bins")), targets=top, **roles)
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))


@pytest.mark.parametrize("reader", READERS)
def test_unnamed_tuf_7_0_1_a_role_that_one_delegator_vouches_for_is_checked_again_for_another(
    profile: Profile, reader: str
) -> None:
    """Role c is genuine for a, which has nothing to say of the image; b trusts another key of c, which did not sign."""
    stage = Stage(profile, reader)
    mine, other = new_signer(), new_signer()
    through_a, through_b = (delegation("c", [signer], paths=[PATH]) for signer in (mine, other))
    content = role(image("supplier/parts/another.img", b"x"))
    with stage.refuses(BadSignatureError, ARBITRARY) as errors:
        show(
            stage,
            {"c": mine},
            targets=role(at("a"), at("b")),
            a=structs.replace(role(), delegations=delegations([mine], through_a)),
            b=structs.replace(role(), delegations=delegations([other], through_b)),
            c=content,
        )
        stage.direct(image(PATH, b"wrong", ecus=(TCU,)))
    assert errors[0].facts["role"] == "c"


def test_unnamed_tuf_7_0_1_what_was_fetched_for_one_image_is_checked_again_for_the_next(profile: Profile) -> None:
    """Role c is genuine for a, which leads to the Primary's image; b, for the Secondary's, trusts another key of c."""
    stage = Stage(profile)
    mine, other = new_signer(), new_signer()
    own = ImagePath("supplier/own/head.img")
    with stage.refuses(BadSignatureError, ARBITRARY) as errors:
        show(
            stage,
            {"c": mine},
            targets=role(to("a", str(own)), at("b")),
            a=structs.replace(role(), delegations=delegations([mine], delegation("c", [mine], paths=[own]))),
            b=structs.replace(role(), delegations=delegations([other], delegation("c", [other], paths=[PATH]))),
            c=role(image(own, b"head"), WRONG),
        )
        stage.direct(image(own, b"head", ecus=(PRIMARY,)), image(PATH, b"wrong", ecus=(TCU,)))
    assert errors[0].facts["role"] == "c"


@every(TOP_LEVEL)
def test_unnamed_tuf_7_0_1_no_role_of_one_repository_passes_for_that_of_the_other(
    profile: Profile, place: Place, reader: str
) -> None:
    """Files that the ECU trusts already, of the other repository, under the next name in this one."""
    stage = Stage(profile, reader)
    other = IMAGES if place[0] == DIRECTOR else DIRECTOR
    with stage.refuses(BadSignatureError, ARBITRARY) as errors:
        stage.show(*place, stage.raw(other, place[1]))
    assert (errors[0].facts["repository"], errors[0].facts["role"]) == place
