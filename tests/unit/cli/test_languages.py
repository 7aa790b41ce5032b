"""A file's language by its name."""

from __future__ import annotations

import pytest

from personakit.cli.languages import language_of


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/a.py", "Python"),
        ("A.PY", "Python"),
        ("types.d.ts", "TypeScript"),
        ("deep/Makefile", "Makefile"),
        ("Dockerfile", "Dockerfile"),
        ("CMakeLists.txt", "CMake"),
        ("logo.png", None),
        ("LICENSE", None),
        ("py", None),
        (".py", "Python"),
        ("name.", None),
        ("dir.py/notes", None),
    ],
)
def test_a_language_is_told_by_extension_or_well_known_name(path: str, language: str | None) -> None:
    assert language_of(path) == language
