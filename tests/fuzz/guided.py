"""Guided by coverage: atheris (libFuzzer) keeps damaged files that reach new lines of this package, and damages those.

The input is a byte that chooses the file, and the file. libFuzzer's own mutations alternate with those of `mutate.py`.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz import runner, targets
from tests.fuzz.guard import Failure, Guard
from tests.fuzz.targets import Target

MODULES = ("nerfstudio_mobavatar",)


def run_each(chosen: list[Target], runs: int, seed: int, keep: Path) -> runner.Result:
    """Each reader in a process of its own, which libFuzzer ends. What it prints is in `keep`/READER.log."""
    total = runner.Result()
    keep.mkdir(parents=True, exist_ok=True)
    for target in chosen:
        answer, log = keep / f"{target.name}.json", keep / f"{target.name}.log"
        answer.unlink(missing_ok=True)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            try:
                runner._quiet(log)
                run(target, runs, seed, keep, answer)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        found = json.loads(answer.read_text()) if answer.is_file() else {"executions": 0, "failures": {}}
        total.executions[target.name] += found["executions"]
        total.failures |= found["failures"]
        if status or found["executions"] < runs:
            text = log.read_text(errors="replace")[-2000:]
            total.fail(target.name, Failure(f"ended early with status {status}", text))
        print(f"{target.name:<28}{found['executions']:>9}  {len(found['failures'])} kinds of failures", flush=True)
    return total


def run(target: Target, runs: int, seed: int, keep: Path, answer: Path) -> None:
    """Damages until `runs` executions are done, writes into `answer` what it counted, and ends the process."""
    import atheris as library

    atheris: Any = library  # it has no types
    with atheris.instrument_imports(include=[*MODULES], enable_loader_override=False):
        from nerfstudio_mobavatar import cli  # noqa: F401  (readers follow when they are called)

    temporary = tempfile.mkdtemp(dir=runner.memory_folder(), prefix="guided-")
    base = Path(temporary)
    with atheris.instrument_imports(include=[*MODULES], enable_loader_override=False):
        runner.make_cases(base, [target])
    folder = base / target.name
    files = [
        (case, path, path.read_bytes()) for case in runner.cases(folder) for path in runner.damageable(target, case)
    ]
    corpus = base / "corpus"
    corpus.mkdir()
    for i, (_, _, sound) in enumerate(files[:256]):
        (corpus / str(i)).write_bytes(bytes([i]) + sound)
    guard, result = Guard(folder, target.may_write), runner.Result()
    guard.limit_memory(limit_addresses=False)  # libFuzzer needs its own

    def one(data: bytes) -> None:
        case, path, sound = files[data[0] % len(files)] if data else files[0]
        path.write_bytes(data[1:])
        targets.CHANGED[:] = [path]
        failure = guard.run(lambda: target.read(case), folder)
        path.write_bytes(sound)
        runner.clean(target, case)
        result.executions[target.name] += 1
        if failure is not None:
            result.fail(target.name, failure)
            runner._keep_sample(keep, target, failure, path, data[1:], folder)
        done = result.executions[target.name]
        if done % 500 == 0 or done >= runs:
            answer.write_text(json.dumps({"executions": done, "failures": result.failures}))

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5 or not data:
            return atheris.Mutate(data, most)
        name = files[data[0] % len(files)][1].name
        return (data[:1] + targets_damage(rng, name, data[1:]))[:most]

    from tests.fuzz.mutate import damaged as targets_damage

    options = [
        sys.argv[0],
        f"-runs={runs}",
        f"-seed={seed}",
        "-max_len=1000000",
        "-timeout=120",
        "-rss_limit_mb=0",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup(options, one, custom_mutator=change)
    atheris.Fuzz()
