"""`/computed-traits`: a document's life over HTTP, and every refusal with its place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import Client
from tests.trait_documents import case, counting

TEXT = """\
# Kept by hand.
metadata: {id: noted, version: 1.0.0, description: With notes}
observes: reading_session
traits:
  - {path: noted.n, aggregate: count, volatility: low} # how often
tests:
  - name: one
    given: {observations: [{content: {}}]}
    expect: {traits: {noted.n: 1}}
"""
YAML = {"Content-Type": "application/yaml"}
ACCEPT = {"Accept": "application/yaml"}


def test_a_document_lives_from_its_first_version_to_its_withdrawal(client: Client) -> None:
    made = client.post("/computed-traits", json=counting("life", "life.n"), params={"reason": "to see"})
    assert (made.status_code, made.json()["origin"], made.json()["reason"]) == (201, "key: test", "to see")
    first = made.json()["version"]
    again = client.post("/computed-traits", json=counting("life", "life.n"))
    assert (again.status_code, again.json()) == (200, made.json())

    seen = made.headers["ETag"]
    read = client.get("/computed-traits/life", headers={"If-None-Match": seen})
    assert (read.status_code, read.content) == (304, b"")
    changed = counting("life", "life.n", "life.m", version="1.1.0")
    put = client.put("/computed-traits/life", json=changed, headers={"If-Match": seen})
    assert (put.status_code, put.json()["version"]) == (200, first + 1)
    late = client.put("/computed-traits/life", json=counting("life", "l"), headers={"If-Match": seen})
    assert (late.status_code, late.json()["type"]) == (412, "urn:personakit:problem:precondition-failed")

    nothing_yet = client.post("/computed-traits", json=counting("never", "n.n"), headers={"If-Match": "*"})
    assert nothing_yet.status_code == 412
    assert "There is no document 'never' yet" in nothing_yet.json()["detail"]

    gone = client.delete("/computed-traits/life", params={"reason": "enough"})
    assert (gone.status_code, gone.json()["status"], gone.json()["version"]) == (200, "withdrawn", first + 2)
    assert client.delete("/computed-traits/life").json() == gone.json()
    assert client.get("/computed-traits/life").json() == gone.json()
    assert "life" not in listed(client)
    history = client.get("/computed-traits/life/versions").json()["items"]
    assert [(item["version"], item["change"], item["reason"]) for item in history] == [
        (first + 2, "withdrawn", "enough"),
        (first + 1, "published", ""),
        (first, "published", "to see"),
    ]
    page = client.get("/computed-traits/life/versions", params={"limit": 2}).json()
    rest = client.get("/computed-traits/life/versions", params={"limit": 2, "after": page["next"]}).json()
    assert page["items"] + rest["items"] == history


def listed(client: Client) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in client.get("/computed-traits").json()["items"]}


def test_a_text_comes_back_as_it_was_written(client: Client) -> None:
    made = client.post("/computed-traits", content=TEXT.encode(), headers=YAML)
    assert made.status_code == 201, made.text
    read = client.get("/computed-traits/noted", headers=ACCEPT)
    assert (read.text, read.headers["ETag"]) == (TEXT, made.headers["ETag"])
    assert read.headers["content-type"].startswith("application/yaml")
    client.post("/computed-traits", json=counting("plain", "plain.n"))
    written = client.get("/computed-traits/plain", headers=ACCEPT).text
    again = client.post("/computed-traits", content=written.encode(), headers=YAML)
    assert (written.splitlines()[0], again.status_code) == ("metadata:", 200)


def test_what_comes_with_the_release_is_listed_replaced_and_comes_back(client: Client) -> None:
    before = listed(client)["check_in"]
    assert (before["version"], before["origin"], before["createdAt"]) == (0, "shipped", None)
    read = client.get("/computed-traits/check_in")
    assert read.json()["document"]["observes"] == "check_in"
    assert client.get("/computed-traits/check_in", headers=ACCEPT).text.startswith("metadata:")
    assert client.get("/computed-traits/check_in/versions").json()["items"] == []
    own = counting("check_in", "wellbeing.answers", observes="check_in")
    seen = {"If-Match": read.headers["ETag"]}
    assert client.put("/computed-traits/check_in", json=own, headers=seen).status_code == 200
    assert listed(client)["check_in"]["origin"] == "key: test"
    assert listed(client)["check_in"]["paths"] == ["wellbeing.answers"]
    assert client.delete("/computed-traits/check_in").json()["status"] == "withdrawn"
    assert listed(client)["check_in"] == before


NEVER = {"context_check": {"field": "v", "operator": "between", "value": [5, 3]}}
WRONG = counting("wrong", "w.n")
REFUSED = {
    "an unknown key": (WRONG | {"more": 1}, "/more"),
    "an unknown aggregate": (
        WRONG | {"traits": [{"path": "w.n", "aggregate": "counts", "volatility": "low"}]},
        "/traits/0/aggregate",
    ),
    "a trait of the release": (counting("wrong", "w.n", "work.commits"), "/traits/1/path"),
    "one trait twice": (counting("wrong", "w.n", "w.n"), "/traits/1/path"),
    "its own test fails": (WRONG | {"tests": [case({"w.n": 1})]}, "/tests/0"),
    "an address of the service": (counting("validate", "w.n"), "/metadata/id"),
    "no object": ([1], ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_its_place_and_nothing_is_stored(client: Client, name: str) -> None:
    document, pointer = REFUSED[name]
    before = client.get("/computed-traits").json()
    refused = client.post("/computed-traits", json=document)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:personakit:problem:document-invalid")
    assert refused.json()["errors"][0]["pointer"] == pointer
    said = client.post("/computed-traits/validate", json=document).json()
    assert (said["valid"], said["faults"]) == (False, refused.json()["errors"])
    assert client.get("/computed-traits").json() == before


def test_validate_says_all_that_an_upload_would_meet(client: Client) -> None:
    document = counting("looked_at", "l.n", tests=[case({"l.n": 2}, {"content": {}}, {"content": {}})])
    document["traits"][0] |= {"when": NEVER}
    said = client.post("/computed-traits/validate", json=document).json()
    assert (said["id"], said["version"], said["valid"]) == ("looked_at", "1.0.0", False)
    assert [warning["pointer"] for warning in said["warnings"]] == ["/traits/0/when"]
    assert said["faults"] == [
        {"pointer": "/tests/0", "message": "its test 'a case' fails: expected l.n 2, got no such trait"}
    ]
    assert [test["passed"] for test in said["tests"]] == [False]
    smaller = counting("check_in", "wellbeing.mood", observes="check_in")
    lost = client.post("/computed-traits/validate", json=smaller).json()
    assert (lost["valid"], len(lost["warnings"])) == (True, 5)


def test_other_refusals_say_what_to_do(client: Client) -> None:
    client.post("/computed-traits", json=counting("other", "other.n", version="2.0.0"))
    answers = {
        "went down": client.post("/computed-traits", json=counting("other", "other.m", version="1.9.0")),
        "another id": client.put("/computed-traits/other", json=counting("another", "a.n")),
        "shipped": client.delete("/computed-traits/code_commit"),
        "unknown to read": client.get("/computed-traits/nothing"),
        "unknown history": client.get("/computed-traits/nothing/versions"),
        "unknown to put": client.put("/computed-traits/nothing", json=counting("nothing", "n.n")),
        "unknown to withdraw": client.delete("/computed-traits/nothing"),
        "no document": client.post("/computed-traits", content=b"a", headers={"Content-Type": "text/plain"}),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "went down": 409,
        "another id": 422,
        "shipped": 409,
        "unknown to read": 404,
        "unknown history": 404,
        "unknown to put": 404,
        "unknown to withdraw": 404,
        "no document": 415,
    }


def test_what_frees_a_trait_for_another_document_cannot_come_back_over_it(client: Client) -> None:
    own = counting("calendar_event", "calendar.n", observes="calendar_event")
    shipped = listed(client)["calendar_event"]["paths"][0]
    assert client.put("/computed-traits/calendar_event", json=own).status_code == 200
    assert client.post("/computed-traits", json=counting("taker", shipped)).status_code == 201
    refused = client.delete("/computed-traits/calendar_event")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:personakit:problem:trait-taken")
    assert client.delete("/computed-traits/taker").status_code == 200
    assert client.delete("/computed-traits/calendar_event").status_code == 200
