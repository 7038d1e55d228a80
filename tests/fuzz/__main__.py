"""Damaged files through every reader.

python -m tests.fuzz run --executions 1000000 --jobs 24 --seed 1 --keep DIR
python -m tests.fuzz make DIR                  sound files, for --sound DIR on a machine that cannot make them
python -m tests.fuzz record RESULT.json ... --kept DIR ...    the sum of runs with --result, and which of the kept files
                                               fail today, into tests/bench/results/reliability.json
python -m tests.fuzz again READER FILE         one kept file, with its stack trace
python -m tests.fuzz guided --runs 10000 --keep DIR    guided by coverage (needs atheris), runs of each reader
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.common import device_name, write
from tests.fuzz import runner
from tests.fuzz.targets import BY_NAME, TARGETS


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--executions", type=int, default=10_000)
    run.add_argument("--jobs", type=int, default=1)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    run.add_argument("--keep", type=Path, help="folder for files that fail")
    run.add_argument("--readers", nargs="*", default=[], help="of: " + ", ".join(BY_NAME))
    run.add_argument(
        "--result", type=Path, help="JSON file for the counts; by default tests/bench/results/reliability.json"
    )
    run.add_argument("--sound", type=Path, help="sound files that 'make' wrote")
    record = commands.add_parser("record")
    record.add_argument("results", type=Path, nargs="+")
    record.add_argument("--kept", type=Path, nargs="*", default=[], help="what the runs kept with --keep")
    commands.add_parser("make").add_argument("folder", type=Path)
    again = commands.add_parser("again")
    again.add_argument("reader", choices=BY_NAME)
    again.add_argument("file", type=Path)
    guided = commands.add_parser("guided")
    guided.add_argument("--readers", nargs="*", default=[], choices=BY_NAME, help="in this order")
    guided.add_argument("--keep", type=Path, required=True, help="folder for files that fail, logs and counts; with "
                        "those of an earlier command it goes on with what is missing")  # fmt: skip
    guided.add_argument("--jobs", type=int, default=1)
    guided.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    guided.add_argument("--sound", type=Path, help="sound files that 'make' wrote")
    guided.add_argument("--runs", type=int, default=10_000)
    guided.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.command == "again":
        runner.again(BY_NAME[args.reader], args.file)
    elif args.command == "record":
        _record([json.loads(path.read_text()) for path in args.results], args.kept)
    elif args.command == "make":
        runner.make_cases(args.folder, TARGETS)
    elif args.command == "guided":
        _guided(args)
    else:
        _run(args)


def _run(args: argparse.Namespace) -> None:
    chosen = [target for target in TARGETS if not args.readers or target.name in args.readers]
    started = time.monotonic()
    found = runner.run(chosen, args.executions, args.jobs, args.seed, args.keep, args.seconds, args.sound)
    for name, count in sorted(found.executions.items()):
        print(f"{name:<28}{count:>9}  {count / max(found.seconds[name], 1e-9):8.0f} a second")
    for kind, known in sorted(found.failures.items()):
        print(f"FAIL {known['count']:>6} x {kind}: {known['text'][:300]}")
    total = sum(found.executions.values())
    print(f"{total} executions in {time.monotonic() - started:.0f} s, {len(found.failures)} kinds of failures")
    values = {
        "executions": dict(sorted(found.executions.items())),
        "failures": found.failures,
        "device": device_name("cpu"),
        "command": f"python -m tests.fuzz run --executions {total} --jobs {args.jobs} --seed {args.seed}",
    }
    if args.result is not None:
        args.result.write_text(json.dumps(values, indent=1) + "\n")
    else:
        _record([values], [args.keep] if args.keep else [])
    sys.exit(bool(found.failures))


def _guided(args: argparse.Namespace) -> None:
    from tests.fuzz import guided

    chosen = [BY_NAME[name] for name in args.readers] or TARGETS
    found = guided.run_each(chosen, args.runs, args.seed, args.keep, args.jobs, args.seconds, args.sound)
    for kind, known in sorted(found.failures.items()):
        print(f"FAIL {known['count']:>6} x {kind}: {known['text'][:300]}")
    values = {
        "executions": dict(sorted(found.executions.items())),
        "executions_total": sum(found.executions.values()),
        "found": len(found.failures),
        "open": sum(is_open(kind, [args.keep], args.sound) for kind in found.failures),
        "device": "; ".join(sorted(guided.devices(chosen, args.keep))),
        "command": f"python -m tests.fuzz guided --runs {args.runs} --seed {args.seed} --keep DIR",
    }
    write("reliability", {"fuzz_guided": values})


def _record(results: list[dict[str, Any]], kept: list[Path]) -> None:
    """Counts of all runs together, by reader; failures, and those of them that are open."""
    executions = Counter[str]()
    for result in results:
        executions.update(result["executions"])
    kinds = {kind for result in results for kind in result["failures"]}
    write(
        "reliability",
        {
            "fuzz_executions": dict(sorted(executions.items())),
            "fuzz_executions_total": sum(executions.values()),
            "fuzz_found": len(kinds),
            "fuzz_open": sum(is_open(kind, kept) for kind in kinds),
            "fuzz_device": "; ".join(sorted({result["device"] for result in results})),
            "fuzz_command": "; ".join(result["command"] for result in results),
        },
    )


def is_open(kind: str, kept: list[Path], sound: Path | None = None) -> bool:
    """Whether a file that showed this failure shows one today; without such a file it counts as open."""
    folders = [runner.samples_of(keep, kind) for keep in kept]
    files = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if "__" in path.name]
    target = BY_NAME[kind.partition(": ")[0]]
    return not files or any(runner.fails_again(target, path, sound) for path in files)


if __name__ == "__main__":
    main()
