"""Guided by coverage: atheris (libFuzzer) keeps damaged files that reach new lines of this package, and damages those.

The input is two bytes that choose the file, and the file. libFuzzer's own mutations alternate with those of
`mutate.py`.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.common import device_name
from tests.fuzz import runner, targets
from tests.fuzz.guard import Failure, Guard
from tests.fuzz.mutate import damaged
from tests.fuzz.targets import Target

MODULES = ("nerfstudio_mobavatar",)
CHOICE = 2
"""Bytes of an input that choose the file."""
WRITE_SECONDS = 1.0
"""Between counts of a reader's executions on disk."""


def run_each(
    chosen: Sequence[Target],
    runs: int,
    seed: int,
    keep: Path,
    jobs: int = 1,
    seconds: float = float("inf"),
    sound: Path | None = None,
) -> runner.Result:
    """Each reader in a process of its own, which libFuzzer ends. In `keep` is what it prints (READER.log), what it
    counts (READER.json: a reader that has done its runs there is not run again), and what it fails on. Ends early after
    `seconds`. `sound` is a folder of `runner.make_cases`."""
    keep.mkdir(parents=True, exist_ok=True)
    end, total = time.monotonic() + seconds, runner.Result()
    waiting = [target for target in chosen if _counted(keep, target)["executions"] < runs]
    ended: dict[str, int] = {}
    children: dict[int, Target] = {}
    with tempfile.TemporaryDirectory(dir=runner.memory_folder(), prefix="guided-") as folder:
        while children or (waiting and time.monotonic() < end):
            while waiting and len(children) < jobs and time.monotonic() < end:
                target = waiting.pop(0)
                children[_start(target, runs, seed, keep, end, sound, Path(folder) / target.name)] = target
            pid, status = os.wait()
            target = children.pop(pid)
            ended[target.name] = status
            shutil.rmtree(Path(folder) / target.name, ignore_errors=True)
            print(f"{target.name:<28}{_counted(keep, target)['executions']:>9}", flush=True)
    for target in chosen:
        found = _counted(keep, target)
        total.executions[target.name] += found["executions"]
        total.failures |= found["failures"]
        if ended.get(target.name) or (found["executions"] < runs and time.monotonic() < end):
            text = (keep / f"{target.name}.log").read_text(errors="replace")[-2000:]
            total.fail(target.name, Failure(f"ended early with status {ended.get(target.name)}", text))
    return total


def devices(chosen: Sequence[Target], keep: Path) -> set[str]:
    """On which the counts in `keep` were made."""
    return {found["device"] for found in (_counted(keep, target) for target in chosen) if "device" in found}


def _counted(keep: Path, target: Target) -> dict[str, Any]:
    answer = keep / f"{target.name}.json"
    return json.loads(answer.read_text()) if answer.is_file() else {"executions": 0, "failures": {}}


def _start(target: Target, runs: int, seed: int, keep: Path, end: float, sound: Path | None, base: Path) -> int:
    (keep / f"{target.name}.json").unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        runner._quiet(keep / f"{target.name}.log")
        run(target, runs, seed, keep, end, sound, base)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def run(target: Target, runs: int, seed: int, keep: Path, end: float, sound: Path | None, base: Path) -> None:
    """Damages files in the folder `base` until `runs` executions are done or it is `end` (monotonic), and ends the
    process."""
    import atheris as library

    atheris: Any = library  # it has no types
    with atheris.instrument_imports(include=[*MODULES], enable_loader_override=False):
        from nerfstudio_mobavatar import cli  # noqa: F401  (readers follow when they are called)

    with atheris.instrument_imports(include=[*MODULES], enable_loader_override=False):
        runner.set_out(base, [target], sound)
    folder = base / target.name
    files = [
        (case, path, path.read_bytes()) for case in runner.cases(folder) for path in runner.damageable(target, case)
    ]
    answer, corpus = keep / f"{target.name}.json", base / "corpus"
    corpus.mkdir()
    for i, (_, _, content) in enumerate(files):
        (corpus / str(i)).write_bytes(i.to_bytes(CHOICE, "little") + content)
    guard, result, written = Guard(folder, target.may_write), runner.Result(), 0.0
    guard.limit_memory(limit_addresses=False)  # libFuzzer needs its own

    def chosen(data: bytes) -> tuple[Path, Path, bytes]:
        return files[int.from_bytes(data[:CHOICE], "little") % len(files)]

    def one(data: bytes) -> None:
        nonlocal written
        case, path, content = chosen(data)
        path.write_bytes(data[CHOICE:])
        targets.CHANGED[:] = [path]
        failure = guard.run(lambda: target.read(case), folder)
        path.write_bytes(content)
        runner.clean(target, case)
        result.executions[target.name] += 1
        if failure is not None:
            result.fail(target.name, failure)
            runner._keep_sample(keep, target, failure, path, data[CHOICE:], folder)
        done = result.executions[target.name]
        if failure is not None or done >= runs or time.monotonic() > written + WRITE_SECONDS:
            found = {"executions": done, "failures": result.failures, "device": device_name("cpu")}
            answer.write_text(json.dumps(found))
            written = time.monotonic()

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5 or not data:
            return atheris.Mutate(data, most)
        return (data[:CHOICE] + damaged(rng, chosen(data)[1].name, data[CHOICE:]))[:most]

    options = [
        sys.argv[0],
        f"-runs={runs}",
        f"-seed={seed}",
        *([] if end == float("inf") else [f"-max_total_time={max(1, round(end - time.monotonic()))}"]),
        f"-artifact_prefix={keep}/{target.name}-",
        "-max_len=1000000",
        "-timeout=120",
        "-rss_limit_mb=0",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup(options, one, custom_mutator=change)
    atheris.Fuzz()
