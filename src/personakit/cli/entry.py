"""The entry point of `personakit`, which also speaks where only the SDK is installed."""

from __future__ import annotations

import sys

USAGE = 2


def main() -> None:
    """Runs the command; without the packages that it needs, says in a sentence how to get them."""
    try:
        from personakit.cli.main import main as run  # noqa: PLC0415 - what it needs may not be there
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0].startswith("personakit"):
            raise
        sys.stderr.write(
            f"The command needs the service's packages, and {error.name!r} is not installed: "
            "pip install 'personakit[service]'. (The SDK, `personakit_sdk`, works without.)\n"
        )
        sys.exit(USAGE)
    run()
