"""What a run notices about its own steps, without waiting for the GPU: steps left out, frames that stay bad."""

from dataclasses import astuple, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

WINDOW = 100
"""Steps between two looks at the device."""
FEWEST_VISITS = 3
NEW_SHARE = 0.2
"""Weight of the newest loss in a frame's running mean."""
ABOVE_MEDIAN, DEVIATIONS = 1.3, 5.0
"""A frame stands out if its loss exceeds the median over frames by both measures."""


class TrainingDivergedError(RuntimeError):
    """No step could be taken for a whole window."""


@dataclass(frozen=True)
class Shown:
    """What a step looked at."""

    step: int
    frame: int
    """Row of the fit."""
    cameras: tuple[int, ...]


def not_finite(gradients: list[Tensor]) -> Float[Tensor, ""]:
    """1 if any gradient holds NaN or infinity, else 0; a tensor on their device, so that nobody waits."""
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    total = torch.stack(norms).sum()
    return 1 - total.isfinite().float()


class StepWatch:
    """Collects per step on the device, and reads once in `WINDOW` steps."""

    def __init__(self, frames: list[str], cameras: list[str]) -> None:
        self.frames, self.cameras = frames, cameras
        self.skipped: list[Shown] = []
        """Steps left out so far."""
        self._pending: list[tuple[Shown, Tensor]] = []
        self._visits = [0] * len(frames)
        self._loss: Tensor | None = None

    @torch.no_grad()
    def note(self, shown: Shown, skipped: Float[Tensor, ""], loss: Float[Tensor, ""]) -> list[str]:
        """After a step. Returns what to tell the user, mostly nothing. Raises `TrainingDivergedError`."""
        if self._loss is None:
            self._loss = torch.zeros(len(self.frames))
        self._loss = self._loss.to(loss.device)
        own = self._loss[shown.frame]
        good = torch.where(loss.isfinite(), loss, own)
        own.lerp_(good, NEW_SHARE if self._visits[shown.frame] else 1.0)
        self._visits[shown.frame] += 1
        self._pending.append((shown, skipped))
        return self.look() if len(self._pending) >= WINDOW else []

    def look(self) -> list[str]:
        """Read the device now."""
        if not self._pending:
            return []
        verdicts = self._verdicts().tolist()
        bad = [shown for (shown, _), verdict in zip(self._pending, verdicts) if verdict]
        whole = len(bad) == len(verdicts) >= WINDOW
        self._pending.clear()
        self.skipped += bad
        lines = [f"Step {s.step} left out: a gradient is not finite. It showed {self.describe(s)}." for s in bad[:5]]
        if len(bad) > 5:
            lines.append(f"... and {len(bad) - 5} more of the last {len(verdicts)} steps")
        if whole:
            raise TrainingDivergedError(
                f"the gradients of {len(bad)} steps in a row are not finite, the last of {self.describe(bad[-1])}; "
                "expected finite ones. Look at the capture with `mobavatar doctor`, go back to an earlier checkpoint, "
                "or lower the learning rates"
            )
        return lines

    def _verdicts(self) -> Float[Tensor, " n"]:
        """Of the window so far, on the device of the newest: those from before a resume come from the file."""
        if not self._pending:
            return torch.zeros(0)
        device = self._pending[-1][1].device
        return torch.stack([skipped.to(device) for _, skipped in self._pending])

    def state_dict(self) -> dict[str, Any]:
        """Everything noticed so far, as tensors and numbers; the window goes on where it is."""
        return {
            "skipped": [astuple(s) for s in self.skipped],
            "pending": [astuple(s) for s, _ in self._pending],
            "verdicts": self._verdicts().cpu(),
            "visits": list(self._visits),
            "loss": None if self._loss is None else self._loss.cpu().clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, in a run on the same capture."""
        self.skipped = [Shown(*s) for s in state["skipped"]]
        self._pending = list(zip([Shown(*s) for s in state["pending"]], state["verdicts"].unbind()))
        self._visits, self._loss = list(state["visits"]), state["loss"]

    def describe(self, shown: Shown) -> str:
        return f"frame {self.frames[shown.frame]}, cameras {', '.join(self.cameras[c] for c in shown.cameras)}"

    def outliers(self) -> dict[str, float]:
        """Frames whose running loss stands out, as a multiple of the median over frames, worst first: the fit there is
        likely twisted, or a mask is wrong."""
        seen = [row for row, visits in enumerate(self._visits) if visits >= FEWEST_VISITS]
        if self._loss is None or len(seen) < 5:
            return {}
        loss = self._loss[torch.tensor(seen, device=self._loss.device)].cpu()
        middle = loss.median()
        spread = 1.4826 * (loss - middle).abs().median()
        high = (loss > ABOVE_MEDIAN * middle) & (loss > middle + DEVIATIONS * spread)
        found = {self.frames[seen[int(i)]]: float(loss[i] / middle) for i in high.nonzero()[:, 0]}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def describe_outliers(self, most: int = 10) -> str | None:
        """One sentence for the end of a run, or None where no frame stands out."""
        found = self.outliers()
        if not found:
            return None
        listed = ", ".join(f"{name} ({ratio:.1f} x)" for name, ratio in list(found.items())[:most])
        more = f" and {len(found) - most} more" if len(found) > most else ""
        return (
            f"{len(found)} frames are fitted much worse than the median frame: {listed}{more}. Check their body fit "
            "and masks with `mobavatar doctor`, try --pipeline.model.refine silhouettes, or leave them out"
        )
