"""Window 1: `python -i demo/start_servers.py [--format der|json]` starts the three services as di, dd and dt."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from uptane.demonstration.start import chosen_format, start

if (chosen := chosen_format(sys.argv[1:])) is not None:
    os.environ["UPTANE_DEMO__FORMAT"] = chosen

import demo.demo_director as dd
import demo.demo_image_repo as di
import demo.demo_timeserver as dt

start(di.clean_slate, dd.clean_slate, dt.listen)
