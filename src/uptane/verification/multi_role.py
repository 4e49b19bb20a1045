"""How multi-role delegations agree (5.4.4.8): enough roles must say the same of an image."""

from collections.abc import Sequence

from uptane.metadata.targets import Image


def agree(answers: Sequence[Image | None], needed: int) -> Image | None:
    """The image that at least `needed` roles describe alike, in length, hashes and must-match data.

    Args:
        answers: what each role of the delegation says, in their order; None where it lists nothing.
        needed: how many must agree.

    Returns:
        The answer of the group that holds the earliest role, or None when no group is large enough.
    """
    for image in answers:
        if image is None:
            continue
        alike = [
            other
            for other in answers
            if other is not None and other.file == image.file and other.custom.must_match == image.custom.must_match
        ]
        if len(alike) >= needed:
            return image
    return None
