"""What the doctor says: one `Finding` per observation, and the verdict that follows from all of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]

ORDER: tuple[Severity, ...] = ("error", "warning", "info")
"""Worst first."""

EXIT_CODES: dict[Severity, int] = {"error": 2, "warning": 1, "info": 0}
"""Exit code of `mobavatar doctor` by the worst finding."""

VERDICTS = ("fine", "usable, with warnings", "not usable as it is")
"""By exit code."""


@dataclass(frozen=True)
class Finding:
    """One observation, written for the person who made the capture."""

    code: str
    """Stable name for scripts, such as `mask-inverted`."""
    severity: Severity
    """`error`: training would be pointless or would stop; `warning`: it costs quality; `info`: good to know."""
    where: str
    """File, camera or frames."""
    what: str
    """What was found, with its number and what would be normal."""
    advice: str = ""
    """What to do; empty where nothing has to be done."""
    value: float | None = None
    """The number in `what`, for scripts."""
    unit: str = ""
    """Unit of `value`."""

    def sentence(self) -> str:
        """Everything in one line."""
        return f"{self.where}: {self.what}" + (f" {self.advice}" if self.advice else "")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first, otherwise in the order in which they were found."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def exit_code(findings: Iterable[Finding]) -> int:
    """0: fine, 1: warnings, 2: not usable."""
    return max((EXIT_CODES[finding.severity] for finding in findings), default=0)


def listed(items: Iterable[object], most: int = 8) -> str:
    """The first few, and how many more there are."""
    every = [str(item) for item in items]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
