"""Files that are on the disk, readable by their owner only, before anything is said of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write, synced where the block ends well. Raises FileExistsError where there is one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_durably(path: Path, content: bytes) -> None:
    """A file with this content, in place of what a process that was killed left under the name."""
    path.unlink(missing_ok=True)
    with durable_file(path) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Keeps the names in a folder: those of files are its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
