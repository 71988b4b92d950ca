"""The rest of the suite "core": every strategy that the evidence on BRAL-T and RL-MBA does not hold, kept.

python benchmarks/core.py --jobs 2                     # whatever is not measured yet: hours on two cores
python benchmarks/core.py --only digits --jobs 2       # one set, or one method, or both
python benchmarks/core.py --collect --folder DIR       # run nothing: take in the runs that lie there

`labelwise bench --suite core` is these runs and those of bralt_evidence.py and multimodal_evidence.py. Runs that any
committed results hold are not run again; each says which commit made it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import bralt_evidence
import multimodal_evidence
from bralt_evidence import held, measure, row_of
from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench

PARTS = {"core-rest": "core/rest", "core-modalities": "core/modalities"}  # results
ELSEWHERE = (bralt_evidence.EVIDENCE, multimodal_evidence.EVIDENCE)
WHAT = "test accuracy after every round"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "core", help="where runs lie")
    parser.add_argument("--only", action="append", default=[], help="a set or a method; may be repeated")
    parser.add_argument("--collect", action="store_true", help="run nothing: take in what the folder holds")
    asked = parser.parse_args()
    elsewhere = {spec_id for name in ELSEWHERE for spec_id in held(name)}
    for name, protocol in PARTS.items():
        bench = read_bench(find(protocol))
        rows = [
            (spec, case)
            for spec, case in zip(bench.specs, bench.cases, strict=True)
            if spec.id not in elsewhere and set(asked.only) <= set(case.values())
        ]
        bench = replace(bench, specs=tuple(spec for spec, _ in rows), cases=tuple(case for _, case in rows))
        about = {"what": WHAT, "protocol": protocol, "command": "python benchmarks/core.py"}
        measure(name, bench, asked.folder, asked.jobs, asked.collect, about, row_of)


if __name__ == "__main__":
    main()
