"""The limit for every request: an empty handler, on the server that serves the API, with its settings.

python -m bench.hello PORT
"""

from __future__ import annotations

import sys

from granian.constants import Interfaces
from granian.server import Server
from litestar import Litestar, get

from bench.serving import PROCESSES


@get("/")
async def hello() -> None:
    """Nothing."""


app = Litestar([hello], openapi_config=None, logging_config=None)


def main(port: int) -> None:
    """Serves until a signal, as `personakit api` does: in as many processes."""
    Server(
        "bench.hello:app",
        address="127.0.0.1",
        port=port,
        workers=PROCESSES,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
