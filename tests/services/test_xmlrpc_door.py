"""The XML-RPC door on a real socket: what attackers send, and what callers get."""

import asyncio
import logging
import threading
import xmlrpc.client
from collections.abc import Mapping, Sequence

import pytest
from raw_sockets import answer_of, raw_connection, say, status_of

from uptane.assembly.http_server import ServerThread
from uptane.formats.xmlrpc import Fault, Value, decode_response, encode_call
from uptane.metadata.errors import SpoofingError, UnknownVehicleError
from uptane.services.xmlrpc_door import FaultCode, XmlRpcDoor

ALL_BYTES = bytes(range(256))
MAX_BODY = 10_000


def echo(value: object) -> object:
    return value


async def echo_later(value: object) -> object:
    await asyncio.sleep(0)
    return value


def add(left: int, right: int = 1) -> int:
    return left + right


def submit(vin: str, report: bytes, nonces: Sequence[int], facts: Mapping[str, str | None], is_primary: bool) -> str:
    return f"{vin} {len(report)} {sum(nonces)} {sorted(facts)} {is_primary}"


def count(*words: str) -> int:
    return len(words)


def unknown_vehicle(vin: str) -> None:
    raise UnknownVehicleError(f"no vehicle {vin}", next_step="Add it first.")


async def spoofing() -> None:
    raise SpoofingError("that is not the TCU's key")


def fails() -> None:
    raise ZeroDivisionError("the passphrase is pw")


def uncarriable() -> float:
    return 1.5


def thread_name() -> str:
    return threading.current_thread().name


class Desk:
    def __call__(self, word: str) -> str:
        return word.upper()


METHODS = {
    **{method.__name__: method for method in (echo, echo_later, add, submit, count, unknown_vehicle, spoofing, fails)},
    "uncarriable": uncarriable,
    "thread_name": thread_name,
    "desk": Desk(),
}


@pytest.fixture(scope="module")
def port(servers: ServerThread) -> int:
    return servers.start(XmlRpcDoor(METHODS, max_body=MAX_BODY, body_seconds=0.3), 0)


def request(
    body: bytes,
    *headers: bytes,
    line: bytes = b"POST /RPC2 HTTP/1.1",
    host: bytes = b"Host: 127.0.0.1:30501",
    kind: bytes = b"Content-Type: text/xml",
    length: bytes | None = None,
) -> bytes:
    length = b"Content-Length: %d" % len(body) if length is None else length
    return b"\r\n".join([line, *filter(None, (host, kind, length, *headers)), b"", body])


def ask(port: int, method: str, *args: object) -> "Value | Fault":
    answer = say(port, request(encode_call(method, args)))
    assert status_of(answer) == 200
    return decode_response(answer.partition(b"\r\n\r\n")[2])


def refused(port: int, method: str, *args: object) -> Fault:
    fault = ask(port, method, *args)
    assert isinstance(fault, Fault)
    return fault


@pytest.mark.parametrize("method", ["echo", "echo_later"])
@pytest.mark.parametrize(
    "value", [ALL_BYTES, b"", "", "ä\n<&>", 0, -(2**31), True, None, [], [[None, 1], "x"], {"a": [1], "": None}]
)
def test_a_value_comes_back_exactly_from_both_kinds_of_methods(port: int, method: str, value: object) -> None:
    assert ask(port, method, value) == value


def test_pythons_own_client_can_use_the_door(port: int) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/RPC2", allow_none=True, use_builtin_types=True) as proxy:
        assert proxy.echo(ALL_BYTES) == ALL_BYTES
        with pytest.raises(xmlrpc.client.Fault) as caught:
            proxy.unknown_vehicle("x")
    assert caught.value.faultString == "E-UNKNOWN-VEHICLE: no vehicle x.\nAdd it first."


def test_arguments_of_the_annotated_types_arrive(port: int) -> None:
    assert ask(port, "submit", "v", b"ab", [1, 2], {"k": None, "a": "b"}, True) == "v 2 3 ['a', 'k'] True"
    assert ask(port, "add", 2) == 3
    assert ask(port, "count", "a", "b") == 2
    assert ask(port, "desk", "a") == "A"


