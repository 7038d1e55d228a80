"""CPU time per frame of the whole browser: our renderer, animating, and viewers of static splats, in one sitting.

`npm ci --prefix tests/bench/peers`, `npm run bench` in web_export/viewer, then `python -m tests.bench.browser` writes
tests/bench/results/browser.json. Every viewer shows the same splats through the same camera, which goes around the
person, in a headless Chromium whose WebGPU and WebGL are drawn by the processor (SwiftShader). Ours draws the level of
detail that the page takes at each size (`ours_gaussians_drawn`). A frame ends when the GPU has finished it; CPU time is
that of all the browser's processes, so a sorting worker counts. Leave the machine alone. `core_kb_gzip` and
`ui_kb_gzip` are our modules without and with the user interface; peers' `kb_gzip` has none.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.web_export import bundle, evaluate, pose_sequence
from nerfstudio_mobavatar.web_export.detail import Level
from nerfstudio_mobavatar.web_export.levels import with_levels
from tests import browser
from tests.bench.common import command_line, device_name, write
from tests.synthetic_avatar import SyntheticAvatar, walking_pose

HERE = Path(__file__).parent
VIEWER = Path(bundle.__file__).parent / "viewer"
OURS = VIEWER / "build" / "ours.js"
TIMEOUT_S = 480
SH_C0 = 0.28209479177387814
"""Degree 0 of the spherical harmonics: what the usual splat files multiply their colour by."""
TRAINED_PIXELS_PER_METRE = 1.25 * 1500 / 2.6
"""Of tests/synthetic_avatar.py's camera with pictures of 1500 x 2048."""
VIEW = {"target": [0.0, 0.85, 0.0], "distance": 2.6, "height": 0.26, "fov": np.pi / 4, "step": np.pi / 60}
"""Metres, radians; `step` is how far the camera goes in one frame."""


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures file."""

    num_gaussians: int = 200_000
    num_parts: int = 256
    num_nodes: int = 10_000
    num_kept: int = 20_000
    sizes: tuple[int, ...] = (64, 512, 1024)
    """Pixels of the square canvas."""
    seconds: float = 8.0
    """Each viewer draws for so long at each size, two frames at least."""
    warm_seconds: float = 2.0
    """The same before it is measured, so that shaders are compiled and the first sort is done."""
    shots: Path | None = None
    """Folder for screenshots: do all viewers show the same person?"""
    node: str = "node"
    dry: bool = False
    """Print the figures and leave the figures file as it is."""

    def main(self) -> None:
        """Write the splats, run every viewer, merge into the JSON."""
        results, drawn = self._run()
        peers = {name: r for name, r in results.items() if name != "ours"}
        works = [r["cpu_ms_per_frame"] for r in peers.values() if "failed" not in r]
        if "failed" in results["ours"] or not works:
            raise SystemExit(f"nothing to compare: {results}")
        best = {size: min(r[size] for r in works) for size in works[0]}
        ours = results["ours"]["cpu_ms_per_frame"]
        figures = {
            "ours_cpu_ms": ours,
            "best_peer_cpu_ms": best,
            "ours_gaussians_drawn": drawn,
            "ours_over_best_peer": {size: round(ours[size] / best[size], 3) for size in best},
            "viewers": results,
            **module_kb_gzip(self.node),
            "num_gaussians": self.num_gaussians,
            "device": device_name("cpu"),
            "command": command_line(),
        }
        print(json.dumps(figures, indent=1)) if self.dry else write("browser", figures)

    def _run(self) -> tuple[dict[str, Any], dict[str, int]]:
        """What browser.mjs measured, by viewer; and how many Gaussians we draw at each size."""
        if not OURS.is_file():
            raise SystemExit(f"{OURS} is missing: run 'npm run bench' in {VIEWER}")
        if not (HERE / "peers" / "node_modules").is_dir():
            raise SystemExit("the other viewers are missing: npm ci --prefix tests/bench/peers")
        if self.shots:
            self.shots.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            size = SyntheticAvatar(self.num_gaussians, self.num_parts, self.num_nodes, self.num_kept)
            levels = write_inputs(folder, size)
            job = {
                "folder": str(folder),
                "ours": str(OURS),
                "chromium": browser.chromium(),
                "flags": [*browser.QUIET_FLAGS, *browser.SOFTWARE_FLAGS],
                "sizes": self.sizes,
                "seconds": self.seconds,
                "warm_seconds": self.warm_seconds,
                "view": VIEW,
                "shots": str(self.shots.resolve()) if self.shots else None,
                "out": str(folder / "out.json"),
            }
            (folder / "job.json").write_text(json.dumps(job))
            command = [self.node, str(HERE / "browser.mjs"), str(folder / "job.json")]
            subprocess.run(command, check=True, timeout=TIMEOUT_S)
            drawn = {str(pixels): self._drawn(pixels, levels) for pixels in self.sizes}
            return json.loads((folder / "out.json").read_text()), drawn

    def _drawn(self, pixels: int, levels: Sequence[Level]) -> int:
        """Gaussians of the level that the page takes (detail.ts)."""
        fineness = pixels / 2 / np.tan(VIEW["fov"] / 2) / VIEW["distance"]
        enough = (level.count for level in levels if 1.15 * fineness <= level.pixels_per_metre)
        return next(enough, self.num_gaussians)


def write_inputs(folder: Path, size: SyntheticAvatar) -> tuple[Level, ...]:
    """The avatar and its motion for us, the avatar in one pose as splats for the others. Returns our levels of detail,
    as an export writes them for training pictures that the person fills at 1500 x 2048 pixels."""
    built = size.build()
    front, up = np.array([0.0, 0, 1]), np.array([0.0, 1, 0])
    built = with_levels(built, [(walking_pose(1.0), front + 0.2 * up)], TRAINED_PIXELS_PER_METRE)
    data = bundle.encode(built)
    (folder / "avatar.mobavatar").write_bytes(data)
    poses = [walking_pose(2 * np.pi * i / 30) for i in range(30)]
    pose_sequence.write(folder / "motion.pose.json", poses, range(30))
    (folder / "splats.ply").write_bytes(ply(evaluate.evaluate(bundle.decode(data), poses[0])))
    return built.levels


def ply(posed: evaluate.PosedArrays) -> bytes:
    """Splats in the layout of the 3DGS paper's code: log scales, quaternion wxyz, opacity before the sigmoid."""
    variance, axes = np.linalg.eigh(posed.covariance.astype(np.float64))
    axes[..., 0] *= np.sign(np.linalg.det(axes))[:, None]  # a rotation, not a reflection
    opacity = np.clip(posed.opacity, 1e-4, 1 - 1e-4)
    columns = {
        "x y z": posed.mean,
        "nx ny nz": np.zeros_like(posed.mean),
        "f_dc_0 f_dc_1 f_dc_2": (posed.color - 0.5) / SH_C0,
        "opacity": np.log(opacity / (1 - opacity))[:, None],
        "scale_0 scale_1 scale_2": 0.5 * np.log(np.maximum(variance, 1e-14)),
        "rot_0 rot_1 rot_2 rot_3": np.roll(Rotation.from_matrix(axes).as_quat(), 1, axis=1),
    }
    names = " ".join(columns).split()
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(posed.mean)}"]
    header += [f"property float {name}" for name in names] + ["end_header", ""]
    return "\n".join(header).encode() + np.concatenate(list(columns.values()), 1).astype("<f4").tobytes()


def module_kb_gzip(node: str) -> dict[str, float]:
    """What a page that embeds us loads: scenes alone, and with the element and its controls."""
    done = subprocess.run([node, "build.mjs", "--sizes"], cwd=VIEWER, check=True, capture_output=True, text=True)
    return {f"{name}_kb_gzip": round(size / 1000, 1) for name, size in json.loads(done.stdout).items()}


if __name__ == "__main__":
    tyro.cli(Bench).main()
