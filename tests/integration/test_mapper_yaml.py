"""Mappers as YAML: the author's text comes back, comments and all, and is always the document."""

from __future__ import annotations

import httpx
import pytest

from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.yaml import load_yaml
from tests.integration.conftest import Client
from tests.mapper_documents import mapper

TEXT = """\
# Kept by hand.
metadata: {id: noted, version: 1.0.0, description: With notes}
rules:
  - id: always       # for everyone
    weight: 1.0      # not too loud
    conditions: {not: {context_check: {field: never, operator: exists}}}
    actions: [{generate_suggestion: {type: t, title: Tee trinken ist grün, description: D}}]
"""


def publish(client: Client, text: str, **query: str) -> httpx.Response:
    headers = {"Content-Type": "application/yaml"}
    return client.post("/mappers", content=text.encode(), params=query, headers=headers)


def as_yaml(client: Client, path: str, accept: str = "application/yaml") -> httpx.Response:
    return client.get(path, headers={"Accept": accept})


def test_comments_survive_and_a_weight_is_the_new_one(client: Client) -> None:
    published = publish(client, TEXT)
    assert published.status_code == 201
    first = as_yaml(client, "/mappers/noted")
    assert first.headers["content-type"].startswith("application/yaml")
    assert first.headers["ETag"] == published.headers["ETag"]
    assert first.content.decode() == TEXT
    weighed = client.patch("/mappers/noted/rules/always", json={"change": 0.25})
    second = as_yaml(client, "/mappers/noted")
    assert second.content.decode() == TEXT.replace("weight: 1.0 ", "weight: 1.25 ")
    assert second.headers["ETag"] == weighed.headers["ETag"]
    assert as_yaml(client, "/mappers/noted/versions/1").content.decode() == TEXT
    restored = client.post("/mappers/noted/versions/1/publish")
    assert restored.json()["version"] == 3
    assert as_yaml(client, "/mappers/noted").content.decode() == TEXT
    assert client.post("/mappers/noted/versions/2/publish").json()["version"] == 4
    assert as_yaml(client, "/mappers/noted").content == second.content
    client.patch("/mappers/noted/rules/always", json={"change": -0.25})
    assert as_yaml(client, "/mappers/noted").content.decode() == TEXT


def test_what_is_given_out_as_yaml_can_be_sent_back(client: Client) -> None:
    client.post("/mappers", json=mapper("sent_back", a=1.0, b=0.5))
    text = as_yaml(client, "/mappers/sent_back").content.decode()
    again = publish(client, text)
    assert (again.status_code, again.json()["version"]) == (200, 1)


def test_a_mapper_that_comes_with_the_release_has_its_comments(client: Client) -> None:
    text = as_yaml(client, "/mappers/work_rhythm").content.decode()
    assert compile_mapper(load_yaml(text)).hash == client.get("/mappers/work_rhythm").json()["hash"]
    assert "#" in text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/yaml", "application/yaml"),
        ("application/x-yaml", "application/yaml"),
        ("text/yaml, application/json;q=0.5", "application/yaml"),
        ("application/json, application/yaml", "application/json"),
        ("application/json, application/yaml;q=0.9", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_caller_says_which_it_wants(client: Client, accept: str, kind: str) -> None:
    answer = as_yaml(client, "/mappers/work_rhythm", accept)
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.headers["Vary"] == "Accept"


def test_who_has_the_text_is_not_sent_it_again(client: Client) -> None:
    tag = as_yaml(client, "/mappers/work_rhythm").headers["ETag"]
    headers = {"Accept": "application/yaml", "If-None-Match": tag}
    assert client.get("/mappers/work_rhythm", headers=headers).status_code == 304


def test_a_text_that_no_database_keeps_is_refused(client: Client) -> None:
    answer = publish(client, TEXT.replace("# Kept by hand.", "# Kept\x00by hand."))
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("document-invalid")
