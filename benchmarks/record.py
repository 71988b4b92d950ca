"""Where a benchmark's numbers come from: command, commit, machine, versions; written beside all runs."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"


def machine() -> dict[str, Any]:
    """Return processor, cores this process may use, memory and system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpu": cpu, "cores": cores, "system": platform.system(), "load_before": load}


def provenance(
    packages: tuple[str, ...] = ("numpy", "torch", "scikit-learn", "sqlalchemy"),
) -> dict[str, Any]:
    """Return what somebody needs to make the numbers again."""
    here = Path(__file__).parent.parent
    git = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return {
        "command": shlex.join(
            ["python", *[os.path.relpath(a) if a.endswith(".py") else a for a in sys.argv]]
        ),
        "commit": git.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """Write results/<name>.json and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**provenance(), **content}, indent=1) + "\n")
    return path
