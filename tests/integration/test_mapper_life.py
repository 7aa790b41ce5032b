"""The life of a mapper over HTTP: draft, active, weighed, compared, rolled back, withdrawn, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Client
from tests.mapper_documents import mapper


@pytest.fixture(autouse=True, scope="module")
def ada(client: Client) -> None:
    """Somebody to map."""
    seen = {
        "id": "00000000-0000-4000-8000-0000000000aa",
        "personId": "ada",
        "type": "note",
        "content": {},
        "occurredAt": datetime(2026, 3, 2, tzinfo=UTC).isoformat(),
    }
    position = client.post("/observations", json=seen).headers["PersonaKit-Position"]
    assert client.get("/personas/ada", headers={"PersonaKit-Min-Position": position}).is_success


def weigh(client: Client, id_: str, rule: str = "always", **body: Any) -> httpx.Response:
    return client.patch(f"/mappers/{id_}/rules/{rule}", json=body)


def versions(client: Client, id_: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(f"/mappers/{id_}/versions").json()["items"]
    return items


def mapped(client: Client, id_: str) -> httpx.Response:
    return client.get("/map-persona", params={"mapperId": id_, "personaId": "ada"})


def synced(client: Client, since: str) -> dict[str, Any]:
    return dict(client.get("/sync", params={"since": since}).json())


def test_every_version_says_what_made_it_who_and_why(client: Client) -> None:
    client.post("/mappers", params={"status": "draft", "reason": "a try"}, json=mapper("life"))
    client.post("/mappers/life/versions/1/publish", params={"reason": "it works"})
    weigh(client, "life", weight=1.5, reason="too shy")
    client.put("/mappers/life", json=mapper("life", "1.1.0", always=3.0))
    client.post("/mappers/life/versions/3/publish", params={"reason": "too loud"})
    client.delete("/mappers/life", params={"reason": "enough"})
    made = [
        (each["version"], each["status"], each["change"], each["reason"], each.get("restores"))
        for each in versions(client, "life")
    ]
    assert made == [
        (6, "deprecated", "withdrawn", "enough", None),
        (5, "deprecated", "restored", "too loud", 3),
        (4, "deprecated", "published", "", None),
        (3, "deprecated", "weight", "too shy", None),
        (2, "deprecated", "restored", "it works", 1),
        (1, "draft", "published", "a try", None),
    ]
    assert {each["origin"] for each in versions(client, "life")} == {"key: test"}
    (third,) = [each for each in versions(client, "life") if each["version"] == 3]
    shown = client.get("/mappers/life/versions/3").json()
    assert shown["document"]["rules"][0]["weight"] == 1.5
    assert (shown["hash"], shown["reason"], shown["change"]) == (third["hash"], "too shy", "weight")


def test_what_comes_with_the_release_says_so(client: Client) -> None:
    (shipped,) = versions(client, "work_rhythm")
    assert shipped["origin"] == "shipped"
    assert shipped["reason"]


def test_a_weight_is_set_or_changed_and_the_same_weight_makes_no_version(client: Client) -> None:
    client.post("/mappers", json=mapper("weighed", a=1.0, b=1.0))
    answers = [
        weigh(client, "weighed", "b", weight=2),
        weigh(client, "weighed", "b", change=0.1),
        weigh(client, "weighed", "b", change=-0.1),
        weigh(client, "weighed", "b", weight=2.0),
        weigh(client, "weighed", "b", change=0.0),
    ]
    assert [each.status_code for each in answers] == [200] * 5
    assert [each.json()["version"] for each in answers] == [2, 3, 4, 4, 4]
    assert [each.json()["document"]["rules"][1]["weight"] for each in answers] == [2.0, 2.1, 2.0, 2.0, 2.0]
    assert answers[1].headers["ETag"] != answers[2].headers["ETag"] == answers[0].headers["ETag"]
    assert mapped(client, "weighed").json()["suggestions"][0]["ruleId"] == "b"
    assert client.get("/mappers/weighed").json() == answers[4].json()


@pytest.mark.parametrize(
    ("path", "body", "status", "slug", "said"),
    [
        ("refused/rules/other", {"weight": 1}, 404, "not-found", "no rule 'other'"),
        ("nothing/rules/always", {"weight": 1}, 404, "not-found", "no mapper 'nothing'"),
        ("refused/rules/always", {"weight": 10.5}, 422, "invalid-input", "from 0 to 10"),
        ("refused/rules/always", {"change": -1.5}, 422, "invalid-input", "would be -0.5"),
        ("refused/rules/always", {"change": 1e-300}, 422, "invalid-input", "more digits"),
        ("refused/rules/always", {}, 422, "invalid-input", "either `weight`"),
        ("refused/rules/always", {"weight": 1, "change": 1}, 422, "invalid-input", "either `weight`"),
        ("refused/rules/always", {"weight": "1"}, 422, "invalid-input", "/weight"),
        ("refused/rules/always", {"weight": 1, "reason": "x" * 501}, 422, "invalid-input", "/reason"),
    ],
)
def test_a_weight_that_cannot_be_is_refused(
    client: Client, path: str, body: dict[str, Any], status: int, slug: str, said: str
) -> None:
    client.post("/mappers", json=mapper("refused"))
    answer = client.patch(f"/mappers/{path}", json=body)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, slug)
    assert said in answer.json()["detail"]
    assert len(versions(client, "refused")) == 1


def test_a_reason_is_short(client: Client) -> None:
    answer = client.post("/mappers", params={"reason": "x" * 501}, json=mapper("reasoned"))
    assert answer.status_code == 400
    assert "reason" in answer.json()["detail"]


def test_what_was_seen_must_be_what_is_there(client: Client) -> None:
    first = client.post("/mappers", json=mapper("matched")).headers["ETag"]
    second = client.put("/mappers/matched", json=mapper("matched", "1.1.0")).headers["ETag"]
    for seen, status in ((first, 412), ('"other"', 412), (f'"other", {second}', 200), ("*", 200)):
        headers = {"If-Match": seen}
        answers = [
            client.put("/mappers/matched", json=mapper("matched", "1.1.0"), headers=headers),
            client.post("/mappers", json=mapper("matched", "1.1.0"), headers=headers),
            client.patch("/mappers/matched/rules/always", json={"change": 0}, headers=headers),
            client.post("/mappers/matched/versions/2/publish", headers=headers),
        ]
        assert [each.status_code for each in answers] == [status] * 4, seen
    refused = client.delete("/mappers/matched", headers={"If-Match": first})
    assert refused.status_code == 412
    assert "Read it again" in refused.json()["detail"]
    assert second.strip('"') in refused.json()["detail"]
    assert client.delete("/mappers/matched", headers={"If-Match": second}).status_code == 200


def test_nothing_matches_a_mapper_that_is_not_there(client: Client) -> None:
    for seen in ("*", '"other"'):
        answer = client.post("/mappers", json=mapper("unmatched"), headers={"If-Match": seen})
        assert (answer.status_code, "no mapper 'unmatched' yet" in answer.json()["detail"]) == (412, True)
    assert client.get("/mappers/unmatched").status_code == 404


def test_who_has_it_is_not_sent_it_again(client: Client) -> None:
    tag = client.post("/mappers", json=mapper("cached")).headers["ETag"]
    for path in ("/mappers/cached", "/mappers/cached/versions/1"):
        for seen in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = client.get(path, headers={"If-None-Match": seen})
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
            assert int(answer.headers["PersonaKit-Position"]) > 0
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
    weigh(client, "cached", weight=2)
    assert client.get("/mappers/cached", headers={"If-None-Match": tag}).status_code == 200
    assert client.get("/mappers/cached/versions/1", headers={"If-None-Match": tag}).status_code == 304


def test_two_versions_are_compared(client: Client) -> None:
    client.post("/mappers", json=mapper("compared", a=1.0, b=1.0))
    client.put("/mappers/compared", json=mapper("compared", "1.1.0", b=2.0, c=1.0))
    before = client.get("/mappers/compared/versions/2/diff").json()
    assert (before["before"], before["after"]) == (1, 2)
    changes = [{"pointer": "/weight", "before": 1.0, "after": 2.0}]
    assert before["rules"] == {
        "added": ["c"],
        "removed": ["a"],
        "changed": [{"id": "b", "changes": changes}],
        "moved": [],
    }
    assert before["elsewhere"] == [{"pointer": "/metadata/version", "before": "1.0.0", "after": "1.1.0"}]
    back = client.get("/mappers/compared/versions/1/diff", params={"against": 2}).json()
    assert (back["rules"]["added"], back["rules"]["removed"]) == (["a"], ["c"])
    first = client.get("/mappers/compared/versions/1/diff").json()
    assert (first["before"], first["rules"]["added"]) == (0, ["a", "b"])
    same = client.get("/mappers/compared/versions/2/diff", params={"against": 2}).json()
    assert same["elsewhere"] == []


@pytest.mark.parametrize("path", ["versions/9", "versions/0", "versions/1/diff?against=9", "versions/9/diff"])
def test_a_version_that_is_not_there_is_said(client: Client, path: str) -> None:
    client.post("/mappers", json=mapper("short"))
    answer = client.get(f"/mappers/short/{path}")
    assert answer.status_code == 404
    assert "GET /mappers/short/versions" in answer.json()["detail"]
    assert "no mapper" in client.get(f"/mappers/nobodys/{path}").json()["detail"]
    assert client.post("/mappers/short/versions/9/publish").status_code == 404


def test_rolling_back_publishes_an_old_version_anew(client: Client) -> None:
    client.post("/mappers", json=mapper("rolled", always=1.0))
    client.put("/mappers/rolled", json=mapper("rolled", "2.0.0", always=2.0))
    back = client.post("/mappers/rolled/versions/1/publish")
    again = client.post("/mappers/rolled/versions/1/publish")
    assert (back.status_code, again.status_code) == (201, 200)
    assert (back.json()["version"], again.json()["version"]) == (3, 3)
    assert back.json()["document"]["metadata"]["version"] == "1.0.0"
    assert [each["status"] for each in versions(client, "rolled")] == ["active", "deprecated", "deprecated"]
    lower = client.put("/mappers/rolled", json=mapper("rolled", "0.9.0"))
    assert (lower.status_code, lower.json()["type"][-17:]) == (409, "version-went-down")


def test_a_withdrawn_mapper_maps_nothing_until_it_is_published_again(client: Client) -> None:
    before = client.get("/sync").json()["next"]
    client.post("/mappers", json=mapper("gone"))
    assert mapped(client, "gone").status_code == 200
    assert mapped(client, "gone").status_code == 200
    withdrawn = client.delete("/mappers/gone", params={"reason": "enough"})
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "deprecated")
    assert client.delete("/mappers/gone").json() == withdrawn.json()

    refused = mapped(client, "gone")
    assert refused.status_code == 404
    assert "'gone' was withdrawn" in refused.json()["detail"]
    assert "POST /mappers/gone/versions/2/publish" in refused.json()["detail"]
    page = synced(client, before)
    assert [(item["id"], item["op"], "body" in item) for item in page["items"]] == [("gone", "delete", False)]
    assert client.get("/mappers/gone").json()["status"] == "deprecated"
    assert "gone" not in [item["id"] for item in client.get("/mappers").json()["items"]]
    listed = client.get("/mappers", params={"status": "deprecated"}).json()["items"]
    assert "gone" in [item["id"] for item in listed]
    weighed = weigh(client, "gone", weight=2)
    assert (weighed.status_code, weighed.json()["type"][-16:]) == (409, "mapper-withdrawn")

    back = client.post("/mappers/gone/versions/1/publish")
    assert (back.status_code, back.json()["version"], back.json()["status"]) == (201, 3, "active")
    assert mapped(client, "gone").json()["mapper"]["version"] == 3
    items = synced(client, page["next"])["items"]
    assert [(item["id"], item["op"], item["body"]["version"]) for item in items] == [("gone", "put", 3)]


def test_the_same_document_brings_a_withdrawn_mapper_back(client: Client) -> None:
    client.post("/mappers", json=mapper("posted"))
    client.delete("/mappers/posted")
    assert client.post("/mappers", json=mapper("posted")).json()["version"] == 3
    client.delete("/mappers/posted")
    drafted = client.post("/mappers", params={"status": "draft"}, json=mapper("posted"))
    assert (drafted.json()["version"], drafted.json()["status"]) == (5, "draft")
    assert client.get("/mappers/posted").json()["status"] == "deprecated"


def test_a_draft_is_weighed_as_a_draft_and_says_that_it_is_one(client: Client) -> None:
    client.post("/mappers", params={"status": "draft"}, json=mapper("drafted"))
    assert weigh(client, "drafted", weight=2).json()["status"] == "draft"
    refused = mapped(client, "drafted")
    assert refused.status_code == 404
    assert "it is a draft" in refused.json()["detail"]
    assert "drafted" not in str(client.get("/sync", params={"limit": 500}).json()["items"])
    assert client.post("/mappers/drafted/versions/2/publish").json()["status"] == "active"


def test_only_a_mapper_that_is_there_is_withdrawn(client: Client) -> None:
    answer = client.delete("/mappers/nobodys")
    assert answer.status_code == 404
    assert "no mapper 'nobodys'" in answer.json()["detail"]


def test_a_mapper_cannot_hide_behind_a_route(client: Client) -> None:
    answer = client.post("/mappers", json=mapper("validate"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/metadata/id"
