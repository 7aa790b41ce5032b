"""`python -m personakit` is the command `personakit`."""

from __future__ import annotations

from personakit.cli.entry import main

main()
