"""The log says where an exception came from, and nothing of what it says."""

from __future__ import annotations

import logging
import subprocess
import sys

from personakit.log_lines import FORMAT, Discreet

CANARY = "canary-77d0"


def written(error: Exception) -> str:
    record = logging.LogRecord("personakit.api", logging.ERROR, __file__, 1, "It failed", (), None)
    try:
        fail(error)
    except type(error):
        record.exc_info = sys.exc_info()
    return Discreet(FORMAT).format(record)


def fail(error: Exception) -> None:
    raise error from ValueError(f"the row is {CANARY}")


def test_an_exception_is_told_by_kind_and_place_with_what_it_came_from() -> None:
    said = written(LookupError(f"no {CANARY} is there"))
    assert said.startswith("ERROR personakit.api: It failed\n")
    assert "builtins.ValueError" in said
    assert "builtins.LookupError" in said
    assert "test_discreet_log.py" in said
    assert CANARY not in said


def test_a_process_that_began_to_log_writes_no_words_of_an_exception() -> None:
    program = f"""
import logging, threading
from personakit.log_lines import begin_logging
begin_logging()
class Gone:
    def __del__(self):
        raise LookupError("{CANARY}")
def fail():
    raise ZeroDivisionError("{CANARY}")
try:
    {{}}["{CANARY}"]
except KeyError:
    logging.getLogger("dramatiq").exception("An actor failed")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Gone()
raise OSError("{CANARY}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR dramatiq: An actor failed\n")
    for kind in ("KeyError", "ZeroDivisionError", "LookupError", "OSError"):
        assert f"builtins.{kind} (what it says is not written)" in done.stderr
    assert CANARY not in done.stderr.replace(program.strip(), "")
