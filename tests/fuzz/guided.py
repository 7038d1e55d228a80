"""Guided by coverage: atheris (libFuzzer) keeps damaged files that reach new lines of this package, and damages those.

The input is a byte that chooses the file, and the file. libFuzzer's own mutations alternate with those of `mutate.py`.
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz import runner, targets
from tests.fuzz.guard import Guard
from tests.fuzz.targets import Target

MODULES = ("nerfstudio_mobavatar",)


def run(target: Target, runs: int, seed: int) -> None:
    """Damages until `runs` executions are done, then prints what failed and ends the process."""
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
            print(f"FAIL {target.name}: {failure.kind}: {failure.text}", file=sys.stderr)
        if result.executions[target.name] % 1000 == 0 or result.executions[target.name] >= runs:
            print(
                f"{target.name} {result.executions[target.name]} executions, {len(result.failures)} kinds of failures"
            )

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
        str(corpus),
    ]
    atheris.Setup(options, one, custom_mutator=change)
    atheris.Fuzz()
