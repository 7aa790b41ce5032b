"""The API process without agents, until there is `personakit api`: what is recorded is not folded.

PERSONAKIT_DATA_DIR=… PERSONAKIT_PORT=… PERSONAKIT_DATABASE_URL=… python -m bench.api_alone
"""

from __future__ import annotations

import asyncio
import os
from contextlib import closing

from personakit.agents.service import Service
from personakit.cli.up import _serve
from personakit.config import load_settings


def main() -> None:
    """Serves until a signal."""
    settings = load_settings(os.environ)
    if settings.database_url is None:
        raise SystemExit("PERSONAKIT_DATABASE_URL says where the database is.")
    with closing(Service(settings.database_url)) as service:
        asyncio.run(_serve(service, settings, lambda: None))


if __name__ == "__main__":
    main()
