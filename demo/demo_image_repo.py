"""di: the Image repository."""

from demo.services_window import desk
from uptane.demonstration.image_repository_console import ImageRepositoryConsole

_console = ImageRepositoryConsole(desk)

clean_slate = _console.clean_slate
add_target_to_imagerepo = _console.add_target_to_imagerepo
write_to_live = _console.write_to_live
add_target_and_write_to_live = _console.add_target_and_write_to_live
host = _console.host
kill_server = _console.kill_server
delegate = _console.delegate
add_target_to_role = _console.add_target_to_role
revoke_delegated_keys = _console.revoke_delegated_keys
sign_with_stolen_supplier_key_attack = _console.sign_with_stolen_supplier_key_attack
mitm_arbitrary_package_attack = _console.mitm_arbitrary_package_attack
undo_mitm_arbitrary_package_attack = _console.undo_mitm_arbitrary_package_attack
keyed_arbitrary_package_attack = _console.keyed_arbitrary_package_attack
undo_keyed_arbitrary_package_attack = _console.undo_keyed_arbitrary_package_attack
revoke_compromised_keys = _console.revoke_compromised_keys
