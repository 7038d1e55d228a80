"""How well poses come back from their landmarks: `python -m tests.bench.landmarks`, writes results/landmarks.json.

Motions of the CMU archive (the folder in MOBAVATAR_TEST_DATA) on the open body give the landmarks that MediaPipe would
see if it never erred; `posing/landmarks.py` makes poses of them. Once as they are; then seen badly, smoothed and not:
with 1 cm of noise, new in every frame, and one in ten landmarks hidden at any time; and with errors as landmark models
make them, 1 cm that drifts within half a second and 5 mm of tremor.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from tests.bench.common import command_line, device_name, write
from tests.landmark_motions import Recovery, Seen, recovered

BADLY = {"noise_1cm": Seen(0.01, 0.0, 0.1), "drift_1cm_tremor_5mm": Seen(0.005, 0.01)}


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures."""

    every: int = 60
    """Of the clean motions' frames one in so many."""
    most: int = 60
    """Frames of each noisy motion."""

    def main(self) -> None:
        """All series, merged into the JSON."""
        folder = Path(os.environ["MOBAVATAR_TEST_DATA"]) / "motion"
        paths = sorted(folder.glob("cmu_*.npz"))
        clean = Recovery.of([recovered(path, self.every) for path in paths])
        figures: dict = {"exact": asdict(clean)}
        for key, seen in BADLY.items():
            for name, smooth in (("smoothed", True), ("as_it_is", False)):
                found = Recovery.of([recovered(path, 1, seen, smooth, self.most) for path in paths])
                figures[f"{key}_{name}"] = asdict(found)
        write("landmarks", figures | {"device": device_name("cpu"), "command": command_line()})


if __name__ == "__main__":
    tyro.cli(Bench).main()
