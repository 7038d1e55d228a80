"""Which share of the product's lines some test runs: `make coverage` counts, this writes results/reliability.json.

    python -m tests.bench.coverage build/coverage.json

The JSON is coverage's own.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from tests.bench.common import device_name, write

PACKAGE = "nerfstudio_mobavatar"


def shares(report: dict) -> dict[str, float]:
    """Covered share of the statements of each folder of the package, "" being all. `report`: of `coverage json`."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, file in report["files"].items():
        summary = file["summary"]
        inside = Path(name.removeprefix(f"{PACKAGE}/")).parts  # dataparsers and web_export lie beside the package
        folder = inside[0] if len(inside) > 1 else "core"
        for group in ("", folder):
            counts[group][0] += summary["covered_lines"]
            counts[group][1] += summary["num_statements"]
    return {group: round(covered / of, 4) for group, (covered, of) in sorted(counts.items()) if of}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    found = shares(json.loads(parser.parse_args().report.read_text()))
    if not found:
        raise SystemExit("coverage: expected files of the package in the report, found none")
    write("reliability", {
        "line_coverage": found.pop(""),
        "line_coverage_by_folder": found,
        "line_coverage_device": device_name("cpu"),
        "line_coverage_command": "make coverage",
    })  # fmt: skip


if __name__ == "__main__":
    main()
