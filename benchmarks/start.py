"""How long `import labelwise` and `labelwise --help` take, and whether torch is loaded by them."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from record import write

REPEATS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import labelwise": [sys.executable, "-c", "import labelwise"],
    "labelwise --help": [str(Path(sys.executable).parent / "labelwise"), "--help"],
}


def main() -> None:
    runs: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS + 1):
        for name, command in COMMANDS.items():
            start = perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            runs[name].append(round(perf_counter() - start, 4))
    runs = {name: values[1:] for name, values in runs.items()}  # the first round warms the disk cache
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, labelwise; print('torch' in sys.modules)"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    medians = {name: statistics.median(values) for name, values in runs.items()}
    path = write(
        "start",
        {
            "unit": "wall seconds of the whole process",
            "median": medians,
            "torch_loaded": loaded == "True",
            "runs": runs,
        },
    )
    print(path, medians)


if __name__ == "__main__":
    main()
