"""Whole programs: what they write is searched for every secret that they hold, and figures are those of all workers."""

import json
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from certificates import ask
from raw_sockets import closed_port, status_of
from running_servers import UPTANE, asked_until_answered, new_servers, running, tls_of

from uptane.assembly.settings import load_settings

PASSWORD, SECRET_KEY = "password-that-nobody-may-read", "key-of-a-store-that-nobody-may-read"


@dataclass
class Programs:
    """Programs that were run in a folder, and all that they have said."""

    folder: Path
    said: str = ""

    def run(self, *words: str, **variables: str) -> int:
        """Runs `uptane` with these words; its exit code."""
        done = subprocess.run(
            [str(UPTANE), *words],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done.returncode


def private_lines(file: Path) -> list[str]:
    """The lines of a private key in PEM, apart from those that every key begins with."""
    text = file.read_bytes().decode("latin-1")
    block = text.partition("PRIVATE KEY-----\n")[2].partition("-----END")[0]
    return [line[-24:] for line in block.splitlines() if len(line) >= 24]


@contextmanager
def refusing_postgresql() -> Iterator[tuple[int, list[bytes]]]:
    """The port of a database server that takes no password, and what it is sent."""
    given: list[bytes] = []
    why = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user\0\0"

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                while (asked := connection.recv(4096))[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                    connection.sendall(b"N")  # neither TLS nor GSSAPI
                given.append(asked)
                connection.sendall(b"R\0\0\0\x08\0\0\0\x03")
                given.append(connection.recv(4096))
                connection.sendall(b"E" + (len(why) + 4).to_bytes(4, "big") + why)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], given
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_no_program_writes_a_secret_and_nobody_else_can_read_its_files(tmp_path: Path) -> None:
    programs, admin = Programs(tmp_path), closed_port()
    assert programs.run("init", "fleet", "--port", "0") == 0
    fleet = tmp_path / "fleet"
    for path in [fleet, *fleet.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        public = path.is_relative_to(fleet / "data" / "image-repository") or path.suffix in (".pub", ".pem", ".json")
        assert public or mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
    environment = {"UPTANE_LISTEN__ADMIN": f"127.0.0.1:{admin}", "UPTANE_LOG__LEVEL": "debug"}
    log = tmp_path / "log"
    with log.open("w") as errors, running(fleet, variables=environment, errors=errors) as server:
        url = f"https://localhost:{server.port}"
        assert programs.run("vehicle", "add", "VIN1", "--package", "car", "--servers", "fleet", "--server", url) == 0
        token = (tmp_path / "car" / "factory" / "token").read_text().strip()
        assert programs.run("vehicle", "run", "car", "--cycles", "1") == 0
        body = json.dumps({"deviceId": "VIN1", "token": token, "csr": "a-request"}).encode()
        post = f"POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        assert status_of(ask(server.port, tls_of(load_settings(fleet)), post)) == 400
        page = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10).read().decode()
    for figure in (
        'uptane_manifests_total{outcome="accepted"} 1.0',
        "uptane_certificates_issued_total 1.0",
        'uptane_timestamp_expiry_seconds{repository="image-repository"}',
        'uptane_root_expiry_seconds{repository="image-repository"}',
        'uptane_root_expiry_seconds{repository="director"}',
        "uptane_build_info{version=",
    ):
        assert figure in page, page
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"/devices", "/director/manifest", "/director/{name}"} <= {event.get("route") for event in events}
    with refusing_postgresql() as (port, given):
        database = f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/fleet"
        assert programs.run("serve", "fleet", UPTANE_DATABASE__URL=database) != 0
        assert PASSWORD.encode() in b"".join(given), "it was asked for, and given"
    assert "password authentication failed" in programs.said
    assert programs.run("init", "elsewhere", "--database", database) != 0
    store = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}",
        "AWS_REGION": "x",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "UPTANE_STORAGE__UNSAFE_PLAIN_HTTP": "true",
    }
    assert programs.run("serve", "fleet", UPTANE_STORAGE__URL="s3://bucket/images", **store) != 0
    said = programs.said + log.read_text() + page + "\n".join(server.said)
    secrets = [token, PASSWORD, SECRET_KEY, "a-request"]
    keys = [file for file in tmp_path.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]
    assert {"timeserver", "authority", "vehicle.pem", "ecu"} <= {file.name for file in keys}
    secrets += [line for file in keys for line in private_lines(file)]
    assert len(secrets) >= len(keys) + 4 > 14
    assert [secret for secret in secrets if secret in said] == []
    for file in [*keys, *tmp_path.rglob("token"), *tmp_path.rglob("uptane.toml")]:
        assert file.stat().st_mode & 0o077 == 0, file


def test_whichever_worker_is_asked_the_figures_are_those_of_all(tmp_path: Path) -> None:
    settings, admin = new_servers(tmp_path / "fleet"), closed_port()
    tls = tls_of(settings)
    ready = ("worker 1 started", "worker 2 started", "https://")
    variables = {"UPTANE_LISTEN__ADMIN": f"127.0.0.1:{admin}"}
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        running(
            settings.folder, "image-repository", "--workers", "2", variables=variables, ready=ready, errors=errors
        ) as server,
    ):
        for _ in range(20):
            answer, _ = asked_until_answered(server.port, tls, "/repo/timestamp.der")
            assert status_of(answer) == 200
        shown = set()
        for _ in range(8):
            page = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10).read().decode()
            shown |= {line for line in page.splitlines() if line.startswith("uptane_requests_total{")}
        assert shown == {'uptane_requests_total{method="GET",route="/repo/{name}",status="200"} 20.0'}
    assert server.process.returncode == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert len([event for event in events if event.get("event") == "request"]) == 20
