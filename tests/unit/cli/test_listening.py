"""How a service listens: HTTP/1 alone, with bounds, and with as many files as that takes."""

from __future__ import annotations

import resource
import socket
from unittest.mock import MagicMock

import pytest
from granian.constants import HTTPModes

from personakit.cli import listening
from personakit.cli.listening import CONNECTIONS, FEWEST_CONNECTIONS, OWN_FILES, connections
from personakit.config import SettingInvalid, WebSettings, load_settings

Limit = tuple[int, int]


def test_a_server_is_told_every_bound_that_it_has() -> None:
    told = listening.listening(load_settings({"PERSONAKIT_PORT": "8043"}))
    assert (told["address"], told["port"], told["http"]) == ("127.0.0.1", 8043, HTTPModes.http1)
    assert told["http1_settings"].header_read_timeout == listening.HEAD_SECONDS * 1000
    assert told["http1_settings"].max_buffer_size == listening.HEAD_BYTES
    assert told["backpressure"] == connections()


@pytest.mark.parametrize(
    ("soft", "hard", "served", "raised"),
    [
        (1024, 4096, CONNECTIONS, (CONNECTIONS + OWN_FILES, 4096)),
        (1024, resource.RLIM_INFINITY, CONNECTIONS, (CONNECTIONS + OWN_FILES, resource.RLIM_INFINITY)),
        (256, 1024, 1024 - OWN_FILES, (1024, 1024)),
        (8192, 8192, CONNECTIONS, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, CONNECTIONS, None),
        (64, 64, FEWEST_CONNECTIONS, None),
    ],
)
def test_a_process_may_open_what_it_serves_or_serves_what_it_may_open(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, served: int, raised: Limit | None
) -> None:
    set_to: list[Limit] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: set_to.append(limit))
    assert connections() == served
    assert set_to == ([] if raised is None else [raised])


def test_what_the_web_is_told_is_a_setting() -> None:
    environ = {
        "PERSONAKIT_RATE_REQUESTS": "20",
        "PERSONAKIT_RATE_ITEMS": "0.5",
        "PERSONAKIT_CORS_ORIGINS": "https://App.example.org, http://localhost:3000,",
        "PERSONAKIT_ALLOWED_HOSTS": "API.example.org,[::1]:8042",
        "PERSONAKIT_BEHIND_TLS": "1",
    }
    assert load_settings(environ).web == WebSettings(
        requests_rate=20,
        items_rate=0.5,
        cors_origins=frozenset({"https://app.example.org", "http://localhost:3000"}),
        hosts=frozenset({"api.example.org", "[::1]:8042"}),
        behind_tls=True,
    )
    assert load_settings({}).web == WebSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PERSONAKIT_RATE_REQUESTS", "0"),
        ("PERSONAKIT_RATE_ITEMS", "many"),
        ("PERSONAKIT_CORS_ORIGINS", "*"),
        ("PERSONAKIT_CORS_ORIGINS", "https://app.example.org/"),
        ("PERSONAKIT_CORS_ORIGINS", "app.example.org"),
        ("PERSONAKIT_CORS_ORIGINS", "https://*.example.org"),
        ("PERSONAKIT_ALLOWED_HOSTS", "*"),
        ("PERSONAKIT_ALLOWED_HOSTS", "https://api.example.org"),
        ("PERSONAKIT_BEHIND_TLS", "yes"),
        ("PERSONAKIT_ALLOW_REMOTE", "true"),
    ],
)
def test_a_setting_that_is_none_is_said_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=name):
        load_settings({name: value})


@pytest.mark.parametrize(
    ("host", "family", "url"),
    [
        ("127.0.0.1", socket.AF_INET, "http://127.0.0.1:8043"),
        ("::1", socket.AF_INET6, "http://[::1]:8043"),
        ("::", socket.AF_INET6, "http://[::]:8043"),
    ],
)
def test_addresses_of_both_kinds_are_listened_on(
    monkeypatch: pytest.MonkeyPatch, host: str, family: int, url: str
) -> None:
    probe = MagicMock()
    monkeypatch.setattr(socket, "socket", probe)
    settings = load_settings({"PERSONAKIT_HOST": host, "PERSONAKIT_PORT": "8043"})
    listening.refuse_taken_port(settings)
    probe.assert_called_once_with(family)
    assert settings.url == url


def test_what_cannot_be_listened_on_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SettingInvalid, match="Another service may be running"):
            listening.refuse_taken_port(load_settings({"PERSONAKIT_PORT": port}))
    with pytest.raises(SettingInvalid, match="must be an address"):
        listening.refuse_taken_port(load_settings({"PERSONAKIT_HOST": "localhost"}))
