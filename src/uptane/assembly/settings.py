"""The settings of production servers: one TOML file, over it files of secrets, over them the environment.

A secret is a file `uptane_section__key` in the folder that `CREDENTIALS_DIRECTORY` names, as systemd hands it to a
service; in the environment it is `UPTANE_SECTION__KEY`.
"""

import json
import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of
from uptane.metadata.errors import SettingsError
from uptane.vehicle.polling import DEFAULT_POLL_SECONDS, MAX_POLL_SECONDS, MIN_POLL_SECONDS

FILE_NAME = "uptane.toml"

MetadataFormat = Literal["der", "json"]

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"


def _loopback(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (ip_address(host.strip("[]")).is_loopback and port.isdecimal() and int(port) <= 65535):
        raise ValueError("a loopback address and a port are needed, such as 127.0.0.1:9100")
    return text


def _network(text: str) -> str:
    ip_network(text)
    return text


def _database(url: SecretStr) -> SecretStr:
    if url.get_secret_value().lower().startswith(("sqlite:", "sqlite+")):
        raise ValueError("a file for SQLite is named without sqlite://, so that no two servers use it at once")
    return url


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """Where the inventory is.

    Args:
        url: a file name for SQLite, relative to the settings, or `postgresql://USER:PASSWORD@HOST/NAME`.
    """

    url: Annotated[SecretStr, AfterValidator(_database)] = SecretStr("data/inventory.sqlite")


class Storage(_Section):
    """Where published metadata and images of the Image repository are.

    Args:
        url: a folder, relative to the settings, or `s3://BUCKET/PREFIX` and the like. What else object storage needs
            is in the environment, such as `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
        unsafe_plain_http: whether object storage may be reached without TLS.
    """

    url: str = "data/image-repository"
    unsafe_plain_http: bool = False


class Keys(_Section):
    """The online keys.

    Args:
        folder: relative to the settings.
    """

    folder: str = "keys"


class Certificates(_Section):
    """The built-in certificate authority.

    Args:
        folder: relative to the settings.
        vehicle_days: how long a vehicle's certificate is valid.
    """

    folder: str = "certificates"
    vehicle_days: int = Field(default=365, ge=1, le=3650)


class Listen(_Section):
    """Where vehicles connect.

    Args:
        host, port: the address; port 0 is any free one.
        names: host names and addresses in the server's certificate.
        workers: processes; more than one needs PostgreSQL.
        poll_seconds: how long a vehicle is asked to wait before its next cycle, on average.
        admin: a loopback address and port, such as `127.0.0.1:9100`, for `/metrics`, `/healthz` and `/readyz` in plain
            HTTP; where it is empty, nobody does.
        unsafe_xmlrpc: a loopback address and port for the XML-RPC door of the walkthrough. It asks nobody who he is:
            whoever can connect to it registers ECUs and hands in manifests for any vehicle. Where it is empty, there is
            no such door.
        trusted_fronts: networks whose proxies end TLS and name the vehicle in a header.
        behind_front: whether such a front on the same machine is the only client: plain HTTP on a loopback address.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8443, ge=0, le=65535)
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    workers: int = Field(default=1, ge=1, le=64)
    poll_seconds: int = Field(default=DEFAULT_POLL_SECONDS, ge=MIN_POLL_SECONDS, le=MAX_POLL_SECONDS)
    admin: Annotated[str, AfterValidator(_loopback)] = ""
    unsafe_xmlrpc: Annotated[str, AfterValidator(_loopback)] = ""
    trusted_fronts: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    behind_front: bool = False

    @model_validator(mode="after")
    def _knows_its_front(self) -> "Listen":
        if self.behind_front and not self.trusted_fronts:
            raise ValueError("behind_front needs trusted_fronts, or nobody could say which vehicle it is")
        return self


class Log(_Section):
    """What the servers log on standard error.

    Args:
        format: `json`, `text`, or `auto`: text at a terminal, else JSON.
        level: `debug` has the requests too that are answered with nothing new.
    """

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Everything that production servers can be told.

    Args:
        format: of all metadata.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="UPTANE_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    folder: Path = Field(default=Path(), exclude=True)
    format: MetadataFormat = "der"
    database: Database = Database()
    storage: Storage = Storage()
    keys: Keys = Keys()
    certificates: Certificates = Certificates()
    listen: Listen = Listen()
    log: Log = Log()

    @property
    def profile(self) -> Profile:
        """The metadata format with its rules."""
        return profile_of(self.format)

    @property
    def database_url(self) -> str:
        """A URL, or an absolute file name."""
        url = self.database.url.get_secret_value()
        return url if "://" in url else str(self.folder / url)

    def place(self, name: str) -> Path:
        """A folder of the settings, absolute."""
        return self.folder / name

    def with_workers(self, workers: int | None) -> "Settings":
        """The same with so many processes; None changes nothing."""
        if workers is None:
            return self
        return self.model_copy(update={"listen": self.listen.model_copy(update={"workers": workers})})

    def with_log_format(self, form: Literal["auto", "json", "text"] | None) -> "Settings":
        """The same with this format of the log; None changes nothing."""
        return self if form is None else self.model_copy(update={"log": self.log.model_copy(update={"format": form})})

    def to_json(self) -> str:
        """All of them, secrets too, for a process of our own; `Settings(**json.loads(...))` is the inverse."""
        return json.dumps({**self.model_dump(), "folder": str(self.folder)}, default=SecretStr.get_secret_value)


def load_settings(path: Path) -> Settings:
    """The settings in a file, or in `uptane.toml` of a folder.

    Raises:
        SettingsError: there is no such file, or something in it is not a setting, or not a usable one.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise SettingsError(
            f"there are no settings at {file}",
            next_step="Name the folder of your servers (--servers FOLDER), or make one with: uptane init FOLDER.",
            path=str(file),
        )

    credentials = os.environ.get(CREDENTIALS_VARIABLE)
    if credentials is not None and not Path(credentials).is_dir():
        raise SettingsError(
            f"{CREDENTIALS_VARIABLE} names {credentials}, which is no folder",
            next_step="Correct the variable, or take it away.",
            path=credentials,
        )

    class _FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            secrets = NestedSecretsSettingsSource(
                file_secret_settings,
                secrets_dir=credentials,
                secrets_dir_missing="error",
                secrets_prefix="UPTANE_",
                secrets_nested_delimiter="__",
            )
            return init_settings, env_settings, secrets, TomlConfigSettingsSource(settings_cls, file)

    try:
        return _FromFile(folder=file.parent.resolve())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        wrong = "is no setting" if first["type"] == "extra_forbidden" else f"is not usable: {_lower(first['msg'])}"
        raise SettingsError(
            f"{where} in {file} {wrong}", next_step="Correct the file, or the variable.", path=str(file), field=where
        ) from None
    except ValueError as error:
        raise SettingsError(f"{file} is not TOML: {error}", next_step="Correct the file.", path=str(file)) from error


def _lower(message: str) -> str:
    return re.sub(r"^[A-Z]", lambda first: first[0].lower(), message)


_TEMPLATE = """\
# The settings of uptane's servers. Every value can be set in the environment too: UPTANE_LISTEN__PORT=8443.
format = "{form}"                 # of all metadata: der or json; it cannot be changed later

[database]
url = "{database}"                # a file for SQLite, or postgresql://USER:PASSWORD@HOST/NAME

[storage]
url = "{storage}"                 # what the Image repository publishes: a folder, or s3://BUCKET/PREFIX

[keys]
folder = "keys"                   # the online keys; those of Root may be kept elsewhere (docs/operations/servers.md)

[certificates]
folder = "certificates"           # the built-in certificate authority
vehicle_days = 365

[listen]
host = "127.0.0.1"
port = {port}
names = [{names}]                 # in the server's certificate
poll_seconds = 3600               # how long a vehicle waits between two cycles, on average
# admin = "127.0.0.1:9100"        # /metrics, /healthz and /readyz in plain HTTP, on a loopback address only

[log]
format = "auto"                   # json, text, or text at a terminal and else json
level = "info"                    # debug has the requests too that are answered with nothing new
"""


def write_settings(folder: Path, *, form: str, database: str, storage: str, names: tuple[str, ...], port: int) -> None:
    """Writes `uptane.toml`, readable by its owner alone as it may hold a password.

    Raises:
        SettingsError: there are settings already, or a value would break the file.
    """
    file = folder / FILE_NAME
    if any(set(value) & set('"\\\n') for value in (database, storage, *names)):
        raise SettingsError("a quotation mark, backslash or line end cannot be part of a setting", field="database")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    listed = ", ".join(f'"{name}"' for name in names)
    text = _TEMPLATE.format(form=form, database=database, storage=storage, names=listed, port=port)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingsError(f"{file} exists", next_step="Edit it, or name another folder.", path=str(file)) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as writer:
        writer.write(text)
