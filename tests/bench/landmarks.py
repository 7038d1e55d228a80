"""How well poses come back from their landmarks: `python -m tests.bench.landmarks`, writes results/landmarks.json.

Motions of the CMU archive (the folder in MOBAVATAR_TEST_DATA) on the open body give the landmarks that MediaPipe would
see if it never erred; `posing/landmarks.py` makes poses of them. Once as they are, once with 1 cm of noise and one in
ten landmarks hidden at any time, smoothed.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from tests.bench.common import command_line, device_name, write
from tests.landmark_motions import Recovery, recovered

NOISE_M, HIDDEN = 0.01, 0.1


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures."""

    every: int = 60
    """Of the clean motions' frames one in so many."""
    most: int = 60
    """Frames of each noisy motion."""

    def main(self) -> None:
        """Both series, merged into the JSON."""
        folder = Path(os.environ["MOBAVATAR_TEST_DATA"]) / "motion"
        paths = sorted(folder.glob("cmu_*.npz"))
        clean = Recovery.of([recovered(path, self.every) for path in paths])
        noisy = Recovery.of([recovered(path, 1, NOISE_M, True, HIDDEN, self.most) for path in paths])
        raw = Recovery.of([recovered(path, 1, NOISE_M, False, HIDDEN, self.most) for path in paths])
        figures: dict = {"exact": asdict(clean), "noise_1cm_smoothed": asdict(noisy), "noise_1cm_as_it_is": asdict(raw)}
        write("landmarks", figures | {"device": device_name("cpu"), "command": command_line()})


if __name__ == "__main__":
    tyro.cli(Bench).main()
