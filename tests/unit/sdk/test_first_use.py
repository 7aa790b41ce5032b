"""The first answers may come to several threads at once: msgspec crashes the process of who decodes a type
that another thread is just preparing, so they are prepared when the module is imported."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib, sys, threading
import msgspec

sys.setswitchinterval(1e-6)

def decode_all(shapes, begin):
    begin.wait()
    for shape in shapes:
        last = shape.__struct_encode_fields__[-1]  # what is prepared last
        try:
            msgspec.json.decode(msgspec.json.encode({last: 0}), type=shape)
        except msgspec.ValidationError:
            pass

for _ in range(60):
    sys.modules.pop("personakit_sdk.wire", None)
    wire = importlib.import_module("personakit_sdk.wire")
    shapes = [*wire.Answer.__subclasses__(), *wire.Request.__subclasses__()]
    begin = threading.Barrier(8)
    threads = [threading.Thread(target=decode_all, args=(shapes, begin)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_decode_a_type_for_the_first_time_at_once_do_not_crash() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
