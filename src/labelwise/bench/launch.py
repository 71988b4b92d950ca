"""Many runs at once: one process a run, finished runs skipped, Ctrl-C and kill safe; relaunching is recovery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from labelwise.bench.results import read_run
from labelwise.bench.run import run_file, spec_text
from labelwise.bench.spec import Spec, id_of
from labelwise.errors import CorruptStore, InputError, StoreError

KILLED = 3  # a run whose process was killed so often from outside has failed


@dataclass
class Job:
    """One run as the launcher sees it: waiting, running, done, busy (another process has it) or failed."""

    spec: Spec
    status: str = "waiting"
    bought: int = 0
    budget: int = 1
    phase: str = ""
    why: str = ""
    kills: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def share(self) -> float:
        """How much of the run is done, in [0, 1]."""
        return 1.0 if self.status == "done" else min(1.0, self.bought / max(1, self.budget))


def is_finished(spec: Spec, folder: Path) -> bool:
    """Return True if the folder holds the finished run of this spec.

    The file's own spec must be this one, to the last value: a file that was renamed, or put here from elsewhere, never
    stands for a run that it is not.

    Raises:
        StoreError: the run's file is damaged (delete it to run afresh), or holds another run.
    """
    path = run_file(folder, spec)
    if not path.exists():
        return False
    try:
        run = read_run(path)
    except InputError:  # a store that was created but never opened
        return False
    if (held := id_of(run.spec)) != spec.id:
        raise StoreError(f"{path} holds another run, {held}. Move it away, or give it its own name again.")
    return run.finished


def launch(
    specs: Sequence[Spec],
    folder: Path,
    *,
    jobs: int = 1,
    notes: dict[str, Any] | None = None,
    cases: Mapping[str, Mapping[str, str]] | None = None,
    watch: Callable[[Sequence[Job]], None] | None = None,
    until: float | None = None,
) -> list[Job]:
    """Run every spec that is not finished yet and return all jobs.

    Each run is a process of its own with one thread for BLAS and OpenMP (recipes set theirs from the spec). When this
    process ends, however it ends, its runs notice that their standard input closed and stop; what they recorded stays. A run
    whose process is killed from outside goes on in a new one, behind the others, up to three times.

    Args:
        specs: the runs.
        folder: where the run files lie.
        jobs: processes at a time, at least 1.
        notes: kept with each opening.
        cases: run id -> axis -> case of a protocol, kept with the opening, so that a report of the files alone has them.
        watch: told the jobs whenever one of them moves.
        until: reading of `time.monotonic` after which no run is started; those that are running are finished, and the
            others stay "waiting". None: no limit.

    Raises:
        InputError: jobs is less than 1.
        KeyboardInterrupt: handed on after every run was stopped.
    """
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1; it is {jobs}.")
    folder.mkdir(parents=True, exist_ok=True)
    everything = [Job(spec, budget=spec.plan.budget) for spec in specs]
    waiting: deque[Job] = deque()
    for job in everything:
        try:
            if is_finished(job.spec, folder):
                job.status = "done"
                continue
            waiting.append(job)
        except StoreError as error:
            cure = f" Delete {run_file(folder, job.spec)} to run it afresh."
            job.status, job.why = "failed", f"{error}{cure if isinstance(error, CorruptStore) else ''}"
    moved = threading.Condition()
    running: set[int] = set()

    def follow(index: int, job: Job) -> None:
        try:
            named = (cases or {}).get(job.spec.id)
            _run(job, folder, {**(notes or {}), **({"cases": dict(named)} if named else {})}, moved)
        finally:  # whatever happened: the launcher must not wait for this run for ever
            with moved:
                if job.status == "running":
                    job.status, job.why = "failed", "nobody could follow what it said"
                if job.status == "waiting":
                    waiting.append(job)
                running.discard(index)
                moved.notify_all()

    try:
        with moved:
            while running or (waiting and _is_before(until)):
                while waiting and len(running) < jobs and _is_before(until):
                    job = waiting.popleft()
                    job.status = "running"
                    running.add(id(job))
                    threading.Thread(target=follow, args=(id(job), job), daemon=True).start()
                if watch is not None:
                    watch(everything)
                moved.wait(timeout=0.5)
    except BaseException:  # Ctrl-C included: stop the children, then hand it on
        for job in everything:
            if job.process is not None and job.process.poll() is None:
                job.process.terminate()
        for job in everything:  # gone before this returns, so that the same command can follow at once
            if job.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    job.process.wait(timeout=10)
        raise
    if watch is not None:
        watch(everything)
    return everything


def _is_before(until: float | None) -> bool:
    return until is None or monotonic() < until


def _run(job: Job, folder: Path, notes: dict[str, Any], moved: threading.Condition) -> None:
    """Run one spec in a process of its own and follow what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "labelwise.bench.child", str(folder), json.dumps(notes)]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which then stops its children in order
        )
    except OSError as error:
        with moved:
            job.status, job.why = "failed", f"The process could not be started: {error}."
        return
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    job.process = process
    tail: deque[str] = deque(maxlen=20)
    reader = threading.Thread(target=_drain, args=(process.stderr, tail), daemon=True)
    reader.start()
    with suppress(BrokenPipeError):  # a child that died at once says why on its standard error
        process.stdin.write(spec_text(job.spec) + "\n")
        process.stdin.flush()  # left open: its end tells the child that nobody waits for it any more
    for line in process.stdout:
        with suppress(ValueError, KeyError, TypeError):  # a library that prints is no reason to lose the run
            told = json.loads(line)
            with moved:
                job.bought, job.budget, job.phase = told["bought"], told["budget"], told["phase"]
                moved.notify_all()
    code = process.wait()
    process.stdout.close()
    reader.join(timeout=5)
    with suppress(BrokenPipeError):
        process.stdin.close()
    with moved:
        if code == 0:
            job.status = "done"
        elif code == 75:
            job.status, job.why = "busy", "another process is running it; the same command, later, reports it"
        elif code < 0 and (kills := job.kills + 1) < KILLED:  # by a signal, such as that of a full memory
            job.status, job.kills = "waiting", kills
        else:
            job.status = "failed"
            job.why = "".join(tail).strip() or f"the process ended with code {code}"


def _drain(stream: IO[str], tail: deque[str]) -> None:
    with stream:
        tail.extend(stream)
