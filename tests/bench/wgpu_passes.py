"""Milliseconds per pass and agreement with the torch rasteriser of the wgpu renderer, on a synthetic person.

`python -m tests.bench.wgpu_passes` writes tests/bench/results/wgpu_passes.json. Times are wall clock of one pass alone,
submission and waiting included (about 0.1 ms); the least of five.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tyro

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export import bundle, evaluate, layout
from nerfstudio_mobavatar.web_export.wgpu_renderer import WgpuRenderer
from tests.bench.common import command_line, device_name, write
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures file."""

    num_gaussians: tuple[int, ...] = (10_000, 200_000)
    pruned: tuple[tuple[float, int], ...] = ((0.1, 16), (0.36, 4))
    """Share of the Gaussians that keep a corrective of each attribute, and features per part: the paper's pruning, and
    what `mobavatar` does in as many bytes."""
    size: int = 512
    """Pixels along both edges; the person fills most of the height."""
    repeats: int = 5

    def main(self) -> None:
        """Run everything and write the JSON."""
        rows = [self._row(n, *kept) for n in self.num_gaussians for kept in self.pruned]
        load = round(os.getloadavg()[0], 1)  # software drivers share the cores with whatever else runs
        write(
            "wgpu_passes",
            {"command": command_line(), "load_average": load, "size_px": self.size, "avatars": rows},
        )

    def _row(self, n: int, share: float, features: int) -> dict[str, Any]:
        kept = round(share * n)
        avatar = SyntheticAvatar(n, 256, num_nodes=min(10_000, n // 10), num_kept=kept, basis_size=features)
        data = bundle.encode(avatar.build())
        T, K = camera(self.size, self.size)
        expected, crop = self._torch_picture(data, T, K)
        renderer = WgpuRenderer(data)
        rgb = renderer.render(walking_pose(1.0), T, K, self.size, self.size, np.ones(3)) / 255
        error = rgb[crop].astype(np.float64) - expected[crop]
        draw_ms = self._time(lambda e: renderer.encode_draw(e, self.size, self.size, np.ones(3)), renderer)
        return {
            "num_gaussians": n,
            "num_kept": kept,
            "features_per_part": features,
            "file_bytes": len(data),
            "device": f"{renderer.adapter_name} on {device_name('cpu')}",
            "psnr_crop_torch_db": round(-10 * np.log10((error**2).mean()), 2),
            "timings": self._pass_times(renderer) | {"draw_ms": draw_ms},
        }

    def _torch_picture(self, data: bytes, T: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, Any]:
        posed = evaluate.evaluate(bundle.decode(data), walking_pose(1.0))
        values = (posed.mean, posed.covariance, posed.color, posed.opacity, T, K, np.ones(3))
        t = [torch.tensor(np.asarray(x, np.float32)) for x in values]
        out = rasterize(PosedGaussians(*t[:4]), t[4][None], t[5][None], self.size, self.size, t[6], "torch")
        y, x = np.nonzero(out.alpha[0, ..., 0].numpy() > 1 / 255)
        crop = np.s_[y.min() : y.max() + 1, x.min() : x.max() + 1]
        return out.rgb[0].clamp(0, 1).numpy(), crop

    def _pass_times(self, renderer: WgpuRenderer) -> dict[str, float]:
        """Milliseconds of every pass; the sort's dispatches are added up over the digits."""
        times: dict[str, float] = {}
        for p in layout.PASSES:
            ms = self._time(lambda e, p=p: renderer.encode_compute(e, only=p.name), renderer)
            name = f"{p.name.rsplit('_', 1)[0] if p.digit >= 0 else p.name}_ms"
            times[name] = round(times.get(name, 0.0) + ms, 3)
        return times

    def _time(self, encode: Any, renderer: WgpuRenderer) -> float:
        best = np.inf
        for _ in range(self.repeats):
            start = time.perf_counter()
            encoder = renderer.context.device.create_command_encoder()
            encode(encoder)
            renderer.context.device.queue.submit([encoder.finish()])
            renderer.wait()
            best = min(best, time.perf_counter() - start)
        return round(1000 * best, 3)


if __name__ == "__main__":
    tyro.cli(Bench).main()
