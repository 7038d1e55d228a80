"""Many executions in processes of their own: a crash, a hang or a leak ends one of them and is a finding."""

import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import RawArray
from pathlib import Path
from typing import Any

from tests.fuzz import targets
from tests.fuzz.guard import SECONDS, Failure, Guard
from tests.fuzz.mutate import damaged
from tests.fuzz.targets import Target

CHUNK = 1000
"""Executions of one process at most."""
CHUNK_SECONDS = 60.0
SAMPLES = 3
"""Files kept of each kind of failure."""
STARTING_SECONDS = 60.0
"""More for the first of a process."""
STUCK_SECONDS = 12 * SECONDS
"""Wall time of one execution after which its process is killed: what Python's signals cannot stop."""


@dataclass
class Result:
    """Counts, and what went wrong."""

    executions: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind: how often, and the text of the first."""

    def fail(self, target: str, failure: Failure, count: int = 1) -> None:
        known = self.failures.setdefault(f"{target}: {failure.kind}", {"count": 0, "text": failure.text})
        known["count"] += count


@dataclass
class _Child:
    pid: int
    slot: int
    target: Target
    folder: Path
    count: int


def memory_folder() -> Path | None:
    """Where files live in memory, on systems that have it."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else None


def make_cases(base: Path, chosen: Sequence[Target]) -> None:
    """Sound files of every target, which its reader has to read."""
    for target in chosen:
        folder = base / target.name
        folder.mkdir(parents=True)
        target.make(folder)
    read_cases(base, chosen)


def set_out(base: Path, chosen: Sequence[Target], sound: Path | None) -> None:
    """Sound files in `base`: those that `make_cases` made in the folder `sound` before, or new ones."""
    if sound is None:
        make_cases(base, chosen)
        return
    for target in chosen:
        shutil.copytree(sound / target.name, base / target.name)
    read_cases(base, chosen)


def read_cases(base: Path, chosen: Sequence[Target]) -> None:
    """Sound files are read; also, everything that readers import is there afterwards."""
    for target in chosen:
        for case in cases(base / target.name):
            targets.CHANGED.clear()
            target.read(case)
            clean(target, case)


def cases(folder: Path) -> list[Path]:
    return sorted(folder.glob("case_*")) or [folder]


def clean(target: Target, case: Path) -> None:
    for pattern in target.loose:
        for path in case.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(
    chosen: Sequence[Target],
    executions: int,
    jobs: int,
    seed: int,
    keep: Path | None,
    seconds: float = float("inf"),
    sound: Path | None = None,
) -> Result:
    """About `executions` in all, shared by the targets' weights; stops early after `seconds`. `sound` is a folder that
    `make_cases` made before."""
    started, result = time.monotonic(), Result()
    with tempfile.TemporaryDirectory(dir=memory_folder(), prefix="fuzz-") as temporary:
        base = Path(temporary)
        set_out(base / "sound", chosen, sound)
        gc.collect()
        gc.freeze()  # children share these objects; looking at them would copy their pages
        queue = deque(_chunks(chosen, executions))
        children: dict[int, _Child] = {}
        beats = RawArray("d", 2 * jobs)  # executions done, and when the present one started
        number = 0
        while queue or children:
            late = time.monotonic() - started > seconds
            free = [slot for slot in range(jobs) if all(child.slot != slot for child in children.values())]
            while free and queue and not late:
                target, count = queue.popleft()
                number += 1
                child = _start(base, target, count, f"{seed}-{number}", free.pop(), beats, keep, started + seconds)
                children[child.pid] = child
            if late and not children:
                break
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in children:
                _collect(children.pop(pid), status, beats, result, keep, base)
            else:
                _kill_stuck(children, beats)
                time.sleep(0.01)
    gc.unfreeze()
    return result


def _chunks(chosen: Sequence[Target], executions: int) -> list[tuple[Target, int]]:
    """Round robin, so that all targets have their share whenever it stops."""
    whole = sum(target.weight for target in chosen)
    left = {target.name: max(1, round(executions * target.weight / whole)) for target in chosen}
    out = []
    while any(left.values()):
        for target in chosen:
            count = min(left[target.name], max(20, round(CHUNK * min(target.weight, 1))))
            left[target.name] -= count
            if count:
                out.append((target, count))
    return out


