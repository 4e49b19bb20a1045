"""Who sends a request: certificates and headers that are believed, and those that are not."""

import asyncio
import base64
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import pytest
from certificates import DAY, NOW, VIN, House, certificate_of, der_of
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from uptane.metadata.errors import FormatError, IdentityError, NoIdentityError
from uptane.services.asgi import Answer, Message, Receive, Scope, Send
from uptane.services.identity import (
    IDENTITY,
    PEER_CERTIFICATE,
    Identification,
    Identified,
    Identity,
    RevokedSerials,
    identity_of,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FRONT = "10.1.0.7"
ELSEWHERE = "203.0.113.9"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def identification(*revoked: int, now: datetime = NOW, fronts: Sequence[str] = ("10.1.0.0/24",)) -> Identification:
    return Identification(revocations=RevokedSerials(revoked), now=lambda: now, fronts=fronts)


def scope(*headers: bytes, tls: bytes | None = None, client: str | None = ELSEWHERE) -> Scope:
    return {
        "type": "http",
        "headers": [(b"host", b"x"), *((b"client-cert", value) for value in headers)],
        "client": None if client is None else (client, 4711),
        "extensions": {"tls": {PEER_CERTIFICATE: tls}},
    }


def identified(asked: Scope, by: Identification | None = None) -> Identity | None:
    return asyncio.run((by or identification()).identify(asked))


def refused(asked: Scope, by: Identification | None = None) -> str:
    with pytest.raises(IdentityError) as caught:
        identified(asked, by)
    assert caught.value.code == "E-IDENTITY"
    assert caught.value.next_step
    return caught.value.what


def rfc_9440(der: bytes) -> bytes:
    return b":" + base64.b64encode(der) + b":"


def escaped(pem: bytes) -> bytes:
    return quote(pem[pem.find(b"-----BEGIN CERT") :], safe="").encode()


@pytest.mark.standard("STD-5.3.2.1-1")
def test_the_certificate_of_the_connection_says_who_it_is(house: House) -> None:
    pem = house.forged()
    found = identified(scope(tls=der_of(pem)))
    assert found is not None
    assert (found.vehicle, found.serial) == (VIN, certificate_of(pem).serial_number)


def test_a_client_without_a_certificate_is_nobody() -> None:
    assert identified(scope()) is None
    assert identified({"type": "http", "headers": [], "client": None}) is None
    assert identified(scope(client="not an address")) is None


def test_a_certificate_is_judged_at_every_request_since_connections_outlive_them(house: House) -> None:
    der = der_of(house.forged(begins=NOW, ends=NOW + DAY))
    assert identified(scope(tls=der)) is not None
    assert "not valid before" in refused(scope(tls=der), identification(now=NOW - DAY))
    assert "expired" in refused(scope(tls=der), identification(now=NOW + 2 * DAY))


def test_a_revoked_certificate_is_refused(house: House) -> None:
    pem = house.forged()
    serial = certificate_of(pem).serial_number
    assert "was revoked" in refused(scope(tls=der_of(pem)), identification(serial))
    assert identified(scope(tls=der_of(pem)), identification(serial + 1)) is not None


def test_a_revoked_certificate_stays_revoked_when_somebody_rewrites_its_signature(house: House) -> None:
    """For (r, s), (r, n - s) is a signature as good. A list of hashes of whole certificates would not know it."""
    pem = house.forged()
    certificate = certificate_of(pem)
    r, s = decode_dss_signature(certificate.signature)
    rewritten = encode_dss_signature(r, P256_ORDER - s)
    der = der_of(pem)
    unsigned = der[4 : der.rindex(certificate.signature) - 3]  # the signed part and the algorithm
    body = unsigned + bytes([0x03, len(rewritten) + 1, 0]) + rewritten
    forged = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    certificate_of(_as_pem(forged)).verify_directly_issued_by(certificate_of(house.authority.certificate))
    assert forged != der
    honest, other = identified(scope(tls=der)), identified(scope(tls=forged))
    assert honest == other
    assert honest is not None
    assert "was revoked" in refused(scope(tls=forged), identification(honest.serial))


def _as_pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"


def test_a_front_is_believed_in_both_spellings(house: House) -> None:
    pem = house.forged()
    for header in (rfc_9440(der_of(pem)), escaped(pem), b"  " + escaped(pem) + b" "):
        found = identified(scope(header, client=FRONT))
        assert found is not None
        assert found.vehicle == VIN


def test_a_front_behind_a_dual_stack_socket_is_a_front_too(house: House) -> None:
    header = rfc_9440(der_of(house.forged()))
    assert identified(scope(header, client=f"::ffff:{FRONT}")) is not None
    assert "no front" in refused(scope(header, client=f"::ffff:{ELSEWHERE}"))


@pytest.mark.parametrize("client", [ELSEWHERE, "10.1.1.7", "::1", None, "unix"])
def test_a_header_from_anybody_else_is_refused_and_not_ignored(house: House, client: str | None) -> None:
    pem = house.forged()
    for header in (rfc_9440(der_of(pem)), escaped(pem), b"", b"::"):
        assert "no front" in refused(scope(header, client=client))
        assert "no front" in refused(scope(header, client=client, tls=der_of(pem)))


def test_where_no_front_is_configured_every_header_is_refused(house: House) -> None:
    header = rfc_9440(der_of(house.forged()))
    assert "no front" in refused(scope(header, client="127.0.0.1"), identification(fronts=()))


def test_from_a_front_the_header_alone_counts(house: House) -> None:
    """The front's own certificate, with which it connects to us, never stands for a client of its."""
    own = der_of(house.forged(["urn:uptane:vehicle:FRONT"]))
    client = rfc_9440(der_of(house.forged()))
    found = identified(scope(client, client=FRONT, tls=own))
    assert found is not None
    assert found.vehicle == VIN
    for nothing in ((), (b"",), (b"::",)):
        assert identified(scope(*nothing, client=FRONT, tls=own)) is None


def test_a_header_that_came_twice_is_refused(house: House) -> None:
    header = rfc_9440(der_of(house.forged()))
    assert "more than once" in refused(scope(header, header, client=FRONT))
    assert "more than once" in refused(scope(b"", header, client=FRONT))


@pytest.mark.parametrize(
    "header",
    [b"x", b":", b":x:", b":AAAA:", b":AA==:, :AA==:", b"-----BEGIN CERTIFICATE-----", b"CN=1HGBH41JXMN109186", b"%ff"],
)
def test_a_header_that_holds_no_certificate_is_refused(header: bytes) -> None:
    refused(scope(header, client=FRONT))


def test_a_certificate_from_a_front_is_judged_like_any_other(house: House) -> None:
    pem = house.forged(ends=NOW)
    late = identification(now=NOW + DAY)
    assert "expired" in refused(scope(rfc_9440(der_of(pem)), client=FRONT), late)
    revoked = identification(certificate_of(pem).serial_number)
    assert "revoked" in refused(scope(rfc_9440(der_of(pem)), client=FRONT), revoked)
    assert "names 0 vehicles" in refused(scope(escaped(house.forged([])), client=FRONT))


@pytest.mark.parametrize("front", ["", "front.example", "10.1.0.7/24", "10.1.0.0/33"])
def test_what_is_no_network_is_refused_at_once(front: str) -> None:
    with pytest.raises(FormatError):
        identification(fronts=[front])


def answered(asked: Scope) -> tuple[list[Scope], int]:
    """What an application saw, and the status that the client saw."""
    seen: list[Scope] = []
    sent: list[Message] = []

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        seen.append(inner)
        await Answer(status=200, content_type="text/plain", body=b"").send(send)

    async def receive() -> Message:
        raise AssertionError("nobody reads the body")

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Identified(app, identification())(asked, receive, send))
    return seen, sent[0]["status"]


def test_an_application_is_told_who_it_is(house: House) -> None:
    (seen,), status = answered(scope(tls=der_of(house.forged())))
    assert status == 200
    assert identity_of(seen).vehicle == VIN


def test_an_application_never_sees_a_request_with_a_bad_certificate(house: House) -> None:
    assert answered(scope(tls=der_of(house.forged([])))) == ([], 403)
    assert answered(scope(b"x")) == ([], 403)


def test_a_route_for_vehicles_refuses_a_client_without_a_certificate() -> None:
    (seen,), status = answered(scope())
    assert status == 200
    assert seen[IDENTITY] is None
    for nobody in (seen, {"type": "http"}, {IDENTITY: "1HGBH41JXMN109186"}):
        with pytest.raises(NoIdentityError) as caught:
            identity_of(nobody)
        assert caught.value.code == "E-NO-IDENTITY"
