"""Fail when tests that need no GPU were skipped: `check_ran.py JUNIT_XML PREFIX...`.

A prefix is the start of a test's dotted module, such as `tests.wgsl`. Under each one at least one test must have
passed, and a skip is accepted only where its reason names CUDA: a missing browser or Vulkan driver must not pass for
a green run.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def problems(junit: Path, prefixes: list[str]) -> list[str]:
    """One line for each prefix without a passed test, and for each unacceptable skip."""
    cases = list(ET.parse(junit).iter("testcase"))
    found = []
    for prefix in prefixes:
        mine = [case for case in cases if (case.get("classname") or "").startswith(prefix)]
        passed = [case for case in mine if len(case.findall("*")) == len(case.findall("system-out"))]
        if not passed:
            found.append(f"{prefix}: expected at least one passed test, found none among {len(mine)}")
        for case in mine:
            skip = case.find("skipped")
            if skip is not None and "CUDA" not in (skip.get("message") or ""):
                found.append(f"{case.get('classname')}::{case.get('name')} was skipped: {skip.get('message')}")
    return found


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]), sys.argv[2:])
    for line in lines:
        print(f"check_ran: {line}", file=sys.stderr)
    sys.exit(bool(lines))