def _start(
    base: Path, target: Target, count: int, seed: str, slot: int, beats: Any, keep: Path | None, end: float
) -> _Child:
    folder = base / f"work-{seed}"
    shutil.copytree(base / "sound" / target.name, folder)
    beats[2 * slot], beats[2 * slot + 1] = 0, time.monotonic() + STARTING_SECONDS
    pid = os.fork()
    if pid:
        return _Child(pid, slot, target, folder, count)
    status = 1
    try:
        _quiet(base / f"log-{seed}")
        found = _work(target, folder, count, seed, slot, beats, keep, end)
        (base / f"result-{os.getpid()}.json").write_text(json.dumps(found))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _quiet(log: Path) -> None:
    """Libraries in C write to the terminal what they think of a file."""
    for stream in (1, 2):
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, stream)
        os.close(opened)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def _work(
    target: Target, folder: Path, count: int, seed: str, slot: int, beats: Any, keep: Path | None, end: float
) -> dict[str, Any]:
    """In the child: damage, read, put right."""
    rng = random.Random(f"{target.name} {seed}")
    files = [(case, path, path.read_bytes()) for case in cases(folder) for path in damageable(target, case)]
    guard = Guard(folder, target.may_write)
    for case in cases(folder):
        targets.CHANGED.clear()
        target.read(case)
        clean(target, case)
    guard.limit_memory()
    result, done, began = Result(), 0, time.monotonic()
    while done < count and time.monotonic() < min(end, began + CHUNK_SECONDS):
        case, path, sound = rng.choice(files)
        data = damaged(rng, path.name, sound)
        path.write_bytes(data)
        targets.CHANGED[:] = [path]
        beats[2 * slot + 1] = time.monotonic()
        failure = guard.run(lambda case=case: target.read(case), folder)
        done += 1
        beats[2 * slot] = done
        if failure is not None:
            result.fail(target.name, failure)
            _keep_sample(keep, target, failure, path, data, folder)
        path.write_bytes(sound)
        clean(target, case)
    return {"executions": done, "seconds": time.monotonic() - began, "failures": result.failures}


def damageable(target: Target, case: Path) -> list[Path]:
    found = {path for pattern in target.damage for path in case.glob(pattern)}
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def samples_of(keep: Path, kind: str) -> Path:
    """The folder of the samples of a failure, as `Result.failures` names it."""
    target, _, what = kind.partition(": ")
    safe = "".join(c if c.isalnum() else "_" for c in what)[:80]
    return keep / f"{target}__{safe}"


def _keep_sample(keep: Path | None, target: Target, failure: Failure, path: Path, data: bytes, folder: Path) -> None:
    if keep is None:
        return
    place = samples_of(keep, f"{target.name}: {failure.kind}")
    place.mkdir(parents=True, exist_ok=True)
    if len(list(place.iterdir())) < 2 * SAMPLES:
        name = f"{os.getpid()}_{time.monotonic_ns() % 10**9}"
        (place / f"{name}__{str(path.relative_to(folder)).replace(os.sep, '@')}").write_bytes(data)
        (place / f"{name}.txt").write_text(f"{failure.kind}\n{failure.text}\n")


def _kill_stuck(children: dict[int, _Child], beats: Any) -> None:
    for child in children.values():
        if time.monotonic() - beats[2 * child.slot + 1] > STUCK_SECONDS:
            os.kill(child.pid, signal.SIGKILL)


def _collect(child: _Child, status: int, beats: Any, result: Result, keep: Path | None, base: Path) -> None:
    answer, name = base / f"result-{child.pid}.json", child.target.name
    if status == 0 and answer.is_file():
        found = json.loads(answer.read_text())
        result.executions[name] += found["executions"]
        result.seconds[name] += found["seconds"]
        for kind, known in found["failures"].items():
            result.fail(name, Failure(kind.partition(": ")[2], known["text"]), known["count"])
        answer.unlink()
    else:
        result.executions[name] += int(beats[2 * child.slot])
        seed = child.folder.name.removeprefix("work-")
        log = base / f"log-{seed}"
        last = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
        how = f"signal {signal.Signals(status & 127).name}" if status & 127 else f"exit {status >> 8}"
        failure = Failure(f"ended by {how}", last)
        result.fail(name, failure)
        changed = _changed_file(child, base)
        if changed is not None:
            _keep_sample(keep, child.target, failure, changed, changed.read_bytes(), child.folder)
    shutil.rmtree(child.folder, ignore_errors=True)
    (base / f"log-{child.folder.name.removeprefix('work-')}").unlink(missing_ok=True)


def _changed_file(child: _Child, base: Path) -> Path | None:
    sound = base / "sound" / child.target.name
    for path in child.folder.rglob("*"):
        before = sound / path.relative_to(child.folder)
        if path.is_file() and before.is_file() and path.read_bytes() != before.read_bytes():
            return path
    return None


def again(target: Target, sample: Path) -> None:
    """Read one kept sample, with the whole stack trace."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        target.make(folder)
        print(target.read(_put_back(sample, folder)), file=sys.stderr)


def fails_again(target: Target, sample: Path, sound: Path | None = None) -> bool:
    """Whether a kept sample is a failure today, by all rules, in a process of its own. `sound`: as of `run`."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as temporary:
        folder = Path(temporary) / target.name
        set_out(Path(temporary), [target], sound)
        pid = os.fork()
        if not pid:
            try:
                _quiet(Path(temporary) / "log")
                signal.alarm(round(STUCK_SECONDS))
                guard = Guard(folder, target.may_write)
                guard.limit_memory()
                case = _put_back(sample, folder)
                os._exit(guard.run(lambda: target.read(case), folder) is not None)
            finally:
                os._exit(1)
        return os.waitpid(pid, 0)[1] != 0


def _put_back(sample: Path, folder: Path) -> Path:
    """`TIME__case@path` to where it was. The case that it belongs to."""
    path = folder / sample.name.partition("__")[2].replace("@", os.sep)
    path.write_bytes(sample.read_bytes())
    targets.CHANGED[:] = [path]
    return next((c for c in cases(folder) if path.is_relative_to(c)), folder)
