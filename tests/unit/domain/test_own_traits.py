"""A tenant's own computed traits: what may be published, in which set, and how a document tests itself."""

from __future__ import annotations

from typing import Any

import pytest

from personakit.domain.computed_trait_documents import TraitDocument, read_document
from personakit.domain.computed_traits import load_computed_traits
from personakit.domain.events import ComputedTraitsPublished, ComputedTraitsWithdrawn
from personakit.domain.own_traits import (
    MOST_DOCUMENTS,
    OwnDocument,
    OwnTraits,
    TraitsShipped,
    TraitsTaken,
    TraitsUnknown,
    evolve,
    over_shipped,
    publish,
    withdraw,
)
from personakit.domain.publishing import PreconditionFailed, Provenance, VersionWentDown
from personakit.domain.trait_lint import lint_traits
from personakit.domain.trait_tests import accept_traits, run_trait_tests
from personakit_sdk.errors import DocumentInvalid
from tests.trait_documents import case, counting

BY = Provenance("key: me", "why")
SHIPPED = {"work": read_document(counting("work", "work.a", "work.b"))}


def in_use(state: OwnTraits) -> list[TraitDocument]:
    return [read_document(each.document) for each in state.documents.values() if each.status == "active"]


def put(state: OwnTraits, document: dict[str, Any], **more: Any) -> OwnTraits:
    event = publish(state, SHIPPED, in_use(state), read_document(document), BY, **more)
    return state if event is None else evolve(state, event)


def drop(state: OwnTraits, id_: str) -> OwnTraits:
    event = withdraw(state, SHIPPED, in_use(state), id_, BY)
    return state if event is None else evolve(state, event)


def paths(state: OwnTraits) -> set[str]:
    return set(over_shipped(SHIPPED.values(), in_use(state), ever=True).paths)


def faults(refused: pytest.ExceptionInfo[DocumentInvalid]) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.message) for fault in refused.value.faults]


def test_what_is_published_is_said_with_who_and_why() -> None:
    sent = read_document(counting("reading", "reading.n"))
    made = publish(OwnTraits(), SHIPPED, [], sent, BY, source="# text")
    assert made == ComputedTraitsPublished(
        document_id="reading",
        document=sent.document,
        hash=sent.hash,
        origin="key: me",
        reason="why",
        source="# text",
    )
    gone = withdraw(put(OwnTraits(), counting("reading", "reading.n")), SHIPPED, [sent], "reading", BY)
    assert gone == ComputedTraitsWithdrawn(document_id="reading", origin="key: me", reason="why")


def test_own_documents_come_beside_those_of_the_release_and_in_the_place_of_those_of_their_id() -> None:
    state = put(OwnTraits(), counting("reading", "reading.n"))
    assert paths(state) == {"work.a", "work.b", "reading.n"}
    state = put(state, counting("work", "work.a", "work.c"))
    assert paths(state) == {"work.a", "work.c", "reading.n"}
    state = drop(state, "work")
    assert paths(state) == {"work.a", "work.b", "reading.n"}
    assert state.version == 3


@pytest.mark.parametrize("other", ["work.b", "reading.n"])
def test_a_trait_that_another_document_defines_is_refused_at_its_path(other: str) -> None:
    state = put(OwnTraits(), counting("reading", "reading.n"))
    with pytest.raises(DocumentInvalid) as refused:
        put(state, counting("mine", "mine.n", other))
    source = "computed:work@1.0.0" if other == "work.b" else "computed:reading@1.0.0"
    assert faults(refused) == [("/traits/1/path", f"the trait {other!r} is defined already, by {source}")]


def test_what_is_there_already_makes_no_version_and_what_was_withdrawn_comes_back() -> None:
    document = counting("reading", "reading.n")
    state = put(OwnTraits(), document)
    assert put(state, document) is state
    gone = drop(state, "reading")
    assert drop(gone, "reading") is gone
    assert put(gone, document).documents["reading"].status == "active"


