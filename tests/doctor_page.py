"""Writes docs/doctor.md: what the doctor looks at, its JSON, and what it says about each way to spoil a capture.

`python -m tests.doctor_page` runs every corruption of tests/corruptions.py; test_doctor.py compares the page with what
the doctor says today (numbers apart, which may differ in the last digit between machines).
"""

import re
import shutil
import tempfile
from pathlib import Path

from nerfstudio_mobavatar.doctor.command import Doctor
from nerfstudio_mobavatar.doctor.findings import Finding, exit_code
from tests.corruptions import TABLE, Corruption, make_sound

PAGE = Path(__file__).resolve().parent.parent / "docs" / "doctor.md"
START, END = "<!-- table: python -m tests.doctor_page -->", "<!-- end of the table -->"


def diagnose(folder: Path) -> tuple[int, list[Finding]]:
    """Exit code and findings of one folder."""
    findings, _ = Doctor(folder).run()
    return exit_code(findings), findings


def spoilt(sound: Path, corruption: Corruption, folder: Path) -> Path:
    """A spoilt copy of the sound capture."""
    shutil.copytree(sound, folder)
    corruption.spoil(folder)
    return folder


def matching(corruption: Corruption, findings: list[Finding]) -> Finding | None:
    """The finding that the table promises."""
    for finding in findings:
        if finding.code == corruption.code and re.search(corruption.says, finding.sentence(), re.DOTALL):
            return finding
    return None


def row(corruption: Corruption, finding: Finding, folder: Path) -> str:
    """One line of the page's table."""
    said = finding.sentence().replace(str(folder), "DIR").replace("|", "/").replace("\n", " ")
    said = said.replace("<", "&lt;")
    said = re.sub(r"known capture layouts \(.*?\), found", "known capture layouts (...), found", said)  # a long list
    return f"| {corruption.done} | {corruption.exit_code} | `{corruption.code}` | {said} |"


def without_numbers(text: str) -> str:
    """For comparing pages made on different machines."""
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", text)


def main() -> None:
    rows = ["| what was done | exit | code | what the doctor says |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        sound = make_sound(Path(scratch) / "sound")
        for number, corruption in enumerate(TABLE):
            folder = spoilt(sound, corruption, Path(scratch) / f"c{number}")
            code, findings = diagnose(folder)
            finding = matching(corruption, findings)
            if finding is None or code != corruption.exit_code:
                raise SystemExit(f"{corruption.done}: exit code {code}, {[f.sentence() for f in findings]}")
            rows.append(row(corruption, finding, folder))
            print(rows[-1])
    text = PAGE.read_text()
    before, after = text.split(START)[0], text.split(END)[1]
    PAGE.write_text(before + START + "\n\n" + "\n".join(rows) + "\n\n" + END + after)


if __name__ == "__main__":
    main()
