"""GPU time per pass of the viewer's own code through Dawn in Node, and of dense decoding in torch beside it.

`npm install --prefix DIR webgpu`, `npm run bench` in web_export/viewer, then
`python -m tests.bench.runtime --dawn DIR/node_modules/webgpu/index.js` writes tests/bench/results/runtime.json.
The avatars are synthetic (tests/synthetic_avatar.py). Times are medians of timestamp queries with rounding off.
"""

import json
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.web_export import bundle, evaluate, layout, pose_sequence
from tests.bench import dense_decode
from tests.bench.common import command_line, device_name, write
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose
from tests.wgsl import twins

SCRIPT = Path(bundle.__file__).parent / "viewer" / "build" / "dawn.mjs"
WIDTH, HEIGHT = 1500, 2048
DECODE = ("features", "nodes", "project")
"""Passes from the pose to splats. The last one is fused: correctives, skinning, projection, culling in one reading."""
FEW = (0.36, 4)
"""What pruning keeps in the bytes of a tenth of the correctives with 16 features: share of them, features."""
BY_PART = (0.36, 8, (2, 4, 4, 6))
"""The same where parts keep as many as they are worth, four on average: widths of one part after the other."""
TIMEOUT_S = 400


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures file."""

    dawn: Path
    """index.js of the npm package `webgpu`."""
    node: str = "node"
    counts: tuple[int, ...] = (50_000, 200_000, 1_000_000)
    """Gaussians of the avatars; the second is the one that the figures are about and that is shown eight times."""
    num_parts: int = 256
    num_nodes: int = 10_000
    repeats: int = 50
    warmup_ms: int = 3000
    """Frames run for so long before anything is timed: a card raises its clock slowly."""
    burst: int = 64
    """Frames before each timed one without waiting, so that it keeps the clock."""
    flags: list[str] = field(default_factory=lambda: ["disable-dawn-features=timestamp_quantization"])
    """For Dawn, e.g. `backend=vulkan`."""

    def main(self) -> None:
        """Run everything and write the JSON."""
        main, has_cuda = self.counts[1], torch.cuda.is_available()
        dense = dense_decode.frame_ms(main, *camera(WIDTH, HEIGHT), WIDTH, HEIGHT) if has_cuda else {}
        with tempfile.TemporaryDirectory() as folder, HeldClock() as clock:
            measured = self._run_dawn(Path(folder))
        one, eight, few, by_part = (measured["cases"][name] for name in (str(main), "eight", "few", "by_part"))
        figures = {
            "command": command_line(),
            "device": f"{measured['adapter']} ({device_name('cuda' if has_cuda else 'cpu')})",
            "sm_clock_mhz": clock.median_mhz,
            "data": "synthetic avatars",
            "picture_px": [WIDTH, HEIGHT],
            "compute_ms_200k": one["computeMs"],
            "decode_ms_200k": sum(one["passesMs"][name] for name in DECODE),
            "passes_ms": one["passesMs"],
            "gpu_mb_200k": one["bytes"] / 1e6,
            "ns_per_gaussian": {str(n): 1e6 * measured["cases"][str(n)]["computeMs"] / n for n in self.counts},
            "fragments_200k": one["fragments"],
            "visible_splats_200k": one["visibleSplats"],
            "avatars8_over_1": eight["computeMs"] / one["computeMs"],
            "few_features_over_one_compute": few["computeMs"] / one["computeMs"],
            "few_features_compute_ms": few["computeMs"],
            "few_features_decode_ms": sum(few["passesMs"][name] for name in DECODE),
            "features_by_part_over_few_compute": by_part["computeMs"] / few["computeMs"],
            "features_by_part_decode_ms": sum(by_part["passesMs"][name] for name in DECODE),
            "cases": measured["cases"],
            "splats_2k": self._fragments(main),
        }
        if has_cuda:
            figures |= {"dense_baseline_ms": dense["frame_ms"], "dense_decode_ms": dense["decode_ms"]}
            figures["dense_decode_over_compute"] = dense["decode_ms"] / one["computeMs"]
        write("runtime", _rounded(figures))

    def _avatar(
        self, n: int, kept: float = 0.1, features: int = 16, widths: tuple[int, ...] = ()
    ) -> bundle.AvatarArrays:
        """`kept`: share of the Gaussians that keep a corrective of each attribute; `widths`: features of the parts that
        are not zero, over and over."""
        num_nodes = min(self.num_nodes, n // 5)
        a = SyntheticAvatar(n, self.num_parts, num_nodes, round(kept * n), basis_size=features).build()
        if widths:
            stays = np.arange(features) < np.resize(widths, self.num_parts)[:, None]
            rows = np.tile(stays, 2)
            a.mlp_weights[-1][~rows] = a.mlp_biases[-1][~rows] = 0
            for name in ATTRIBUTES:
                basis, index = getattr(a, f"{name}_basis"), getattr(a, f"{name}_index")
                basis *= stays[a.part[index]][:, None]
            a.node_basis[:] *= stays[a.node_part][:, None]
        return a

    def _run_dawn(self, folder: Path) -> dict[str, Any]:
        cases, main = [], self.counts[1]
        for n in self.counts:
            (folder / f"{n}.mobavatar").write_bytes(bundle.encode(self._avatar(n)))
            cases.append({"name": str(n), "file": f"{folder}/{n}.mobavatar", "instances": 1})
        cases.append({"name": "eight", "file": cases[1]["file"], "instances": 8})
        for name, avatar in (("few", self._avatar(main, *FEW)), ("by_part", self._avatar(main, *BY_PART))):
            (folder / f"{name}.mobavatar").write_bytes(bundle.encode(avatar))
            cases.append({"name": name, "file": f"{folder}/{name}.mobavatar", "instances": 1})
        poses = [walking_pose(phase) for phase in np.linspace(0, 6, 16)]
        pose_sequence.write(folder / "walk.pose.json", poses, list(range(len(poses))))
        T, K = camera(WIDTH, HEIGHT)
        job = {
            "dawn": str(self.dawn.resolve()),
            "flags": self.flags,
            "poses": f"{folder}/walk.pose.json",
            "camera": {"T_cam_world": T.ravel().tolist(), "K": K.ravel().tolist(), "width": WIDTH, "height": HEIGHT},
            "repeats": self.repeats,
            "warmup_ms": self.warmup_ms,
            "burst": self.burst,
            "cases": cases,
        }
        (folder / "job.json").write_text(json.dumps(job))
        done = subprocess.run(
            [self.node, str(SCRIPT), str(folder / "job.json")], capture_output=True, text=True, timeout=TIMEOUT_S
        )
        if done.returncode:
            raise SystemExit(
                f"{SCRIPT} failed ({done.returncode}); is it built (npm run bench)?\n{done.stderr[-3000:]}"
            )
        return json.loads(done.stdout.splitlines()[-1])

    def _fragments(self, n: int) -> dict[str, float]:
        """What a picture of the one avatar asks of the rasteriser: visible splats, fragments, overdraw."""
        T, K = camera(WIDTH, HEIGHT)
        posed = evaluate.evaluate(bundle.decode(bundle.encode(self._avatar(n))), walking_pose(1.0))
        splats = twins.project(posed.mean, posed.covariance, posed.opacity, T, K, (WIDTH, HEIGHT))
        areas = (splats.radius**2 * np.sqrt(np.linalg.det(splats.covariance)))[splats.visible]
        return {
            "visible": int(splats.visible.sum()),
            "fragments_in_quads": float(4 * areas.sum()),
            "fragments_blended": float(np.pi * areas.sum()),
            "compute_bytes": float(n * _bytes_per_gaussian(num_kept=n // 10 / n)),
        }


class HeldClock:
    """Keeps a CUDA card at its working clock while another process draws on it, and watches the clock.

    A data centre card that is asked for a tenth of a millisecond of Vulkan now and then stays at its idle clock (an
    H100 at 345 of 1980 MHz), which a phone's or desktop's driver would not do. One small kernel per millisecond, too
    short to matter to medians, is enough to raise it. Does nothing without CUDA.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._clocks: list[int] = []
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._tick, self._watch)]

    @property
    def median_mhz(self) -> float | None:
        """Of the streaming multiprocessors; None where there is no CUDA card."""
        return float(np.median(self._clocks)) if self._clocks else None

    def __enter__(self) -> "HeldClock":
        if torch.cuda.is_available():
            for thread in self._threads:
                thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _tick(self) -> None:
        x = torch.ones(256, 256, device="cuda")
        while not self._stop.wait(0.001):
            torch.mm(x, x)

    def _watch(self) -> None:
        query = ["nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
        while not self._stop.wait(1.0):
            out = subprocess.run(query, capture_output=True, text=True, check=True).stdout
            self._clocks.append(int(out.split()[0]))


def _bytes_per_gaussian(num_kept: float, basis_size: int = 16) -> float:
    """Bytes that the compute passes of one frame move at least for a visible Gaussian, caches ignored.

    `num_kept` is the share of Gaussians that keep a corrective of each attribute.
    """
    kept = 24 / 32 + num_kept * (4 + 3 + 3) * basis_size * 2
    stride = {b.name: b.stride for b in layout.BUFFERS}
    project = 4 * bundle.RECORD_WORDS + kept + stride["splats"] + stride["depths"]
    first_digit = 2 * stride["depths"] + stride["items"]
    second_digit = 2 * stride["items"] + stride["order"]
    return project + first_digit + second_digit


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    tyro.cli(Bench).main()
