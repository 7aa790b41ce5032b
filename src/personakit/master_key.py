"""The master key, which wraps people's keys: from the settings, else a file of the data directory."""

from __future__ import annotations

import base64
import binascii
import os
import secrets

from personakit.config import SettingInvalid, Settings

KEY_BYTES = 32
_HOW = "it must be 32 random bytes in base64, as `openssl rand -base64 32` makes them"


def master_key(settings: Settings) -> bytes:
    """The 32 bytes. Makes and keeps them for an embedded database that has none yet; call it once that
    database runs, because its data directory is made with it.

    Raises SettingInvalid for a key that is none, and where a database of one's own comes without a key.
    """
    if settings.master_key is not None:
        return _decoded(settings.master_key, "PERSONAKIT_MASTER_KEY")
    path = settings.data_dir / "master-key"
    if path.exists():
        return _decoded(path.read_text(encoding="ascii").strip(), str(path))
    if settings.database_url is not None:
        raise SettingInvalid(
            f"Set PERSONAKIT_MASTER_KEY: with a database of your own {_HOW}. It wraps the keys of the "
            "people in it: keep it apart from the database, and do not lose it."
        )
    made = secrets.token_bytes(KEY_BYTES)
    written = path.with_suffix(".new")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{base64.b64encode(made).decode()}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(written, path)  # whoever comes first: the other one takes theirs
    except FileExistsError:
        return _decoded(path.read_text(encoding="ascii").strip(), str(path))
    finally:
        written.unlink(missing_ok=True)
    return made


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingInvalid(f"{where} is no master key; {_HOW}.")
    return key
