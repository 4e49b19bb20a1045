"""`di`: the Image repository as the services window types it."""

from collections.abc import Mapping, Sequence

from uptane.assembly.servers import folder_site, image_repository_over_folder
from uptane.demonstration.console import command, say
from uptane.demonstration.desk import Desk, now, wipe
from uptane.demonstration.image_repository_attacks import EVIL, ImageRepositoryAttacks
from uptane.demonstration.settings import Settings
from uptane.demonstration.stack import FolderStack, Stack
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import DelegatedRole, Delegation
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, PathPattern, RoleName
from uptane.metadata.root import Role, RoleKeys
from uptane.metadata.targets import Custom, MustMatch
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.folders import described

KEYS = {
    Role.ROOT: "mainroot",
    Role.TARGETS: "maintargets",
    Role.SNAPSHOT: "mainsnapshot",
    Role.TIMESTAMP: "maintimestamp",
}
FIRST_IMAGES = ("INFO1.0.txt", "TCU1.0.txt", "TCU1.1.txt", "TCU1.2.txt", "BCU1.0.txt", "BCU1.1.txt", "BCU1.2.txt")
UNLISTED = ("file1.txt", "infotainment_firmware.txt")
FRESH = "Fresh firmware image"


class ImageRepositoryConsole(ImageRepositoryAttacks):
    """The functions of the Image repository.

    `key_names` says under which names its keys are kept.

    Args:
        desk: the services window.
        stack: what its servers stand on; folders where nothing is given.
    """

    key_names: Mapping[Role, str] = KEYS

    def __init__(self, desk: Desk, stack: Stack | None = None) -> None:
        self.settings: Settings = desk.settings
        self.stack = stack or FolderStack(desk.settings)
        self._desk = desk
        self._repository: ImageRepository | None = None
        self._signers: dict[Role, KeySigner] = {}
        self._supplier_keys: dict[RoleName, KeySigner] = {}
        self._rotations = 0
        self._supplier_rotations = 0

    @property
    def repository(self) -> ImageRepository:
        """The repository; UptaneError before `clean_slate`."""
        if self._repository is None:
            raise UptaneError("there is no Image repository yet", next_step="Run di.clean_slate() first.")
        return self._repository

    @command
    def clean_slate(self, use_new_keys: bool = False) -> None:
        """Wipes `imagerepo/`, makes a repository with seven images, and hosts it."""
        self._desk.check_ports(self.settings.ports.image_repository)
        wipe(self.settings.image_repository)
        if use_new_keys:
            self._desk.replace_keys(*self.key_names.values())
        repository = image_repository_over_folder(self.settings.profile, self.settings.image_repository)
        self._begin(repository)
        repository.stage_root(new_root({role: [signer] for role, signer in self._signers.items()}))
        self._fill()

    def _begin(self, repository: ImageRepository) -> None:
        self._signers = {role: self._desk.signer(name) for role, name in self.key_names.items()}
        self._rotations, self._supplier_rotations, self._supplier_keys = 0, 0, {}
        self._repository = repository
        repository.add_signers(self._signers.values())

    def _fill(self) -> None:
        for name in UNLISTED:
            self._desk.run(self.repository.store_image(ImagePath(name), f"Contents of {name}".encode()))
        for name in FIRST_IMAGES:
            self._desk.run(self.repository.add_image(ImagePath(name), f"Contents of {name}\n".encode()))
        self._desk.run(self.repository.publish(now()))
        self._host()

    @command
    def add_target_to_imagerepo(
        self,
        target_fname: str,
        filepath_in_repo: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        """Adds a file to the top-level Targets role; `write_to_live()` publishes it."""
        self._add(target_fname, filepath_in_repo, None, release_counter, hardware_ids)

    @command
    def list_target_at_imagerepo(
        self,
        target_fname: str,
        filepath_in_repo: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        """As `add_target_to_imagerepo`, for a file that nobody may download in plain: it is listed and not hosted."""
        file = described(ImagePath(filepath_in_repo), read_image(self.settings, target_fname))
        custom = custom_of(release_counter, hardware_ids)
        self._desk.run(self.repository.add_image(file.path, file, custom=custom))

    def _add(
        self,
        target_fname: str,
        filepath_in_repo: str,
        role: str | None,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        data = read_image(self.settings, target_fname)
        path, custom = ImagePath(filepath_in_repo), custom_of(release_counter, hardware_ids)
        if role is None:
            self._desk.run(self.repository.add_image(path, data, custom=custom))
        else:
            self._desk.run(self.repository.add_image(path, data, custom=custom, role=RoleName(role)))

    @command
    def write_to_live(self) -> None:
        """Signs and publishes; Snapshot and Timestamp rise even without a change."""
        self._desk.run(self.repository.publish(now()))

    @command
    def add_target_and_write_to_live(self, filename: str, file_content: str) -> None:
        """Writes a file with that text, adds it and publishes."""
        self._add_and_write(filename, file_content)

    def _add_and_write(self, filename: str, file_content: str) -> None:
        write_image(self.settings, filename, file_content)
        self._add(filename, filename, None)
        self._desk.run(self.repository.publish(now()))

    @command
    def host(self) -> None:
        """Starts the HTTP server, if it does not run."""
        self._host()

    def _host(self) -> None:
        port = self.settings.ports.image_repository
        if self._desk.servers.serves(port):
            say("The Image repository is hosted already.")
            return
        self._desk.servers.start(folder_site(self.settings.profile, self.settings.image_repository), [port])
        say(f"Image repository hosted at {self.settings.url(port)}")

    @command
    def kill_server(self) -> None:
        """Stops the HTTP server."""
        self._desk.servers.stop(self.settings.ports.image_repository)

    @command
    def delegate(
        self,
        role: str,
        paths: Sequence[str],
        terminating: bool = False,
        hardware_ids: Sequence[str] | None = None,
        delegator: str = "targets",
    ) -> None:
        """Lets a supplier's role sign for these paths, with a key of its own, and publishes that.

        Args:
            role: the name of the role, such as `supplier`.
            paths: patterns such as `supplier/*`.
            terminating: whether the search ends with this role.
            hardware_ids: the hardware it may sign for; any when not given.
            delegator: the role that delegates.
        """
        if not paths:
            raise UptaneError("a delegation needs one or more paths", next_step="Give patterns such as 'supplier/*'.")
        signer = self._desk.signer(f"role_{RoleName(role)}")
        self._desk.run(
            self.repository.delegate(
                Delegation(
                    roles=(_role(role, signer),),
                    paths=tuple(PathPattern(path) for path in ([paths] if isinstance(paths, str) else paths)),
                    hardware_ids=_hardware(hardware_ids),
                    terminating=terminating,
                ),
                [signer.key],
                delegator=RoleName(delegator),
            )
        )
        self.repository.add_signers([signer])
        self._desk.run(self.repository.publish(now()))
        if terminating:
            say(f"Role {role} is terminating: for its paths no later role is asked, also where it lists no image.")
        self._supplier_keys.setdefault(RoleName(role), signer)

    @command
    def add_target_to_role(
        self,
        role: str,
        target_fname: str,
        filepath_in_repo: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        """Adds a file to a delegated role, signed with that role's key; `write_to_live()` publishes it."""
        self._add(target_fname, filepath_in_repo, role, release_counter, hardware_ids)

    @command
    def revoke_delegated_keys(self, role: str, delegator: str = "targets") -> None:
        """Trusts a new key for a delegated role instead of the present one, and publishes that.

        The role lists no image then: its owner adds again what it vouches for.
        """
        self._supplier_rotations += 1
        signer = self._desk.signer(f"new{self._supplier_rotations}_role_{RoleName(role)}")
        self.repository.add_signers([signer])
        self._desk.run(
            self.repository.replace_role_keys(
                RoleName(role), {signer.key.key_id: signer.key}, delegator=RoleName(delegator)
            )
        )
        self._desk.run(self.repository.publish(now()))

    @command
    def keyed_arbitrary_package_attack(self, target_filepath: str) -> None:
        """3.5: signs an evil image with the stolen Targets key."""
        self._add_and_write(target_filepath, EVIL)

    @command
    def undo_keyed_arbitrary_package_attack(self, target_filepath: str) -> None:
        """3.6: revokes the stolen keys and signs the fresh image again."""
        self._revoke()
        self._add_and_write(target_filepath, FRESH)

    @command
    def revoke_compromised_keys(self) -> None:
        """3.6: the Root key revokes the Targets, Snapshot and Timestamp keys and names new ones."""
        self._revoke()

    def _revoke(self) -> None:
        new = self._new_keys()
        self._signers.update(new)
        self.repository.add_signers(new.values())
        self.repository.stage_root(new_root({role: [signer] for role, signer in self._signers.items()}))
        self._desk.run(self.repository.renew())
        self._desk.run(self.repository.publish(now()))

    def _new_keys(self) -> dict[Role, KeySigner]:
        self._rotations += 1
        return new_keys(self._desk, self.key_names, self._rotations)


def new_keys(desk: Desk, names: Mapping[Role, str], rotation: int) -> dict[Role, KeySigner]:
    """The keys in place of stolen ones: of every role but Root, beside the files of those before."""
    prefix = "new_" if rotation == 1 else f"new{rotation}_"
    return {role: desk.signer(prefix + name) for role, name in names.items() if role != Role.ROOT}


def _role(name: str, signer: KeySigner) -> DelegatedRole:
    return DelegatedRole(name=RoleName(name), keys=RoleKeys(key_ids=(signer.key.key_id,), threshold=1))


def custom_of(release_counter: int | None, hardware_ids: Sequence[str] | None) -> Custom:
    """Custom data with what was given."""
    return Custom(must_match=MustMatch(release_counter=release_counter, hardware_ids=_hardware(hardware_ids)))


def _hardware(hardware_ids: Sequence[str] | None) -> tuple[HardwareIdentifier, ...] | None:
    """The identifiers; a text alone is one of them, not one for each letter."""
    if hardware_ids is None:
        return None
    return tuple(HardwareIdentifier(one) for one in ([hardware_ids] if isinstance(hardware_ids, str) else hardware_ids))


def read_image(settings: Settings, name: str) -> bytes:
    """The bytes of an image file in the working directory; UptaneError when there is none."""
    if not isinstance(name, str) or "\0" in name:
        raise UptaneError(f"not the name of an image file: {name!r}", next_step="Give a path such as 'firmware.img'.")
    path = settings.folder / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise UptaneError(
            f"image file {path} cannot be read: {error.strerror}",
            next_step="Write the file first, or give the path of one that exists.",
        ) from error


def write_image(settings: Settings, name: str, content: str) -> None:
    """Writes an image file into the working directory."""
    path = settings.folder / ImagePath(name)
    if not isinstance(content, str):
        raise UptaneError(
            f"file_content must be text, not {type(content).__name__}", next_step="Give a text in quotes."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    except OSError as error:
        raise UptaneError(
            f"image file {path} cannot be written: {error.strerror}", next_step="Choose another name or folder."
        ) from error
