"""Mutation score of the core: the share of small changes to it that the tests notice.

    python -m tests.bench.mutation --jobs 2           hours on two cores, minutes on many
    python -m tests.bench.mutation --resume           goes on where --limit-s ended the last one

mutmut (its settings are in pyproject.toml) changes one operator, number or argument at a time and runs the tests that
call the changed function. Caught: a test failed. Whatever else happened (all passed, no test calls it, out of time) is
counted as not caught.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.common import RESULTS, command_line, device_name, write

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutation"
LEFT_OUT = shutil.ignore_patterns(".*", "build", "node_modules", "mutants", "outputs", "demo", "sample", "results")
CAUGHT = {"killed"}
"""Not what ran out of time: mutmut calls every worker that stops in an unusual way by that name."""
TYPE_CHECKS = "--jaxtyping-packages=nerfstudio_mobavatar,beartype.beartype "
"""Of pyproject.toml's pytest options. They can be set up once in a process only, and mutmut calls pytest repeatedly;
besides, a mutant should be caught by what a test asserts."""


def prepare() -> None:
    """A copy of the sources without symbolic links: mutmut names modules by their folders. The generated `demo` folder
    at the top is left out, the package's own is not."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for entry in sorted(ROOT.iterdir()):
        if entry.name in LEFT_OUT(str(ROOT), [entry.name]):
            continue
        if entry.is_dir():
            shutil.copytree(entry, WORK / entry.name, ignore=shutil.ignore_patterns("node_modules", "sample", ".*"))
        else:
            shutil.copy(entry, WORK / entry.name)
    settings = (WORK / "pyproject.toml").read_text()
    if TYPE_CHECKS not in settings:
        raise SystemExit(f"mutation: expected {TYPE_CHECKS!r} among pytest's options in pyproject.toml")
    (WORK / "pyproject.toml").write_text(settings.replace(TYPE_CHECKS, ""))


def run(jobs: int, limit_s: float, only: list[str]) -> None:
    """mutmut goes through the mutants until all are tried or the time is up; what was tried is kept on disk."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("MUTATION_PYTHONPATH", "")}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *only]
    try:
        subprocess.run(command, cwd=WORK, env=environment, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        print(f"mutation: stopped after {limit_s:.0f} s; mutants not tried by then are not counted")


def outcomes(folder: Path) -> dict[str, dict[str, str]]:
    """Status of every mutant, by module."""
    from mutmut.stats import status_by_exit_code

    found = {}
    for meta in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        module = str(meta.relative_to(folder)).removesuffix(".py.meta")
        found[module] = {name: status_by_exit_code[code] for name, code in codes.items()}
    return {module: names for module, names in found.items() if names}


def score(statuses: list[str]) -> tuple[int, int]:
    """(caught, tried)."""
    tried = [status for status in statuses if status not in {"not checked", "skipped", "check was interrupted by user"}]
    return sum(status in CAUGHT for status in tried), len(tried)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=4 * 3600.0)
    parser.add_argument("--resume", action="store_true", help="try what the last run has not tried")
    parser.add_argument("--report-only", action="store_true", help="of the last run's folder")
    parser.add_argument("mutants", nargs="*", help="names or patterns; all without any")
    arguments = parser.parse_args()
    if not arguments.report_only:
        if not arguments.resume:
            prepare()
        run(arguments.jobs, arguments.limit_s, arguments.mutants)
    found = outcomes(WORK / "mutants")
    if not found:
        raise SystemExit(f"mutation: no mutants in {WORK / 'mutants'}; see mutmut's output above")
    known = RESULTS / "reliability.json"
    by_module = json.loads(known.read_text()).get("mutation_by_module", {}) if known.is_file() else {}
    for module, names in found.items():
        caught, tried = score(list(names.values()))
        for name, status in names.items():
            if status not in CAUGHT:
                print(f"{status:>12}  {name}")
        if tried:
            by_module[module] = {
                "caught": caught,
                "tried": tried,
                "generated": len(names),
                "device": device_name("cpu"),
                "command": command_line(),
            }
    caught, tried = (sum(counts[key] for counts in by_module.values()) for key in ("caught", "tried"))
    if not tried:
        raise SystemExit("mutation: no mutant was tried")
    write("reliability", {"mutation_score": round(caught / tried, 4), "mutation_by_module": by_module})


if __name__ == "__main__":
    main()
