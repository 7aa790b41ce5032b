"""`personakit` where only the SDK is installed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["click"] = None  # as if it were not installed
sys.argv = ["personakit", "doctor", "--store", "personakit.db"]
from personakit.cli.entry import main
main()
"""


def test_without_the_services_packages_the_command_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'personakit[service]'" in done.stderr
    assert "Traceback" not in done.stderr
