"""How a service listens: where, to whom, and for how long it hears one out."""

from __future__ import annotations

import ipaddress
import resource
import socket
from typing import Any, Final

from granian.constants import HTTPModes
from granian.http import HTTP1Settings

from personakit.api.position_waits import MOST_WAITING as MOST_POSITION_WAITS
from personakit.api.sync.waiting import MOST_WAITING
from personakit.config import SettingInvalid, Settings
from personakit.eventlog.access import any_key_opens
from personakit.eventlog.recorder import LogRecorder

CONNECTIONS: Final = MOST_WAITING + MOST_POSITION_WAITS + 1024
"""How many connections one process serves at a time: those that wait leave room for others."""
FEWEST_CONNECTIONS: Final = 128
OWN_FILES: Final = 256
"""What a process opens besides them: connections to the database, files, its log."""
HEAD_SECONDS: Final = 10
"""From the opening of a connection, or the end of an answer, to the end of the next request's head."""
HEAD_BYTES: Final = 64 * 1024


def listening(settings: Settings) -> dict[str, Any]:
    """What both kinds of server are told."""
    return {
        "address": settings.host,
        "port": settings.port,
        "backpressure": connections(),
        "websockets": False,
        "log_enabled": False,
        # HTTP/2 is for the proxy before it. Where the server has to find out which of the two somebody
        # speaks, it waits for ever for one who says nothing.
        "http": HTTPModes.http1,
        "http1_settings": HTTP1Settings(
            header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=HEAD_BYTES, pipeline_flush=False
        ),
    }


def connections() -> int:
    """How many connections a process may serve: CONNECTIONS, or what the system lets it open, which is raised
    as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OWN_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(FEWEST_CONNECTIONS, allowed - OWN_FILES)


def refuse_taken_port(settings: Settings) -> None:
    """Raises SettingInvalid, before anything is started, when the address cannot be listened on."""
    try:
        version = ipaddress.ip_address(settings.host).version
    except ValueError:
        raise SettingInvalid(
            f"PERSONAKIT_HOST is {settings.host!r}; it must be an address, such as 127.0.0.1 or ::1."
        ) from None
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingInvalid(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Another service may "
                "be running there; choose another port with --port or PERSONAKIT_PORT."
            ) from None


def refuse_unasked_exposure(settings: Settings) -> None:
    """Raises SettingInvalid for an address that others can reach, unless that is said to be wanted."""
    if is_remote(settings.host) and not settings.allow_remote:
        raise SettingInvalid(
            f"{settings.host} can be reached from other machines: say that this is wanted, with "
            "--allow-remote or PERSONAKIT_ALLOW_REMOTE=1, or leave PERSONAKIT_HOST at 127.0.0.1."
        )


def refuse_exposure_without_keys(settings: Settings, recorder: LogRecorder) -> None:
    """Raises SettingInvalid for an address that others can reach while no key opens anything: nobody has
    decided yet who may come in."""
    if is_remote(settings.host) and not any_key_opens(recorder):
        raise SettingInvalid(
            f"{settings.host} can be reached from other machines, and there is no API key yet: make one "
            "first, with personakit keys create."
        )


def is_remote(host: str) -> bool:
    """Whether others than this machine reach what listens there."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
