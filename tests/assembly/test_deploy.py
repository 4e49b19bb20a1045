"""What lies in deploy/: that commands, settings, ports and names in it are those of the program, and of each other."""

import asyncio
import configparser
import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from certificates import VIN, House, ask, get
from raw_sockets import closed_port

from tests.assembly.test_fronts import DEPLOY, header_of, running, told
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import System, initialise
from uptane.assembly.serving import certificates_of, serving
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import TlsServer, listening
from uptane.cli.main import app
from uptane.metadata.errors import SettingsError
from uptane.services.asgi import Answer, Application, Receive, Scope, Send
from uptane.services.identity import IDENTITY, Identification, Identified, RevokedSerials
from uptane.storage.object_urls import open_objects

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SYSTEMS = [str(system) for system in System]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "uptane"}


def filled(text: str) -> str:
    """Text of a compose file with every variable set."""
    return re.sub(r"\$\{[A-Z_]+:\?\}", "uptane.example.org", text)


def check_command(words: list[str]) -> None:
    """The words after `uptane` are a command, with arguments that it takes."""
    app.parse_args(words, exit_on_error=False, print_error=False)


def settings_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], database: str
) -> Settings:
    """What servers read of these variables, and of a database's URL among the credentials."""
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "uptane_database__url").write_text(f"{database}\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, filled(value))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    known = {
        f"UPTANE_{section}__{key}".upper()
        for section, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    assert {name for name in variables if name.startswith("UPTANE_")} <= known
    write_settings(folder, form="der", database="data/x.sqlite", storage="data/x", names=("localhost",), port=1)
    return load_settings(folder)


def unit(path: Path) -> configparser.ConfigParser:
    """A unit; of keys that stand several times, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=["="])
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def environment_file(name: str) -> dict[str, str]:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    for system in SYSTEMS:
        program, *words = unit(path)["Service"]["ExecStart"].replace("%i", system).split()
        assert Path(program).name == "uptane"
        check_command(words)
    commands = re.findall(r"uptane/?(?:bin/uptane)? (init .*)", path.read_text())
    for command in commands:
        check_command(command.split())
    assert commands or "@" in path.name


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_environment_of_a_unit_is_settings_that_there_are(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = (DEPLOY / "systemd" / "uptane@.service").read_text()
    assert re.findall(r"^EnvironmentFile=(.+)$", service, re.MULTILINE) == [
        "/etc/uptane/%i.env",
        "/etc/uptane/storage.env",
    ]
    assert "LoadCredential=uptane_database__url:/etc/uptane/database-url" in service
    variables = environment_file(f"{system}.env") | environment_file("storage.env")
    database = "postgresql://uptane:secret@localhost/uptane"
    settings = settings_with(tmp_path, monkeypatch, variables, database)
    assert settings.database_url == database and "secret" not in repr(settings)
    assert settings.listen.behind_front and ipaddress.ip_address(settings.listen.host).is_loopback
    open_objects(settings.storage.url)
    fronts = (DEPLOY / "caddy" / "Caddyfile.apart").read_text()
    path = {"director": "", "image-repository": r"/repo/\* ", "timeserver": r"/timeserver/\* "}[system]
    assert re.search(rf"handle {path}\{{\s+import system 127\.0\.0\.1:{settings.listen.port}\s", fronts)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_exposed(path: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    here = tmp_path / path.name
    here.write_text(path.read_text().replace("/usr/local/bin/uptane", str(Path(sys.executable).with_name("uptane"))))
    instance = here if "@" not in path.name else here.with_name("uptane@director.service")
    here.rename(instance)
    for words in (["verify"], ["security", "--offline=yes", "--threshold=20"]):
        done = subprocess.run([program, *words, str(instance)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(tmp_path) not in done.stderr, done.stderr


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_the_compose_file_is_a_command_and_settings_that_there_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = OURS[name]
    check_command([filled(word) for word in service["command"]])
    assert name == "prepare" or service["command"][2:] == [name]
    variables: dict[str, str] = {
        key: value for key, value in service["environment"].items() if key != "CREDENTIALS_DIRECTORY"
    }
    database = "postgresql://uptane:secret@database/uptane"
    settings = settings_with(tmp_path, monkeypatch, variables, database)
    assert settings.database_url == database
    open_objects(settings.storage.url, unsafe_plain_http=settings.storage.unsafe_plain_http)
    front, network = COMPOSE["services"]["front"], COMPOSE["networks"]["inside"]
    (trusted,) = map(ipaddress.ip_network, settings.listen.trusted_fronts)
    assert trusted == ipaddress.ip_network(front["networks"]["inside"]["ipv4_address"])
    assert trusted.subnet_of(ipaddress.ip_network(network["ipam"]["config"][0]["subnet"]))  # type: ignore[arg-type]
    assert network["internal"] is True, "nobody else reaches the servers, whose fronts are trusted"
    assert f":{settings.listen.port} {{" in (DEPLOY / "compose" / "Caddyfile").read_text()


def test_the_names_in_the_compose_file_lead_somewhere() -> None:
    services, folder = COMPOSE["services"], DEPLOY / "compose"
    assert {"director", "image-repository", "timeserver"} == set(OURS) - {"prepare"} == set(SYSTEMS)
    for name, service in services.items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (folder / source).is_file(), name
    for path in re.findall(r"/run/secrets/(\S+)", (folder / "Caddyfile").read_text()):
        assert path in services["front"]["secrets"]
    endpoint = OURS["director"]["environment"]["AWS_ENDPOINT_URL"]
    assert endpoint == "http://storage:8333" and "-s3.port=8333" in services["storage"]["command"]
    names = [word.removeprefix("--name=") for word in OURS["prepare"]["command"] if word.startswith("--name=")]
    assert set(SYSTEMS) < set(names), "the front asks for certificates with these names"
    front = services["front"]
    inside, outside = front["environment"]["UPTANE_FRONT"].rpartition(":")[2], front["ports"][0]
    assert outside == f"443:{inside}"


def test_the_dockerfile_installs_what_there_is_as_the_user_that_the_front_has() -> None:
    text = (DEPLOY / "compose" / "Dockerfile").read_text()
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"'\.\[(.+)\]'", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert json.loads(re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)[0])[0] in project["scripts"]
    (version,) = re.findall(r"^FROM python:3\.(\d+)-slim$", text, re.MULTILINE)
    assert int(version) >= int(project["requires-python"].removeprefix(">=3."))
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((DEPLOY.parent / source).exists() for source in sources)
    (uid,) = re.findall(r"--uid (\d+)", text)
    assert COMPOSE["services"]["front"]["user"] == f"{uid}:{uid}"
    assert COMPOSE["x-uptane"]["build"] == {"context": "../..", "dockerfile": "deploy/compose/Dockerfile"}


def system_called(name: str) -> Application:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        identity = scope[IDENTITY]
        said = {"system": name, "vehicle": identity and identity.vehicle, "path": scope["raw_path"].decode()}
        await Answer(status=200, content_type="application/json", body=json.dumps(said).encode()).send(send)

    return answer


@pytest.mark.parametrize("template", ["caddy/Caddyfile.apart", "compose/Caddyfile"])
def test_a_front_of_three_systems_asks_the_right_one_and_says_who_it_is(template: str, tmp_path: Path) -> None:
    program = shutil.which("caddy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("caddy is not installed")
    house, port = House(tmp_path), closed_port()
    files = house.server()
    config = (DEPLOY / template).read_text()
    backends = (
        ["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"]
        if template == "caddy/Caddyfile.apart"
        else ["director", "image-repository", "timeserver"]
    )
    plain = template == "caddy/Caddyfile.apart"
    known = Identification(revocations=RevokedSerials(()), now=lambda: datetime.now(UTC), fronts=["127.0.0.1"])
    with (
        listening("127.0.0.1", 0) as a,
        listening("127.0.0.1", 0) as b,
        listening("127.0.0.1", 0) as c,
        ServerThread() as servers,
    ):
        for listener, system, backend in zip((a, b, c), SYSTEMS, backends, strict=True):
            tls = (
                None
                if plain
                else server_tls(
                    certificate=files.certificate, key=files.key, client_authorities=house.trusts.read_bytes()
                )
            )
            servers.serve(TlsServer(Identified(system_called(system), known), listener, tls=tls))
            assert config.count(f"import system {backend}\n") == 1
            at = f"127.0.0.1:{listener.getsockname()[1]}"
            config = config.replace(f"import system {backend}\n", f"import system {at}\n")
        config = config.replace("https://{args[0]}:8443", "https://{args[0]}")
        config = config.replace("tls_server_name {args[0]}", "tls_server_name localhost")
        for secret, here in (
            ("authority.pem", house.trusts),
            ("server.pem", files.certificate),
            ("server.key", files.key),
        ):
            config = config.replace(f"/run/secrets/{secret}", str(here))
        (tmp_path / "Caddyfile").write_text(config)
        with running(
            [program, "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"],
            "serving initial configuration",
            UPTANE_FRONT=f"https://localhost:{port}",
            UPTANE_SERVER_CERTIFICATE=str(files.certificate),
            UPTANE_SERVER_KEY=str(files.key),
            UPTANE_AUTHORITIES=str(house.trusts),
            XDG_DATA_HOME=str(tmp_path / "data"),
            XDG_CONFIG_HOME=str(tmp_path / "config"),
        ):
            vehicle, stranger = house.vehicle(), house.stranger()
            for path, system in (
                ("/repo/targets/a%2Fb%20c", "image-repository"),
                ("/timeserver/attestation", "timeserver"),
                ("/director/timestamp.der", "director"),
                ("/devices", "director"),
            ):
                expected: dict[str, Any] = {"system": system, "vehicle": VIN, "path": path}
                assert told(ask(port, vehicle, get(path))) == expected
            stolen = header_of(house.forged())
            assert told(ask(port, stranger, get("/repo/x", stolen)))["vehicle"] is None
            other_protocol = get("/repo/x", "Connection: Upgrade", "Upgrade: websocket")
            assert told(ask(port, vehicle, other_protocol))["vehicle"] == VIN, "the front passes that on"


def test_a_server_behind_a_front_serves_plain_http_to_whom_the_front_names(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    write_settings(tmp_path, form="der", database="data/x.sqlite", storage="data/x", names=("localhost",), port=0)
    text = (tmp_path / "uptane.toml").read_text()

    def with_lines(*lines: str) -> Settings:
        (tmp_path / "uptane.toml").write_text(text.replace("[listen]\n", "\n".join(["[listen]", *lines, ""])))
        return load_settings(tmp_path)

    with pytest.raises(SettingsError, match="behind_front needs trusted_fronts"):
        with_lines("behind_front = true")
    settings = with_lines("behind_front = true", 'trusted_fronts = ["127.0.0.1"]')

    async def work() -> None:
        await initialise(settings)
        shutil.copytree(house.folder / "authority", certificates_of(settings), dirs_exist_ok=True)
        with listening("127.0.0.1", 0) as listener:
            async with serving(settings, frozenset(System), listener) as server:
                await server.start()
                try:
                    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as front:
                        header = dict([header_of(house.credentials().file.read_bytes()).split(": ", 1)])
                        assert (await front.get("/repo/timestamp.der", headers=header)).status_code == 200
                        assert (await front.get("/repo/timestamp.der")).status_code == 401
                finally:
                    await server.stop()

    asyncio.run(work())


def test_the_commands_of_the_page_on_deploying_are_commands_that_there_are() -> None:
    page = (DEPLOY.parent / "docs" / "operations" / "deploy.md").read_text()
    blocks = "".join(re.findall(r"```\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    commands = re.findall(r"(?:^|[ /])uptane (init|vehicle|image)( [^\n&]+)", blocks)
    assert len(commands) == 4
    for name, rest in commands:
        check_command([name, *shlex.split(rest)])
    for path in re.findall(r"deploy/([\w/@.-]+[\w])", page):
        assert (DEPLOY / path).exists(), path


def test_a_secret_among_the_credentials_stands_over_the_file_and_below_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(tmp_path, monkeypatch, {}, "postgresql://a:b@c/d")
    assert settings.database_url == "postgresql://a:b@c/d" and settings.listen.port == 1
    monkeypatch.setenv("UPTANE_DATABASE__URL", "postgresql://e:f@g/h")
    assert load_settings(tmp_path).database_url == "postgresql://e:f@g/h"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="no folder"):
        load_settings(tmp_path)
