"""What importing the SDK brings into an application's process."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "litestar",
    "psycopg",
    "psycopg_pool",
    "eventsourcing",
    "dramatiq",
    "redis",
    "granian",
    "click",
    "rich",
}


def test_the_sdk_imports_without_the_services_stack() -> None:
    """In a process of its own, every module of the SDK."""
    program = """
import importlib, pkgutil, sys
import personakit_sdk
for module in pkgutil.walk_packages(personakit_sdk.__path__, "personakit_sdk."):
    importlib.import_module(module.name)
print("\\n".join(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"personakit_sdk.wire", "personakit_sdk.transport", "personakit_sdk.rules.evaluate"} <= loaded
    assert not HEAVY & loaded
    assert not [name for name in loaded if name == "personakit" or name.startswith("personakit.")]
