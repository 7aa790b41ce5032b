"""How a command finds the service: its address and key, from the settings or the data directory."""

from __future__ import annotations

from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Transport

INTERACTIVE_PATIENCE = 3.0
"""Seconds that a person is made to wait for a service that is not there."""
IMPORT_PATIENCE = 60.0
"""Seconds that an import under way waits for a service that went away: as long as a restart takes."""


def connect(settings: Settings, *, patience: float = INTERACTIVE_PATIENCE) -> Transport:
    """A transport to the service that `settings` name. Raises InvalidInput when there is no key for it."""
    return Transport(settings.url, api_key(settings), patience=patience)


def connect_for_import(settings: Settings) -> Transport:
    """A patient transport to a service that was seen to be there. Raises Unreachable at once if it is not."""
    transport = connect(settings, patience=IMPORT_PATIENCE)
    transport.request("GET", "/health/live", patience=INTERACTIVE_PATIENCE)
    return transport


def api_key(settings: Settings) -> str:
    """The key from the environment, else the one that `personakit up` left in the data directory."""
    if settings.api_key:
        return settings.api_key
    try:
        return settings.key_file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise InvalidInput(
            f"There is no API key: PERSONAKIT_API_KEY is not set and {settings.key_file} does not exist. "
            "Start the service with `personakit up`, which writes one, or name its folder with --data-dir."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The API key in {settings.key_file} cannot be read: {error}.") from error
