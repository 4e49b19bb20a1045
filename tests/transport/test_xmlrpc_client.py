"""Calls over XML-RPC, to real doors and to servers that are none."""

import gzip
from collections.abc import Iterator

import pytest
from raw_sockets import HEAD, RawServer, closed_port, dripping, endless, saying, serving, silent

from uptane.assembly.http_server import ServerThread
from uptane.formats.xmlrpc import encode_fault, encode_response
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    EndlessDataError,
    FormatError,
    SlowRetrievalError,
    SpoofingError,
    UnknownVehicleError,
    UnreachableError,
    UptaneError,
)
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.transport.xmlrpc_client import XmlRpcClient

ALL_BYTES = bytes(range(256))
XML = b"Content-Type: text/xml\r\n"


def echo(value: object) -> object:
    return value


def submit(vin: str, report: bytes) -> None:
    if vin != "democar":
        raise UnknownVehicleError(f"no vehicle {vin}", next_step="Register it.")
    raise SpoofingError("the key is not the TCU's")


def fails() -> None:
    raise ZeroDivisionError("the passphrase is pw")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ServerThread() as servers:
        methods = {"echo": echo, "submit": submit, "fails": fails}
        yield f"http://127.0.0.1:{servers.start(XmlRpcDoor(methods, max_body=5_000_000), 0)}"


def client(url: str, *, max_response: int = 10_000) -> XmlRpcClient:
    return XmlRpcClient(url, peer="Director", timeout=0.5, max_response=max_response)


@pytest.mark.parametrize("value", [ALL_BYTES, b"", "ä", 7, -1, False, None, [1, [b"x"]], {"name": [None, b"y"]}])
def test_a_value_makes_the_way_there_and_back(url: str, value: object) -> None:
    assert client(url).call("echo", value) == value


def test_an_image_makes_the_way_there_and_back(url: str) -> None:
    image = ALL_BYTES * 8_000
    assert XmlRpcClient(url, peer="Primary").call("echo", image) == image


@pytest.mark.parametrize("suffix", ["", "/", "/RPC2"])
def test_the_path_need_not_be_told(url: str, suffix: str) -> None:
    assert client(url + suffix).call("echo", 1) == 1


def test_an_error_of_the_peer_is_raised_here_as_what_it_was(url: str) -> None:
    with pytest.raises(UnknownVehicleError) as unknown:
        client(url).call("submit", "x", b"")
    assert (unknown.value.what, unknown.value.next_step) == ("no vehicle x", "Register it.")
    with pytest.raises(SpoofingError) as spoofing:
        client(url).call("submit", "democar", b"")
    assert spoofing.value.attack is Attack.SPOOFING
    assert spoofing.value.facts["peer"] == "Director"


def test_wrong_arguments_and_methods_are_errors_with_a_reason(url: str) -> None:
    with pytest.raises(FormatError, match="submit was called with 1 arguments"):
        client(url).call("submit", "x")
    with pytest.raises(FormatError, match="report of submit is not a base64"):
        client(url).call("submit", "x", "text")
    with pytest.raises(UptaneError, match="no method 'nothing'"):
        client(url).call("nothing")


def test_an_unforeseen_exception_of_the_peer_is_told_without_its_text(url: str) -> None:
    with pytest.raises(UptaneError) as caught:
        client(url).call("fails")
    assert type(caught.value) is UptaneError
    assert "pw" not in str(caught.value)


def test_a_request_that_is_too_large_for_the_peer_is_told(url: str) -> None:
    with pytest.raises(UptaneError, match="413"):
        client(url).call("echo", b"x" * 6_000_000)


def test_an_argument_that_cannot_travel_is_refused_before_anything_is_sent() -> None:
    with RawServer(silent) as server:
        with pytest.raises(FormatError):
            client(server.url).call("echo", 2**31)
        assert server.requests == []


def test_a_fault_of_another_implementation_is_told_in_its_words() -> None:
    fault = encode_fault(1, "<class 'Boom'>:something broke")
    with RawServer(serving(fault, XML)) as server, pytest.raises(UptaneError, match="something broke"):
        client(server.url).call("echo")


def test_a_peer_that_does_not_run_is_named() -> None:
    with pytest.raises(UnreachableError, match="the Director at http") as caught:
        client(f"http://127.0.0.1:{closed_port()}").call("echo")
    assert caught.value.next_step == "Is the Director running?"
    assert caught.value.facts["peer"] == "Director"


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"400 Bad Request"])
def test_a_peer_that_refuses_a_request_is_not_one_that_does_not_answer(status: bytes) -> None:
    """A vehicle goes on with its cycle when its manifest is refused, and not when the Director is gone."""
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    with RawServer(saying(answer)) as server, pytest.raises(UptaneError, match="refused the request") as caught:
        client(server.url).call("echo")
    assert type(caught.value) is UptaneError


def test_a_peer_that_never_answers_is_unreachable() -> None:
    with RawServer(silent) as server, pytest.raises(UnreachableError, match="no answer in time"):
        client(server.url).call("echo")


@pytest.mark.parametrize(
    "answer",
    [
        saying(b""),
        saying(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
        saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        saying(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
        serving(b"<html><body>It works!</body></html>", b"Content-Type: text/html\r\n"),
        serving(encode_response(1)),
        serving(gzip.compress(encode_response(1)), XML + b"Content-Encoding: gzip\r\n"),
        saying(HEAD + XML + b"Content-Length: 100\r\n\r\n<?xml"),
    ],
)
def test_a_server_that_is_no_peer_is_unreachable(answer: object) -> None:
    with RawServer(answer) as server, pytest.raises(UnreachableError) as caught:  # type: ignore[arg-type]
        client(server.url).call("echo")
    assert caught.value.next_step == "Is the Director running?"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<?xml version='1.0'?><!DOCTYPE m [<!ENTITY a 'ha'>]><methodResponse/>",
        encode_response(1)[:-9],
    ],
)
def test_an_answer_that_is_no_xmlrpc_is_a_format_error_that_names_the_peer(body: bytes) -> None:
    with RawServer(serving(body, XML)) as server, pytest.raises(FormatError, match="the Director answered echo"):
        client(server.url).call("echo")


def test_an_endless_answer_is_read_up_to_the_limit() -> None:
    with RawServer(endless) as server, pytest.raises(EndlessDataError):
        client(server.url).call("echo")


@pytest.mark.standard("STD-5.4-3")
def test_an_answer_that_drips_is_slow_retrieval() -> None:
    head = HEAD + XML + b"Content-Length: 9000\r\n\r\n"
    with RawServer(dripping(head, b"x")) as server, pytest.raises(SlowRetrievalError):
        client(server.url).call("echo")


@pytest.mark.parametrize("url", ["", "127.0.0.1:30501", "file:///x", "http://"])
def test_a_peer_has_a_url_of_http(url: str) -> None:
    with pytest.raises(FormatError):
        XmlRpcClient(url, peer="Primary")
