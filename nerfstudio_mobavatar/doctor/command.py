"""`mobavatar doctor DIR`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..capture import CaptureError
from .examination import Examination
from .examine import examine
from .findings import Finding, exit_code
from .genders import compare_genders
from .report import as_json, print_report
from .survey import survey

if TYPE_CHECKING:  # parsers import nerfstudio, which takes seconds: only when a capture is read
    from ..dataparsers.base import CaptureDataParserConfig
    from .reading import Reading


@dataclass
class Doctor:
    """Look at a capture before training on it: are cameras, masks and body fit right, and do they fit together?

    Exit code 0: fine; 1: usable, with warnings; 2: not usable as it is.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the capture, of any layout that ns-train reads."""
    body: str = "open"
    """Body that the fit was made with: "open" (the one that ships) or the path of your SMPL-X file or folder."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Which file of an SMPL-X folder."""
    layout: str = "auto"
    """Name of the layout; "auto" looks at the folder."""
    flat_hand_mean: bool | None = None
    """As the option of ns-train: whether hand poses are complete as stored. None: what the layout's data sets do."""
    skip_cameras: tuple[str, ...] = ()
    """Cameras not to look at."""
    drop_frames: tuple[str, ...] = ()
    """Frames not to look at: numbers, half-open ranges, or "nan"."""
    test_cameras: tuple[str, ...] = ("auto",)
    """Cameras that training will hold out."""
    test_frames: tuple[str, ...] = ("auto",)
    """Frames that training will hold out."""
    json: bool = False
    """Print the report as JSON instead (docs/doctor.md describes it)."""
    sheet: Path | None = None
    """Write a contact sheet: SHEET.html (one file, opens anywhere) and SHEET.png."""
    fix: Path | None = None
    """Write a corrected copy of calibration and parameters into this new folder, with links to the pictures. The
    originals stay as they are."""
    shift_cameras: bool = False
    """Let --fix also move the principal points of cameras whose silhouettes lie beside their masks."""

    def main(self) -> None:
        """Examine, report, leave with the exit code."""
        findings, exam = self.run()
        if self.json:
            print(json.dumps(as_json(self.folder, findings, exam), indent=1))
        else:
            print_report(Console(), self.folder, findings, exam)
        sys.exit(exit_code(findings))

    def run(self) -> tuple[list[Finding], Examination | None]:
        """All findings, and what was seen if the capture could be read. Never raises for what is in the folder."""
        try:
            return self._run()
        except (CaptureError, KeyboardInterrupt):
            raise
        except Exception as error:  # the last resort of a tool for broken input: say it, do not show a stack
            what = f"something in it is so unusual that the doctor itself failed ({type(error).__name__}: {error})."
            advice = "Please report this with the file that causes it; training would fail as well."
            return [Finding("doctor-failed", "error", str(self.folder), what, advice), *survey(self.folder)], None

    def _run(self) -> tuple[list[Finding], Examination | None]:
        from .reading import load_body_for, read_as_far_as_possible

        with progress_bars() as progress:
            with progress("reading the calibration, the fit and the folders", 1) as advance:
                reading = read_as_far_as_possible(self.parser_config())
                advance()
            findings = list(reading.refusals)
            exam = None
            if reading.capture is None or reading.splits is None:
                findings += survey(self.folder)
            else:
                findings += _rest_note(reading)
                body = load_body_for(self.body, self.gender)
                if isinstance(body, Finding):
                    findings.append(body)
                else:
                    exam = examine(reading.capture, reading.splits, body, progress=progress)
                    findings += [*exam.findings, *compare_genders(exam, self.body, self.gender)]
        if self.fix is not None:
            findings += self._fix(exam)
        if self.sheet is not None and exam is not None:
            from .sheet import write_sheet

            write_sheet(self.sheet, exam, findings)
        return findings, exam

    def _fix(self, exam: Examination | None) -> Iterator[Finding]:
        from .fix import fix

        assert self.fix is not None
        if exam is None:
            what = "nothing was written: the capture cannot be read, and what cannot be read cannot be corrected."
            yield Finding("fix-impossible", "info", str(self.fix), what, "Repair by hand what the errors name.")
            return
        yield from fix(self.fix, exam, self.shift_cameras)

    def parser_config(self) -> "CaptureDataParserConfig":
        """The parser of the layout with the options given here."""
        from ..dataparsers.detect import LAYOUTS, AutoDataParserConfig

        names = ("body", "flat_hand_mean", "skip_cameras", "drop_frames", "test_cameras", "test_frames")
        options: dict[str, Any] = {"data": self.folder} | {name: getattr(self, name) for name in names}
        if self.layout == "auto":
            return AutoDataParserConfig(**options)
        known = {layout.name: layout.config for layout in LAYOUTS}
        if self.layout not in known:
            raise CaptureError(f"--layout {self.layout}: expected auto or one of {', '.join(known)}.")
        return known[self.layout](**options)


def _rest_note(reading: "Reading") -> list[Finding]:
    if not reading.refusals or reading.capture is None:
        return []
    options = " ".join(reading.without)
    return [Finding("examined-rest", "info", str(reading.capture.root), f"the rest was examined with {options}.")]


@contextmanager
def progress_bars() -> Iterator[Callable]:
    """Progress on the error output, where it does not mix with a report that goes into a file."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        @contextmanager
        def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
            task = bars.add_task(title, total=total)
            yield lambda: bars.advance(task)
            bars.remove_task(task)

        yield progress
