"""A web application of two forked workers that share one store.

    POST /people/ada/check-ins   {"mood": 4}     answered when it is on the disk
    GET  /people/ada/suggestions                 from the cache, whether the service is there or not

The client is made before the fork, as a preloaded application's is: each worker goes on with connections and
threads of its own, and whichever holds the store's lock sends what all of them took.
Settings: PERSONAKIT_URL, PERSONAKIT_API_KEY, STORE, MAPPER, PORT.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from personakit_sdk import InvalidInput, NotCached, PersonaKit

WORKERS = 2
MAPPER = os.environ.get("MAPPER", "wellbeing_companion")
Start = Callable[[str, list[tuple[str, str]]], object]


def application(kit: PersonaKit) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    """The WSGI application over a client."""

    def respond(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        status, answer = route(kit, environ)
        body = json.dumps({**answer, "worker": os.getpid()}).encode()
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return respond


def route(kit: PersonaKit, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Status and answer of a request."""
    match environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/").split("/"):
        case "POST", ["people", person, "check-ins"]:
            said = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            return observe(kit, person, said)
        case "GET", ["people", person, "suggestions"]:
            return suggest(kit, person)
        case _:
            return "404 Not Found", {"error": "There is no such page."}


def observe(kit: PersonaKit, person: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Takes a check-in."""
    try:
        return "202 Accepted", {"id": str(kit.observe(person, "check_in", said, source="web"))}
    except InvalidInput as error:
        return "422 Unprocessable Content", {"error": str(error)}


def suggest(kit: PersonaKit, person: str) -> tuple[str, dict[str, Any]]:
    """What is suggested to a person now."""
    try:
        answer = kit.map_persona(MAPPER, person)
    except NotCached as error:
        return "404 Not Found", {"error": str(error)}
    return "200 OK", {
        "suggestions": [each.title for each in answer.suggestions],
        "position": answer.data.position,
    }


class QuietHandler(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Says nothing."""


class Server(WSGIServer):
    """Accepts on a socket that all workers share."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), QuietHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()
        self.setup_environ()


def main() -> None:
    kit = PersonaKit(
        os.environ.get("PERSONAKIT_URL", "http://127.0.0.1:8042"),
        os.environ["PERSONAKIT_API_KEY"],
        store=os.environ.get("STORE", "web.db"),
        sync_every=float(os.environ.get("SYNC_EVERY", "60")),
    )
    listening = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
    workers = [work(kit, listening) for _ in range(WORKERS)]
    print(f"http://127.0.0.1:{listening.getsockname()[1]} with workers {workers}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(worker, signal.SIGTERM) for worker in workers])
    for worker in workers:
        os.waitpid(worker, 0)
    kit.close()


def work(kit: PersonaKit, listening: socket.socket) -> int:
    """Forks a worker; its process id."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # what was taken is on the disk
    server = Server(listening)
    server.set_app(application(kit))
    server.serve_forever()
    os._exit(0)


if __name__ == "__main__":
    main()
