"""Does `labelwise plan` tell the truth? Forecasts of every strategy from small runs, held against runs of full size.

python benchmarks/planning.py             # about a quarter of an hour on two cores

Each strategy is forecast for a pool of 16,000 from runs of up to 4,000, and then run at that size: peak memory must
be at most 1.25 times the forecast. Seconds are shown beside, without a promise. Each strategy has a process of its own:
what another left in memory must not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from labelwise.planning import forecast, measured
from labelwise.strategies import TABLE, make
from record import write

SIZE = {"n": 16_000, "batch": 200, "n_classes": 10, "width": 64, "labelled": 200, "draws": 10}
LARGEST = 4_000
TRUTH = {"grand-oracle": {"truth": [0] * SIZE["n"]}}


def checked(name: str) -> dict[str, Any]:
    """Return forecast and measurement of one strategy."""
    size = dict(SIZE)
    strategy = make(name, **TRUTH.get(name, {}))
    told = forecast(strategy, size.pop("n"), size.pop("batch"), seconds=600, largest=LARGEST, **size)
    run = measured(strategy, SIZE["n"], SIZE["batch"], **size)
    return {
        "forecast_seconds": told.seconds, "seconds": run.seconds,
        "forecast_mb": told.extra_bytes / 1e6, "mb": run.extra_bytes / 1e6,
        "memory_ratio": run.extra_bytes / told.extra_bytes, "seconds_ratio": run.seconds / told.seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="which strategies; all of them by default")
    asked = parser.parse_args()
    if asked.names:
        for name in asked.names:
            print(json.dumps(checked(name)), flush=True)
        return
    rows: dict[str, Any] = {}
    for name in TABLE:
        done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
        rows[name] = {key: round(value, 4) for key, value in json.loads(done.stdout).items()}
        print(name, rows[name], flush=True)
    within = {name: row["memory_ratio"] <= 1.25 for name, row in rows.items()}
    write(
        "planning", {"size": SIZE, "largest_calibration": LARGEST, "memory_within_1.25": within, "rows": rows}
    )


if __name__ == "__main__":
    main()
