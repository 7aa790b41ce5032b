"""The model over the real client and real HTTP: what is asked, what comes back, and every way it can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from personakit.agents.anthropic_model import AnthropicModel
from personakit.agents.model import Ask, ModelFailed, PatientModel
from personakit.config import LONGEST_WAIT, ModelSettings, Prices
from personakit.domain.model_output import MalformedAnswer
from tests.messages_api import MessagesApi, Reply, failure, message, messages_api

ASK = Ask(
    instructions="Say yes.",
    schema={"type": "object", "properties": {}, "additionalProperties": False},
    question="Well?",
    max_tokens=500,
)
PRICES = Prices(1.0, 5.0, 0.1, 1.25)


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with messages_api(lambda _: message('{"said": "yes"}')) as api:
        yield api


@pytest.fixture
def model(api: MessagesApi) -> Iterator[AnthropicModel]:
    settings = ModelSettings(
        api_key="sk-test", prices=PRICES, name="claude-test", base_url=api.url, timeout=0.5
    )
    model = AnthropicModel(settings)
    yield model
    model.close()


def patient(model: AnthropicModel, attempts: int = 3) -> PatientModel:
    return PatientModel(model, attempts, 0.001)


def test_the_instructions_are_cacheable_and_the_answer_is_of_the_schema(
    api: MessagesApi, model: AnthropicModel
) -> None:
    answer = model.ask(ASK)
    (asked,) = api.asked
    assert answer.text == '{"said": "yes"}'
    assert asked["model"] == "claude-test"
    assert asked["max_tokens"] == 500
    assert asked["system"] == [{"type": "text", "text": "Say yes.", "cache_control": {"type": "ephemeral"}}]
    assert asked["messages"] == [{"role": "user", "content": "Well?"}]
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": ASK.schema}}


def test_what_it_took_is_told_with_tokens_by_kind_and_the_price_of_each(
    api: MessagesApi, model: AnthropicModel
) -> None:
    counted = {"cache_read_input_tokens": 2000, "cache_creation_input_tokens": 400}
    api.next(message("{}", input_tokens=100, output_tokens=10, **counted))
    use = model.ask(ASK).use
    assert (use.input_tokens, use.output_tokens, use.cache_read_tokens, use.cache_write_tokens) == (
        100,
        10,
        2000,
        400,
    )
    assert use.usd == pytest.approx((100 * 1 + 10 * 5 + 2000 * 0.1 + 400 * 1.25) / 1e6)
    assert use.model == "claude-test"
    assert use.prompt == ASK.prompt
    assert len(use.prompt) == 64


def test_the_prompt_hash_is_of_the_instructions_and_not_of_the_question() -> None:
    other = msgspec.structs.replace(ASK, question="Something about somebody")
    assert other.prompt == ASK.prompt
    assert msgspec.structs.replace(ASK, instructions="Say no.").prompt != ASK.prompt


def test_thinking_before_the_text_is_passed_over(api: MessagesApi, model: AnthropicModel) -> None:
    api.next(message("{}", thinking=True))
    assert model.ask(ASK).text == "{}"


FAILURES = {
    "overloaded": failure(529, "overloaded_error"),
    "rate limited": failure(429, "rate_limit_error", retry_after="0"),
    "failing": failure(500, "api_error"),
    "slow": Reply(seconds=1.0),
    "dripping": message('{"said": "yes"}', drip=0.05),
    "cut": Reply(cut=True),
    "no JSON": Reply(b"<html>", headers={"content-type": "text/html"}),
    "no message": Reply(b"{}"),
    "cut short": message('{"said": "ye', stop_reason="max_tokens"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_may_pass_is_asked_again(name: str, api: MessagesApi, model: AnthropicModel) -> None:
    api.next(FAILURES[name])
    assert patient(model).ask(ASK, json.loads).value == {"said": "yes"}
    assert api.calls == 2


@pytest.mark.parametrize("name", FAILURES)
def test_what_does_not_pass_is_given_up_after_a_few_times(
    name: str, api: MessagesApi, model: AnthropicModel
) -> None:
    api.answer = lambda _: FAILURES[name]
    with pytest.raises(ModelFailed):
        patient(model, 2).ask(ASK, json.loads)
    assert api.calls == 2


@pytest.mark.parametrize(
    "reply",
    [
        failure(400, "invalid_request_error"),
        failure(401, "authentication_error"),
        failure(429, "rate_limit_error", retry_after="3600"),
        message("", stop_reason="refusal"),
    ],
)
def test_what_will_not_pass_soon_is_not_asked_again(
    reply: Reply, api: MessagesApi, model: AnthropicModel
) -> None:
    api.next(reply)
    with pytest.raises(ModelFailed):
        patient(model).ask(ASK, json.loads)
    assert api.calls == 1


@pytest.mark.parametrize(
    ("drip", "at"), [(0.05, "the head"), (0.005, "the body")], ids=["in the head", "in the body"]
)
def test_a_call_ends_at_its_deadline_though_each_byte_comes_in_time(
    drip: float, at: str, api: MessagesApi, model: AnthropicModel
) -> None:
    """No read of the client's waits for long, and the whole answer would be good."""
    api.next(message('{"said": "yes"}', drip=drip))
    with pytest.raises(ModelFailed, match=r"within 0\.5 seconds") as failed:
        model.ask(ASK)
    assert (failed.value.reason, failed.value.again, failed.value.use) == ("too slow", True, None)
    assert api.hung_up.wait(10), f"the call was left to itself in {at}"
    assert model.ask(ASK).text == '{"said": "yes"}'


def test_no_wait_is_longer_than_a_lease_counts_with(
    api: MessagesApi, model: AnthropicModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    api.answer = lambda _: failure(529, "overloaded_error")
    monkeypatch.setattr("personakit.agents.model.time.sleep", waits.append)
    with pytest.raises(ModelFailed):
        PatientModel(model, 6, 1.0).ask(ASK, json.loads)
    assert len(waits) == 5
    assert max(waits) <= LONGEST_WAIT


def test_how_long_to_leave_it_alone_is_told(api: MessagesApi, model: AnthropicModel) -> None:
    api.next(failure(429, "rate_limit_error", retry_after="3600"))
    with pytest.raises(ModelFailed) as failed:
        patient(model).ask(ASK, json.loads)
    assert failed.value.retry_after == 3600


def test_every_call_is_paid_those_of_no_use_too(api: MessagesApi, model: AnthropicModel) -> None:
    def read(text: str) -> str:
        if text == "malformed":
            raise MalformedAnswer("no")
        return text

    api.next(message("malformed"), message("", stop_reason="max_tokens"), message("good"))
    understood = patient(model).ask(ASK, read)
    assert (understood.value, understood.use.calls, understood.use.input_tokens) == ("good", 3, 3000)

    api.next(*[message("malformed")] * 3)
    with pytest.raises(ModelFailed) as failed:
        patient(model).ask(ASK, read)
    assert failed.value.reason == "malformed"
    assert failed.value.use is not None
    assert (failed.value.use.calls, failed.value.use.output_tokens) == (3, 600)


def test_a_start_without_a_key_does_not_import_the_client() -> None:
    code = "import sys, personakit.cli.up; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_does_not_go_where_an_answer_sends_it(api: MessagesApi, model: AnthropicModel) -> None:
    with messages_api(lambda _: message('{"said": "no"}')) as elsewhere:
        api.answer = lambda _: Reply(b"", status=307, headers={"location": f"{elsewhere.url}/v1/messages"})
        with pytest.raises(ModelFailed, match="the provider answered 307"):
            model.ask(ASK)
        assert elsewhere.asked == []