def test_synchronous_methods_do_not_hold_up_the_event_loop(port: int) -> None:
    assert "worker" in str(ask(port, "thread_name"))


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("add", ()),
        ("add", (1, 2, 3)),
        ("add", ("1",)),
        ("add", (True,)),
        ("add", (None,)),
        ("count", ("a", 1)),
        ("desk", (1,)),
        ("submit", (b"v", b"", [], {}, True)),
        ("submit", ("v", "", [], {}, True)),
        ("submit", ("v", b"", [1, True], {}, True)),
        ("submit", ("v", b"", 1, {}, True)),
        ("submit", ("v", b"", [], {"k": 1}, True)),
        ("submit", ("v", b"", [], [], True)),
        ("submit", ("v", b"", [], {}, 1)),
    ],
)
def test_wrong_arguments_are_a_fault_that_names_the_method(port: int, method: str, args: tuple[object, ...]) -> None:
    fault = refused(port, method, *args)
    assert fault.code == FaultCode.BAD_ARGUMENTS
    assert fault.text.startswith("E-FORMAT: ")
    assert method in fault.text


@pytest.mark.parametrize("method", ["nothing", "__init__", "echo.__class__", "system.listMethods"])
def test_a_method_that_is_not_offered_does_not_exist(port: int, method: str) -> None:
    fault = refused(port, method)
    assert (fault.code, "there is no method" in fault.text) == (FaultCode.NO_SUCH_METHOD, True)


def test_an_error_of_the_domain_is_told_in_full(port: int) -> None:
    assert refused(port, "unknown_vehicle", "x") == Fault(
        FaultCode.REFUSED, "E-UNKNOWN-VEHICLE: no vehicle x.\nAdd it first."
    )
    assert refused(port, "spoofing").text == "E-SPOOF: that is not the TCU's key. [spoofing attack]"


@pytest.mark.parametrize("method", ["fails", "uncarriable"])
def test_an_exception_nobody_foresaw_is_logged_and_its_text_stays_inside(
    port: int, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert refused(port, method) == Fault(FaultCode.INTERNAL, "E-ERROR: internal error.")
    assert f"the method {method} failed" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<?xml version='1.0'?><!DOCTYPE m [<!ENTITY a 'ha'>]><methodCall><methodName>&a;</methodName></methodCall>",
        b"<methodCall><methodName>echo</methodName><params><param>" + b"<value><array><data>" * 400,
    ],
)
def test_a_body_that_is_no_call_is_a_fault_and_the_door_stays_open(port: int, body: bytes) -> None:
    answer = say(port, request(body))
    fault = decode_response(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(fault, Fault)
    assert fault.code == FaultCode.NOT_XMLRPC
    assert ask(port, "echo", 1) == 1


def test_a_body_that_declares_to_be_too_large_is_refused_before_it_is_read(port: int) -> None:
    assert status_of(say(port, request(b"", length=b"Content-Length: %d" % (MAX_BODY + 1)))) == 413
    assert status_of(say(port, request(b"", length=b"Content-Length: 99999999999999999"))) == 413


def test_a_chunked_body_is_refused_where_it_becomes_too_large(port: int) -> None:
    chunk = b"%x\r\n" % 6000 + b"x" * 6000 + b"\r\n"
    head = request(b"", length=b"Transfer-Encoding: chunked")
    assert status_of(say(port, head + chunk + chunk)) == 413


def test_a_body_of_the_allowed_size_is_read(port: int) -> None:
    body = encode_call("echo", ["x"])
    padded = body.replace(b"<methodCall>", b"<methodCall>" + b" " * (MAX_BODY - len(body)))
    assert len(padded) == MAX_BODY
    assert status_of(say(port, request(padded))) == 200
    assert status_of(say(port, request(padded + b" "))) == 413


def test_a_sender_who_never_finishes_the_body_is_turned_away(port: int) -> None:
    with raw_connection(port) as connection:
        connection.sendall(request(b"<?xml", length=b"Content-Length: 100"))
        assert status_of(answer_of(connection)) == 408


def test_a_sender_who_goes_away_in_mid_body_harms_nobody(port: int) -> None:
    with raw_connection(port) as connection:
        connection.sendall(request(b"<?xml", length=b"Content-Length: 100"))
    assert ask(port, "echo", 1) == 1


def test_a_compressed_body_is_refused(port: int) -> None:
    assert status_of(say(port, request(b"x", b"Content-Encoding: gzip"))) == 415


@pytest.mark.parametrize("length", [b"Content-Length: -1", b"Content-Length: 1, 2", b"Content-Length: x"])
def test_a_length_that_is_no_number_is_refused(port: int, length: bytes) -> None:
    assert status_of(say(port, request(b"x", length=length))) == 400


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"post"])
def test_nothing_but_post_is_answered(port: int, method: bytes) -> None:
    with raw_connection(port) as connection:
        connection.sendall(request(b"", b"Connection: close", line=method + b" /RPC2 HTTP/1.1"))
        answer = connection.recv(65536)
    assert status_of(answer) == 405
    assert b"allow: POST" in answer