def test_the_authors_version_does_not_go_down() -> None:
    state = put(OwnTraits(), counting("reading", "reading.n", version="1.2.0"))
    with pytest.raises(VersionWentDown, match=r"1\.1\.9 is below 1\.2\.0"):
        put(state, counting("reading", "reading.n", version="1.1.9"))


def test_only_who_saw_what_is_there_changes_it() -> None:
    """Of a document of the release that none replaces, that is the release's."""
    assert put(OwnTraits(), counting("work", "work.a"), if_match={SHIPPED["work"].hash}).version == 1
    state = put(OwnTraits(), counting("work", "work.a"))
    with pytest.raises(PreconditionFailed, match="document 'work' has changed"):
        put(state, counting("work", "work.b", version="1.1.0"), if_match={SHIPPED["work"].hash})


def test_withdrawing_what_cannot_be_is_refused() -> None:
    with pytest.raises(TraitsUnknown):
        drop(OwnTraits(), "nothing")
    with pytest.raises(TraitsShipped):
        drop(OwnTraits(), "work")
    state = put(put(OwnTraits(), counting("work", "work.a")), counting("mine", "work.b"))
    with pytest.raises(TraitsTaken, match=r"'work\.b'"):
        drop(state, "work")
    assert paths(drop(drop(state, "mine"), "work")) == {"work.a", "work.b"}


def test_there_are_only_so_many() -> None:
    documents = [counting(f"d{n}", f"d{n}.n") for n in range(MOST_DOCUMENTS)]
    state = OwnTraits(
        MOST_DOCUMENTS, {each["metadata"]["id"]: OwnDocument("active", "h", each) for each in documents}
    )
    assert put(state, counting("d0", "d0.m", version="2.0.0")).version == MOST_DOCUMENTS + 1
    with pytest.raises(DocumentInvalid, match="200 documents"):
        put(state, counting("one_more", "one.n"))


def test_there_are_only_so_many_traits_in_a_document_and_in_all() -> None:
    with pytest.raises(DocumentInvalid, match="257 entries; at most 256"):
        read_document(counting("large", *(f"a.n{n}" for n in range(257))))
    state = OwnTraits()
    for number in range(7):
        state = put(state, counting(f"large{number}", *(f"a{number}.n{n}" for n in range(256))))
    with pytest.raises(DocumentInvalid) as refused:
        put(state, counting("too_much", *(f"b.n{n}" for n in range(256))))
    said = "with these there would be 2050 traits; at most 2000 are taken"
    assert faults(refused) == [("/traits", said)]


def test_a_trait_that_a_later_release_brings_gives_way_to_the_tenants_own() -> None:
    own = [read_document(counting("mine", "work.new"))]
    later = [*SHIPPED.values(), read_document(counting("other", "work.new", "work.newer"))]
    computed = over_shipped(later, own, ever=True)
    found = computed.definition("work.new")
    assert found is not None
    assert found.source == "computed:mine@1.0.0"
    assert computed.paths == {"work.a", "work.b", "work.new", "work.newer"}


def test_a_tenants_fingerprint_is_never_a_releases() -> None:
    """Even where the same traits are defined: else nobody could tell who was derived by the release."""
    release = load_computed_traits([each.document for each in SHIPPED.values()])
    own = over_shipped(SHIPPED.values(), [], ever=True)
    assert own.fingerprint == f"own:{release.fingerprint}"
    assert over_shipped(SHIPPED.values(), [], ever=False).fingerprint == release.fingerprint


OBSERVED = [
    {"content": {"minutes": 20}},
    {"content": {"minutes": 30}},
    {"content": {"minutes": 40}, "occurredAt": "2026-03-02T23:30:00+05:00"},
    {"content": {"minutes": 99}, "type": "something_else"},
]
TESTED = {
    "metadata": {"id": "reading", "version": "1.0.0", "description": "D"},
    "observes": "reading_session",
    "traits": [
        {"path": "r.n", "aggregate": "count", "volatility": "low"},
        {"path": "r.max", "from": "minutes", "aggregate": "max", "volatility": "low"},
        {"path": "r.hours", "aggregate": "histogram_by_hour", "volatility": "low"},
        {"path": "r.rare", "aggregate": "count", "options": {"min_samples": 9}, "volatility": "low"},
    ],
}


