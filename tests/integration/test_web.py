"""What a browser is told and what it is refused: headers, other origins, methods, names of hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.config import WebSettings
from tests.integration.conftest import Client

PATHS = ("/mappers", "/docs", "/openapi.json", "/schemas/mapper.json", "/health/live", "/metrics", "/nothing")
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ORIGIN, OTHER = "https://app.example.org", "https://app.example.org.evil.example"


@pytest.fixture(scope="module")
def configured(service: Service, key: str) -> Iterator[Client]:
    web = WebSettings(
        cors_origins=frozenset({ORIGIN}), hosts=frozenset({"api.example.org", "[::1]:8042"}), behind_tls=True
    )
    with TestClient[Litestar](
        create_app(service, web), base_url="http://api.example.org", raise_server_exceptions=False
    ) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "TRACE"])
def test_every_answer_tells_a_browser_to_run_show_and_tell_nothing(
    client: Client, method: str, path: str
) -> None:
    answer = client.request(method, path)
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"]
    assert answer.headers.get_list("Cache-Control") == [answer.headers["Cache-Control"]]
    assert "Strict-Transport-Security" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_what_is_somebodys_is_kept_nowhere_or_by_its_caller_alone(client: Client) -> None:
    assert client.get("/mappers").headers["Cache-Control"] == "no-store"
    tagged = client.get("/mappers/work_rhythm")
    assert tagged.headers["ETag"]
    assert tagged.headers["Cache-Control"] == "private, no-cache"
    same = client.get("/mappers/work_rhythm", headers={"If-None-Match": tagged.headers["ETag"]})
    assert (same.status_code, same.headers["Cache-Control"]) == (304, "private, no-cache")
    assert client.get("/people/x", headers={"Authorization": ""}).headers["Cache-Control"] == "no-store"


def test_the_docs_have_no_script_and_the_style_that_their_policy_names(client: Client) -> None:
    page = client.get("/docs")
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/=]{44}'", page.headers["Content-Security-Policy"])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "FOO"])
@pytest.mark.parametrize("path", ["/mappers", "/docs", "/observations"])
def test_odd_methods_are_not_allowed_and_echo_nothing(client: Client, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"X-Canary": "canary"})
    assert answer.status_code in {401, 405}, answer.text
    assert "canary" not in answer.text


def test_no_other_origin_is_let_in_unless_it_is_configured(client: Client, configured: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for origin in (ORIGIN, OTHER, "null"):
        for answer in (
            client.options("/observations", headers=asked | {"Origin": origin}),
            client.get("/mappers", headers={"Origin": origin}),
        ):
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert (
        configured.get("/mappers", headers={"Origin": ORIGIN}).headers["Access-Control-Allow-Origin"]
        == ORIGIN
    )
    assert (
        "ratelimit"
        in configured.get("/mappers", headers={"Origin": ORIGIN})
        .headers["Access-Control-Expose-Headers"]
        .lower()
    )
    for origin in (OTHER, "null", "http://app.example.org", f"{ORIGIN}:8443"):
        assert (
            "Access-Control-Allow-Origin"
            not in configured.get("/mappers", headers={"Origin": origin}).headers
        )


def test_a_page_of_a_configured_origin_may_ask_with_a_key_and_with_no_cookie(configured: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    answer = configured.options("/observations", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert answer.headers.get("Access-Control-Allow-Credentials", "false") == "false"


def test_a_host_that_is_not_ours_is_misdirected(configured: Client) -> None:
    def status(host: str, path: str = "/mappers") -> int:
        return configured.get(path, headers={"Host": host}).status_code

    ours = ("api.example.org", "API.example.org", "api.example.org:8042", "[::1]:8042")
    assert [status(host) for host in ours] == [200] * len(ours)
    others = ("evil.example", "", "api.example.org.evil.example", "[::1]", "127.0.0.1")
    assert [status(host) for host in others] == [421] * len(others)
    assert status("10.0.0.7", "/health/live") == 200


def test_only_behind_tls_a_browser_is_told_never_to_come_without(configured: Client) -> None:
    assert configured.get("/mappers").headers["Strict-Transport-Security"] == "max-age=31536000"
