"""What coarse pictures and levels of detail of an avatar file are worth, in decibels against its fine picture averaged.

`python -m tests.bench.levels` writes tests/bench/results/levels.json: the sample avatar, two poses, the worse of both.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from nerfstudio_mobavatar.sampling import morton_order
from nerfstudio_mobavatar.web_export import bundle, layout, levels, pose_sequence, reference
from tests.bench.common import command_line, device_name, write
from tests.bench.culling import SAMPLE


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures file."""

    folder: Path = SAMPLE
    filters: tuple[float, ...] = (0.07, layout.PIXEL_FILTER, 0.15)
    """Square pixels of the pixel's own filter that are compared."""

    def main(self) -> None:
        """Decibels of all Gaussians and of each level, in pictures so much coarser than the training pictures."""
        a = bundle.load(self.folder / "avatar.mobavatar")
        assert a.pixels_per_metre is not None
        poses = pose_sequence.read(pose_sequence.motion_of(self.folder))
        shots = levels.views_of([poses[0], poses[len(poses) // 2]], a.meta)
        trials = [levels.Trial(a, pose, direction, "cpu") for pose, direction in shots]
        rows = {}
        for factor in levels.FACTORS:
            rows[str(factor)] = {
                "picture_px": trials[0].side // factor,
                "pixels_per_metre": round(a.pixels_per_metre / factor, 1),
                "gsplat_blur_db": self._fixed_blur(trials, factor),
                "whole_db": {str(f): self._filtered(trials, factor, f) for f in self.filters},
                "levels_db": {str(level.count): worst(t.psnr(factor, level) for t in trials) for level in a.levels},
            }
        plain = replace(levels.reordered(a, morton_order(a.position)), levels=())
        write(
            "levels",
            {
                "command": command_line(),
                "device": device_name("cpu"),
                "file_mb": len(bundle.encode(a)) / 1e6,
                "file_mb_morton_order": len(bundle.encode(plain)) / 1e6,
                "coarser_by": rows,
            },
        )

    def _fixed_blur(self, trials: list[levels.Trial], factor: int) -> float:
        found = []
        for trial in trials:
            trained, trial.trained = trial.trained, None
            found.append(trial.psnr(factor))
            trial.trained = trained
        return worst(found)

    def _filtered(self, trials: list[levels.Trial], factor: int, square_pixels: float) -> float:
        used = reference.PIXEL_FILTER
        reference.PIXEL_FILTER = square_pixels
        try:
            return worst(trial.psnr(factor) for trial in trials)
        finally:
            reference.PIXEL_FILTER = used


def worst(decibels) -> float:
    """The least of them, rounded."""
    return round(float(np.min(list(decibels))), 1)


if __name__ == "__main__":
    tyro.cli(Bench).main()
