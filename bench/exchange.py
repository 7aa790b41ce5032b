"""HTTP/1.1 as bytes, as little as the load generator needs: requests made beforehand, answers measured."""

from __future__ import annotations

import json
import socket
from typing import Any

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


def request(method: str, target: str, *, key: str | None = None, body: bytes | None = None) -> bytes:
    """A request over a connection that is kept; `body` is JSON."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def answer_size(received: bytes | bytearray) -> int | None:
    """How many bytes the answer at the front of `received` has with its body; None before its head is
    there. Raises ValueError for an answer that does not give its length."""
    head_end = received.find(_END)
    if head_end < 0:
        return None
    head = bytes(received[:head_end]).lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise ValueError(f"An answer without Content-Length: {bytes(received[:200])!r}")
    line_end = head.find(b"\r\n", at)
    length = head[at + len(_LENGTH) : line_end if line_end >= 0 else None]
    return head_end + len(_END) + int(length)


def status_of(received: bytes | bytearray) -> int:
    """The status of the answer that begins in `received`, as in `HTTP/1.1 201 Created`."""
    return int(received[9:12])


def require_success(received: bytes | bytearray) -> None:
    """Raises AssertionError with what was answered unless the status is 2xx."""
    if not 200 <= status_of(received) < 300:
        raise AssertionError(f"not a 2xx: {bytes(received[:600]).decode(errors='replace')}")


class Connection:
    """One kept connection on which a thread asks and waits."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, sent: bytes) -> Any:
        """The JSON body of the answer to `sent`. Raises AssertionError unless its status is 2xx."""
        self._socket.sendall(sent)
        received = bytearray()
        while (size := answer_size(received)) is None or len(received) < size:
            chunk = self._socket.recv(1 << 18)
            if not chunk:
                raise ConnectionError("The service closed the connection.")
            received += chunk
        require_success(received)
        return json.loads(received[received.find(_END) + len(_END) :])

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()
