"""The cheap part of the examination, which `ns-train` runs before it builds anything: a second or two."""

from collections.abc import Callable

from ..capture import CaptureError
from ..dataparsers.base import CaptureDataParserConfig
from .examine import examine
from .findings import Finding, ordered
from .reading import load_body_for, read_as_far_as_possible
from .sampling import QUICK


def check_before_training(
    config: CaptureDataParserConfig, body: str, gender: str, say: Callable[[str], None] = print
) -> None:
    """Say what is worth a warning; raise `CaptureError` with the doctor's words where training would be pointless."""
    findings = ordered(quick_findings(config, body, gender))
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise CaptureError(
            f"{config.data} is not usable as it is.\n"
            + "".join(f"  - {finding.sentence()}\n" for finding in errors)
            + f"`mobavatar doctor {config.data}` looks closer; --check-capture False trains anyway if it can be read."
        )
    for finding in findings:
        if finding.severity == "warning":
            say(f"  - {finding.sentence()}")


def quick_findings(config: CaptureDataParserConfig, body: str, gender: str) -> list[Finding]:
    """What is wrong at first sight."""
    reading = read_as_far_as_possible(config)
    if reading.capture is None or reading.splits is None:
        return reading.refusals
    model = load_body_for(body, gender)
    if isinstance(model, Finding):
        return [*reading.refusals, model]
    return [*reading.refusals, *examine(reading.capture, reading.splits, model, QUICK).findings]
