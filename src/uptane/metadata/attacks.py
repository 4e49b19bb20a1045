"""The names of the attacks that the Standard's threat list knows (section 4.3)."""

from enum import StrEnum


class Attack(StrEnum):
    """A threat of the Standard's section 4.3, or a refinement of one, as it is named in reports."""

    EAVESDROP = "eavesdrop"
    DROP_REQUEST = "drop-request"
    SLOW_RETRIEVAL = "slow retrieval"
    FREEZE = "freeze"
    PARTIAL_BUNDLE = "partial bundle installation"
    ROLLBACK = "rollback"
    ENDLESS_DATA = "endless data"
    MIXED_BUNDLES = "mixed bundles"
    MIX_AND_MATCH = "mix-and-match"
    ARBITRARY_SOFTWARE = "arbitrary software"
    REPLAY = "replay"
    SPOOFING = "spoofing"
    DENIAL_OF_SERVICE = "denial of service"
