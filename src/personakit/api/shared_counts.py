"""Where the processes behind one port count together: files in a folder that the environment names.

The library decides by that variable, when it is imported, whether counts are kept in files: so this module
does not import it, and the entry sets the variable first.
"""

from __future__ import annotations

import os
from pathlib import Path

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def forget_the_dead() -> None:
    """Drops the gauges of processes that have ended. What they counted stays."""
    for path in Path(os.environ[SHARED_FOLDER]).glob("gauge_live*_*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
