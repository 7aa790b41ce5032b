"""A file that only its owner may read, and that is there when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from personakit_sdk.errors import InvalidInput


@contextmanager
def own_file(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes its place at `path` when the block ends, and is gone when it fails;
    its mode is 0600. Raises InvalidInput where it cannot be made."""
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
