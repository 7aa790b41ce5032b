"""Whether a model is asked, which one, and at what price, is decided by the environment."""

from __future__ import annotations

import pytest

from personakit.config import KNOWN_PRICES, ModelSettings, Prices, SettingInvalid, load_settings

KEY = {"PERSONAKIT_ANTHROPIC_API_KEY": "sk-1", "PERSONAKIT_DATA_DIR": "data"}


def model(**environ: str) -> ModelSettings:
    found = load_settings({**KEY, **environ}).model
    assert found is not None
    return found


def test_without_a_key_no_model_is_asked() -> None:
    assert load_settings({"PERSONAKIT_DATA_DIR": "data", "PERSONAKIT_MODEL": "x"}).model is None


def test_our_own_key_goes_before_that_of_the_client() -> None:
    of_the_client = {"PERSONAKIT_DATA_DIR": "data", "ANTHROPIC_API_KEY": "sk-2"}
    found = load_settings(of_the_client).model
    assert found is not None
    assert found.api_key == "sk-2"
    assert model(ANTHROPIC_API_KEY="sk-2").api_key == "sk-1"


def test_what_is_not_set_has_a_default() -> None:
    found = model()
    assert found.name == "claude-haiku-5-5"
    assert found.prices == KNOWN_PRICES["claude-haiku-5-5"]
    assert (found.budget_usd, found.batch_tokens, found.batch_seconds) == (1.0, 1000, 900.0)


def test_all_of_it_can_be_set() -> None:
    found = model(
        PERSONAKIT_ANTHROPIC_BASE_URL="http://127.0.0.1:1",
        PERSONAKIT_MODEL="claude-other",
        PERSONAKIT_MODEL_PRICES="2/10/0.2/2.5",
        PERSONAKIT_MODEL_BUDGET_USD="0.5",
        PERSONAKIT_MODEL_TIMEOUT="9",
        PERSONAKIT_MODEL_BATCH_TOKENS="50",
        PERSONAKIT_MODEL_BATCH_MINUTES="0.5",
        PERSONAKIT_MODEL_CALL_TOKENS="5000",
        PERSONAKIT_MODEL_CALLS="4",
    )
    assert found == ModelSettings(
        api_key="sk-1",
        prices=Prices(2, 10, 0.2, 2.5),
        name="claude-other",
        base_url="http://127.0.0.1:1",
        budget_usd=0.5,
        timeout=9,
        batch_tokens=50,
        batch_seconds=30,
        call_tokens=5000,
        calls=4,
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PERSONAKIT_MODEL", "claude-unheard-of", "PERSONAKIT_MODEL_PRICES"),
        ("PERSONAKIT_MODEL_PRICES", "2/10", "four numbers"),
        ("PERSONAKIT_MODEL_PRICES", "2/10/x/1", "four numbers"),
        ("PERSONAKIT_MODEL_PRICES", "2/10/-1/1", "four numbers"),
        ("PERSONAKIT_MODEL_BUDGET_USD", "nan", "a number from 0"),
        ("PERSONAKIT_MODEL_TIMEOUT", "soon", "a number from 1 to 600"),
        ("PERSONAKIT_MODEL_CALL_TOKENS", "200000", "a number from 100 to 90000"),
        ("PERSONAKIT_ANTHROPIC_BASE_URL", "ftp://x", "must begin with"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_to_be(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingInvalid, match=said):
        model(**{name: value})