@pytest.mark.parametrize("path", [b"/", b"/rpc2", b"/RPC2/", b"/RPC2/x", b"//RPC2", b"/x/../RPC2"])
def test_no_other_path_exists(port: int, path: bytes) -> None:
    assert status_of(say(port, request(b"", line=b"POST " + path + b" HTTP/1.1"))) == 404


@pytest.mark.parametrize("kind", [b"", b"Content-Type: text/plain", b"Content-Type: application/x-www-form-urlencoded"])
def test_what_a_web_page_of_another_origin_can_send_is_refused(port: int, kind: bytes) -> None:
    assert status_of(say(port, request(encode_call("echo", [1]), kind=kind))) == 415


@pytest.mark.parametrize(
    "host", [b"Host: evil.example", b"Host: evil.example:30501", b"Host: 127.0.0.1.evil.example", b"Host:", b"Host: :1"]
)
def test_a_web_page_that_rebinds_its_name_to_this_machine_is_refused(port: int, host: bytes) -> None:
    assert status_of(say(port, request(encode_call("echo", [1]), host=host))) == 421


@pytest.mark.parametrize("host", [b"Host: localhost", b"Host: LOCALHOST:1", b"Host: [::1]:1", b"Host: [::1]"])
def test_every_name_of_this_machine_is_answered(port: int, host: bytes) -> None:
    assert status_of(say(port, request(encode_call("echo", [1]), host=host))) == 200


def test_a_request_with_two_hosts_is_refused(port: int) -> None:
    answer = say(port, request(encode_call("echo", [1]), b"Host: evil.example"))
    assert status_of(answer) in (400, 421)


def test_other_names_are_answered_where_they_are_allowed(servers: ServerThread) -> None:
    port = servers.start(XmlRpcDoor(METHODS, allowed_hosts=["Director.example"]), 0)
    call = encode_call("echo", [1])
    assert status_of(say(port, request(call, host=b"Host: director.example"))) == 200
    assert status_of(say(port, request(call, host=b"Host: 127.0.0.1"))) == 421


def test_a_method_that_xmlrpc_cannot_fill_is_a_mistake_of_the_program() -> None:
    def impossible(value: float) -> None: ...

    def hidden(values: list[dict[str, set[int]]]) -> None: ...

    for method in (impossible, hidden):
        with pytest.raises(TypeError, match="cannot fill"):
            XmlRpcDoor({"method": method})


def test_anything_but_http_is_met_with_silence() -> None:
    async def never() -> dict[str, object]:
        raise AssertionError("nothing is received")

    async def nothing(message: object) -> None:
        raise AssertionError("nothing is sent")

    asyncio.run(XmlRpcDoor({})({"type": "lifespan"}, never, nothing))
