"""The rest of the suite "core": every strategy that the evidence on BRAL-T and RL-MBA does not hold, kept.

python benchmarks/core.py --jobs 2                     # whatever is not measured yet: hours on two cores
python benchmarks/core.py --only digits --jobs 2       # one set, or one method, or both
python benchmarks/core.py --collect --folder DIR       # run nothing: take in the runs that lie there

`labelwise bench --suite core` is these runs and those of bralt_evidence.py and multimodal_evidence.py. Runs that any
committed results hold are not run again; each says which commit made it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bralt_evidence
import multimodal_evidence
from kept import arguments, held, measure
from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench

PARTS = {"core-rest": "core/rest", "core-modalities": "core/modalities"}  # results
ELSEWHERE = (bralt_evidence.EVIDENCE, multimodal_evidence.EVIDENCE)
WHAT = "test accuracy after every round"


def main() -> None:
    asked = arguments(__doc__).parse_args()
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
        measure(name, bench, asked.folder or Path("runs") / "core", asked.jobs, asked.collect, about)


if __name__ == "__main__":
    main()
