"""Found by every Python that the run starts: the servers' clock is ahead by the seconds in a file.

Python imports a module of this name at its start. Only the run's servers have this folder on their path.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

if "FAULTS_CLOCK" in os.environ:
    from uptane.assembly import production

    _clock = Path(os.environ["FAULTS_CLOCK"])

    def _now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(_clock.read_text(encoding="ascii")))

    production.utc_now = _now
