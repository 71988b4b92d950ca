"""The process of one run: reads a spec from standard input, prints its progress as JSON lines, stops with its parent."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from time import monotonic

from labelwise.bench.run import run
from labelwise.bench.spec import read_spec
from labelwise.errors import Conflict, LabelwiseError

BUSY = 75  # sysexits' EX_TEMPFAIL: somebody else has this run


def _stop_with_parent() -> None:
    """End at once when standard input closes: the launcher is gone. What was recorded stays recorded."""
    while os.read(sys.stdin.fileno(), 1024):  # not sys.stdin.read(): its lock would be held when Python ends
        pass
    os._exit(1)


def main(folder: str, notes: str) -> int:
    """Run the spec on standard input and return the exit code."""
    spec = read_spec(json.loads(sys.stdin.readline()))
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    last = [0.0, -1]

    def tell(bought: int, budget: int, phase: str) -> None:
        now = monotonic()
        if bought == last[1] and now - last[0] < 0.5:
            return
        last[:] = [now, bought]
        print(json.dumps({"bought": bought, "budget": budget, "phase": phase}), flush=True)

    try:
        run(spec, Path(folder), notes=json.loads(notes), tell=tell)
    except Conflict:
        return BUSY
    except LabelwiseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
