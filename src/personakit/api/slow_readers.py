"""Whoever does not read an answer is not waited for without end: the system ends the connection."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

UNREAD_SECONDS: Final = 30
"""How long what was sent may stay unread."""
_OPEN_FILES: Final = Path("/proc/self/fd")
_LOOK_SECONDS, _LOOKS = 0.05, 600


def bound_unread_answers(port: int) -> None:
    """Lets this process's server at `port` end connections whose other end has not read for UNREAD_SECONDS.

    The server has no such setting, but the system has, and a connection inherits it from the socket that it
    came by. That socket is opened after the application has started, so a thread looks out for it. Where the
    system is another than Linux nothing is done.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and _OPEN_FILES.is_dir():
        threading.Thread(target=_bound, args=(port,), name="slow-readers", daemon=True).start()


def _bound(port: int) -> None:
    for _ in range(_LOOKS):
        if found := list(_listening(port)):
            for listener in found:
                with listener:
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
            return
        time.sleep(_LOOK_SECONDS)


def _listening(port: int) -> Iterator[socket.socket]:
    """Our sockets that listen there; each is another handle on the server's own."""
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 - names are wanted, some of which are gone by now
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            handle = socket.socket(fileno=os.dup(int(name)))
            if _listens_at(handle, port):
                yield handle
            else:
                handle.close()


def _listens_at(handle: socket.socket, port: int) -> bool:
    if handle.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    listens = handle.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(listens) and bool(handle.getsockname()[1] == port)
