"""A broken case fails loudly, and an SDK that is wrong is caught with the first difference."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml.constructor import DuplicateKeyError

from personakit_sdk import wire
from personakit_sdk.rules import compile_mapper
from tests.contract.sync import answers, exchange, python_sdk, runner
from tests.contract.sync import case as form
from tests.contract.sync.case import Case, read, read_all
from tests.contract.sync.difference import difference
from tests.contract.sync.driven import Driven
from tests.contract.sync.outgoing import Outgoing
from tests.contract.sync.play import Failed, play

PYTHON_SDK = shlex.join([sys.executable, "-m", "tests.contract.sync.python_sdk"])
HEAD = "title: A title that says it\nrule: A rule that says it\nsteps:\n"
EXCHANGE = "{request: {method: POST, path: /sync, items: [a]}, answer: {fates: {all: stored}}}"


@pytest.fixture(scope="module")
def driven() -> Iterator[Driven]:
    with Driven(shlex.split(PYTHON_SDK)) as driven:
        yield driven


def case(steps: str) -> Case:
    return read(HEAD + steps)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- observe: {as: a}", "after which nothing is asserted"),
        ("- state: {}", "of which nothing is said"),
        ("- push: {}", "give one of exchanges, standing"),
        ("- push: {exchanges: [], standing: {most: 1}}", "give one of exchanges, standing"),
        ("- {observe: {as: a}, state: {outbox: [a]}}", "give one of"),
        ("- state: {outbocks: []}", "unknown field `outbocks`"),
        ("- state: {outbox: [b]}", "that nothing made"),
        ("- push: {exchanges: [], error: other}", "Invalid enum value"),
        ("- pull: {exchanges: [{request: {method: GET, path: /sync}, answer: {}}]}", "give one of fates"),
        (
            "- pull: {exchanges: [{request: {method: GET, path: /sync}, answer: {fault: closed, text: x}}]}",
            "nothing is answered",
        ),
    ],
)
def test_a_case_that_is_none_is_refused_with_its_reason(tmp_path: Path, steps: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(HEAD + steps, "utf-8")
    with pytest.raises(ValueError, match=said) as refused:
        read_all(tmp_path)
    assert str(refused.value).startswith("wrong.yaml: ")


def test_a_step_twice_in_one_place_is_refused() -> None:
    with pytest.raises(DuplicateKeyError, match="duplicate key"):
        read(HEAD + "- state: {outbox: [], outbox: []}")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            "- push: {exchanges: [" + EXCHANGE.replace("[a]", "[]") + "]}",
            "step 1, push: request 1 never came",
        ),
        ("- observe: {as: a}\n- push: {exchanges: []}", "no such request may come here"),
        ("- observe: {as: a}\n- state: {outbox: []}", r"the state.outbox is \['a'\], not \[\]"),
        ("- pull: {exchanges: [" + EXCHANGE.replace("[a]", "[]") + "]}", "the method is 'GET', not 'POST'"),
        (
            "- observe: {as: a}\n- observe: {as: b}\n- push: {exchanges: [" + EXCHANGE + "]}",
            r"the items is \['a', 'b'\], not \['a'\]",
        ),
        ("- observe: {as: a, times: 501}\n- push: {standing: {most: 1}}", "1 requests are enough"),
        ("- observe: {as: a, error: too-large}\n- state: {outbox: []}", "it was not refused"),
        ("- map: {rules: [early]}", "not-cached"),
        ("- state: {notices: [reset]}", "no notice came"),
        (
            "- observe: {as: a}\n- push: {exchanges: [" + EXCHANGE + "], retryIn: [1, 2]}",
            "retryIn is None, not",
        ),
    ],
)
def test_an_sdk_that_does_something_else_fails_with_the_first_difference(
    driven: Driven, tmp_path: Path, steps: str, said: str
) -> None:
    with pytest.raises(Failed, match=said):
        play(case(steps), driven, tmp_path)


def test_an_sdk_that_ends_or_says_nonsense_fails(tmp_path: Path) -> None:
    nothing = case("- state: {outbox: []}")
    with pytest.raises(Failed, match="process ended at open"):
        play(nothing, Driven((sys.executable, "-c", "")), tmp_path)
    with pytest.raises(Failed, match="is no answer"):
        play(nothing, Driven((sys.executable, "-c", "print('hello', flush=True); input()")), tmp_path)


def push(*items: tuple[str, str], client: str = "c") -> bytes:
    told = [{"id": id_, "key": key} for id_, key in items]
    return answers.encoded({"clientId": client, "items": told})


def outgoing() -> Outgoing:
    made = Outgoing()
    for name, id_, key in (("a", "1", "ada"), ("b", "2", "ada"), ("c", "3", "bob")):
        assert made.queued(name, id_, key) is None
    return made


def test_what_is_true_of_every_push() -> None:
    made = outgoing()
    assert made.wrong(push(("1", "ada"), ("2", "ada"), ("3", "bob"))) is None
    assert "is sent while a" in (outgoing().wrong(push(("2", "ada"))) or "")
    assert "in this order" in (outgoing().wrong(push(("2", "ada"), ("1", "ada"))) or "")
    assert "never gave" in (outgoing().wrong(push(("9", "ada"))) or "")
    assert "it is frozen" in (made.wrong(push(("1", "bob"))) or "")
    assert "a store has one" in (made.wrong(push(("1", "ada"), client="d")) or "")
    assert "500" in (outgoing().wrong(push(*[("1", "ada")] * 501)) or "")
    assert "bytes" in (outgoing().wrong(b" " * (1024 * 1024 + 1)) or "")
    assert "is no push" in (outgoing().wrong(b"[]") or "")


def test_what_is_settled_holds_up_nothing() -> None:
    made = outgoing()
    made.settle({"1": "stored"})
    assert made.wrong(push(("2", "ada"))) is None
    made.unsettle(["a"])
    assert "is sent while a" in (made.wrong(push(("2", "ada"))) or "")


@pytest.mark.parametrize(
    ("expected", "found", "differs"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": None}, {"b": 2}, False),
        ({"a": None}, {"a": 2}, True),
        ([1], [1, 2], True),
        (True, 1, True),
        ("2026-03-02T09:00:00Z", "2026-03-02T10:00:00+01:00", False),
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:01Z", True),
        ("a", "b", True),
    ],
)
def test_what_differs(expected: object, found: object, differs: bool) -> None:
    assert (difference(expected, found, "it") is not None) == differs


def test_the_bodies_of_the_runner_are_what_the_sdk_reads() -> None:
    mapper = answers.mapper("focus", 3)
    assert compile_mapper(mapper["document"]).document == mapper["document"]
    entities = [("mapper", "focus", 3), ("persona", "ada", 7)]
    assert answers.digest(["persona/ada@7", "mapper/focus@3"]) == wire.sync_digest(entities)


def test_the_table_says_what_failed_and_the_exit_code_that_something_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert runner.main(["--sdk", PYTHON_SDK, "push_nothing_to_send"]) == 0
    assert "passed  push_nothing_to_send\n1 passed, 0 failed\n" in capsys.readouterr().out
    assert runner.main(["--sdk", shlex.join([sys.executable, "-c", ""]), "push_nothing_to_send"]) == 1
    assert "FAILED  push_nothing_to_send  " in capsys.readouterr().out
    assert runner.main(["--sdk", PYTHON_SDK, "no_such_case"]) == 2


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "conformance.md").read_text("utf-8")
PARTS = [
    part
    for part in (vars(form) | vars(exchange)).values()
    if isinstance(part, type) and issubclass(part, exchange.Strict)
]


def test_the_page_has_every_word_of_a_case() -> None:
    words = {name for part in PARTS for name in part.__struct_encode_fields__}
    words |= {
        *get_args(exchange.Refusal),
        *get_args(exchange.NoticeKind),
        *get_args(exchange.Fate),
        "closed",
        "cut",
    }
    assert len(words) > 60
    assert {word for word in words if not re.search(rf"\b{word}\b", PAGE)} == set()


def test_the_page_has_every_command_and_all_of_the_state() -> None:
    commands = {name for name in vars(python_sdk.Adapter) if not name.startswith("_")}
    shown = {name for name in form.State.__struct_encode_fields__ if name != "quiet"}
    assert {word for word in commands | shown if f"`{word}`" not in PAGE} == set()


def test_the_case_on_the_page_is_one_of_them() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert read(shown) == read_all()["push_no_answer"]
