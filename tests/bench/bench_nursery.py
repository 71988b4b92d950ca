"""Children that run specs, forked from a process that has imported everything: started in milliseconds, to be killed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import sklearn.datasets  # noqa: F401 - imported once, here
import torch  # noqa: F401 - imported once, here

from labelwise.bench.run import run
from labelwise.bench.spec import read_spec


def serve(folder: Path, specs: list[dict[str, object]]) -> None:
    """For each line on standard input, fork a child that runs all specs; say its pid, and how it ended."""
    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            for values in specs:
                run(read_spec(values), folder)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), json.loads(sys.argv[2]))