def test_a_documents_tests_see_what_a_reader_would() -> None:
    """Of an object the keys that are given; null is no trait; instants keep their offset."""
    expected = {"r.n": 3, "r.max": 40.0, "r.hours": {"peak": 9}, "r.rare": None, "r.none": None}
    document = TESTED | {"tests": [case(expected, *OBSERVED)]}
    assert [(each.passed, each.detail) for each in run_trait_tests(accept_traits(document))] == [(True, "")]
    late = case({"r.hours": {"peak": 23}}, OBSERVED[2])
    assert accept_traits(TESTED | {"tests": [late]}).tests[0].observations[0].occurred_at.hour == 23


def test_a_test_that_fails_refuses_the_document_and_says_how() -> None:
    document = TESTED | {
        "tests": [
            case({"r.n": 3}, *OBSERVED),
            case({"r.n": 4, "r.max": None, "r.rare": 1}, *OBSERVED, name="wrong"),
        ]
    }
    with pytest.raises(DocumentInvalid) as refused:
        accept_traits(document)
    said = "expected r.n 4, got 3; expected no trait r.max, got 40; expected r.rare 1, got no such trait"
    assert faults(refused) == [("/tests/1", f"its test 'wrong' fails: {said}")]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"name": "n", "given": {"observations": [{"content": 7}]}}, "/tests/0/given/observations/0/content"),
        ({"name": "n", "given": {"observations": [{}]}}, "/tests/0/given/observations/0"),
        ({"name": "n", "given": {"traits": {}}}, "/tests/0/given/traits"),
        (
            {"name": "n", "given": {"observations": [{"content": {}, "occurredAt": "2026-03-02T09:00"}]}},
            "/tests/0/given/observations/0/occurredAt",
        ),
        ({"name": "", "given": {"observations": []}}, "/tests/0/name"),
    ],
)
def test_a_test_that_cannot_be_read_is_refused_with_its_place(wrong: dict[str, Any], pointer: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        read_document(TESTED | {"tests": [{"expect": {"traits": {}}, **wrong}]})
    assert pointer in [fault.pointer for fault in refused.value.faults]


def test_a_path_that_stands_twice_in_one_document_is_refused() -> None:
    with pytest.raises(DocumentInvalid) as refused:
        read_document(counting("twice", "a.b", "a.c", "a.b"))
    assert faults(refused) == [("/traits/2/path", "the trait 'a.b' is defined already, in this document")]


def warnings(replaced: TraitDocument | None = None, **trait: Any) -> list[str]:
    written = {"path": "a.b", "from": "v", "aggregate": "mean", "volatility": "low", **trait}
    document = read_document(counting("work", "work.a") | {"traits": [written]})
    return [f"{fault.pointer}: {fault.message}" for fault in lint_traits(document, replaced)]


def test_lint_finds_what_cannot_hold_has_no_effect_or_does_not_fit() -> None:
    assert warnings() == []
    never = {
        "all": [
            {"context_check": {"field": "v", "operator": "greater", "value": 5}},
            {"context_check": {"field": "v", "operator": "less", "value": 3}},
        ]
    }
    (said,) = warnings(when=never)
    assert said.startswith("/traits/0/when: a condition in it can never hold: no value of")
    (said,) = warnings(options={"half_life_days": 1})
    assert "changes from day to day" in said
    (said,) = warnings(options={"half_life_days": 400}, volatility="high")
    assert "hardly changes" in said
    (said,) = warnings(precision=2, volatility="high")
    assert said.startswith("/traits/0/precision: it has no effect")
    (said,) = warnings(precision={"peak": 1})
    assert said == "/traits/0/precision: mean has no 'peak', so its step has no effect"
    fine = {"aggregate": "quantiles", "options": {"quantiles": [0.5]}, "precision": {"p50": 1}}
    assert warnings(**fine) == []
    assert warnings(aggregate="last", precision={"anything": 1}) == []
    (said,) = warnings(SHIPPED["work"], path="work.a")
    assert said.startswith("/traits: the release's document 'work', which this one replaces, has the trait")
