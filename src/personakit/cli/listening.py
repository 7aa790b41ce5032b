"""Where a service listens: is the address free?"""

from __future__ import annotations

import socket
from typing import Final

from personakit.api.sync.waiting import MOST_WAITING
from personakit.config import SettingInvalid, Settings

CONNECTIONS: Final = MOST_WAITING + 1024
"""How many connections one process serves at a time: those that wait for changes leave room for others."""


def refuse_taken_port(settings: Settings) -> None:
    """Raises SettingInvalid, before anything is started, when the address cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingInvalid(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Another service may "
                "be running there; choose another port with --port or PERSONAKIT_PORT."
            ) from None
