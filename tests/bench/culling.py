"""What front-face culling, opaque cores and an ideal stop would save: fragments and decibels, one by one in numpy.

`python -m tests.bench.culling` writes tests/bench/results/culling.json. The sample avatar in two poses, 512 px; every
fragment that the quads blend is listed, sorted and blended with and without those that a method leaves out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy.spatial import KDTree

from nerfstudio_mobavatar.web_export import bundle, cameras, pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import PosedArrays, evaluate
from tests.bench.common import command_line, device_name, write
from tests.wgsl import twins

SAMPLE = Path(__file__).parent.parent.parent / "docs" / "sample"
MAX_ALPHA, MIN_ALPHA = 0.999, 1 / 255


@dataclass(frozen=True)
class Fragments:
    """All fragments of one picture, pixel by pixel, nearest first."""

    pixel: np.ndarray
    alpha: np.ndarray
    splat: np.ndarray
    pixels: int

    def before(self, log_left: np.ndarray) -> np.ndarray:
        """Sum of `log_left` over the fragments in front of each in its pixel."""
        total = np.cumsum(log_left) - log_left
        first = np.flatnonzero(np.diff(self.pixel, prepend=-1))
        return total - np.repeat(total[first], np.diff(np.append(first, len(total))))

    def blend(self, color: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """[pixels, 3] over white, of the fragments that are kept."""
        log_left = np.where(kept, np.log1p(-self.alpha), 0.0)
        weight = np.where(kept, self.alpha, 0.0) * np.exp(self.before(log_left))
        rgb = [np.bincount(self.pixel, weight * color[self.splat, c], self.pixels) for c in range(3)]
        left = 1 - np.bincount(self.pixel, weight, self.pixels)
        return np.clip(np.stack(rgb, 1) + left[:, None], 0, 1)


def fragments(posed: PosedArrays, T: np.ndarray, K: np.ndarray, width: int, height: int) -> Fragments:
    """Every fragment of at least 1/255."""
    seen = twins.project(posed.mean, posed.covariance, posed.opacity, T, K, (width, height))
    order = np.flatnonzero(seen.visible)
    order = order[np.argsort(seen.depth[order], kind="stable")]
    center, conic = seen.center[order], np.linalg.inv(seen.covariance[order])
    reach = seen.radius[order, None] * np.sqrt(np.diagonal(seen.covariance[order], axis1=1, axis2=2))
    low = np.clip(np.ceil(center - reach - 0.5), 0, [width, height]).astype(int)
    high = np.clip(np.floor(center + reach - 0.5) + 1, 0, [width, height]).astype(int)
    size = np.maximum(high - low, 0)
    item = np.repeat(np.arange(len(order)), size.prod(1))
    inside = np.arange(len(item)) - np.repeat(np.cumsum(size.prod(1)) - size.prod(1), size.prod(1))
    x, y = low[item, 0] + inside % size[item, 0], low[item, 1] + inside // size[item, 0]
    d = np.stack([x, y], 1) + 0.5 - center[item]
    alpha = posed.opacity[order][item] * np.exp(-0.5 * np.einsum("na,nab,nb->n", d, conic[item], d))
    drawn = alpha >= MIN_ALPHA
    pixel, alpha, item = (y * width + x)[drawn], np.minimum(alpha[drawn], MAX_ALPHA), item[drawn]
    by_pixel = np.argsort(pixel, kind="stable")
    return Fragments(pixel[by_pixel], alpha[by_pixel], order[item[by_pixel]], width * height)


def outward(mean: np.ndarray) -> np.ndarray:
    """[N, 3] surface normals: the flattest direction of 48 neighbours, away from the middle of 2000 of a tenth."""
    tree, coarse = KDTree(mean), mean[::10]
    near = mean[tree.query(mean, k=48)[1]]
    centered = near - near.mean(1, keepdims=True)
    normal = np.linalg.eigh(np.einsum("nka,nkb->nab", centered, centered))[1][:, :, 0]
    middle = coarse[KDTree(coarse).query(mean, k=200)[1]].mean(1)
    return normal * np.sign(((mean - middle) * normal).sum(1, keepdims=True))


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures file."""

    folder: Path = SAMPLE
    size: int = 512
    """Height of the picture, pixels."""
    facing: tuple[float, ...] = (0.0, 0.2, 0.4)
    """Splats are left out that face away from the camera by more than this (sine of the angle)."""
    cores: tuple[float, ...] = (0.8, 0.85, 0.9, 0.95)
    """Alpha from which a fragment hides what is behind it."""
    dry: bool = False

    def main(self) -> None:
        """Two poses; the worse decibels, the mean share of fragments."""
        arrays = bundle.load(self.folder / "avatar.mobavatar")
        poses = pose_sequence.read(pose_sequence.motion_of(self.folder))
        rows = [self._picture(evaluate(arrays, pose), arrays.meta) for pose in (poses[0], poses[len(poses) // 2])]
        methods = {
            name: {
                "fragments_left": round(float(np.mean([row[name][0] for row in rows])), 3),
                "psnr_db": round(min(row[name][1] for row in rows), 1),
            }
            for name in rows[0]
        }
        figures = {"command": command_line(), "device": device_name("cpu"), "size_px": self.size, "methods": methods}
        print(figures) if self.dry else write("culling", figures)

    def _picture(self, posed: PosedArrays, meta: dict) -> dict[str, tuple[float, float]]:
        """Share of the fragments that is left and decibels on the person's pixels, by method."""
        width = self.size * 3 // 4
        T, K = cameras.front_camera(meta, width, self.size)
        f = fragments(posed, T, K, width, self.size)
        all_ = f.blend(posed.color, np.ones(len(f.alpha), bool))
        person = np.bincount(f.pixel, minlength=f.pixels) > 0
        eye = -T[:3, :3].T @ T[:3, 3]
        ray = posed.mean - eye
        away = (outward(posed.mean) * ray).sum(1) / np.linalg.norm(ray, axis=1)
        left = np.exp(f.before(np.log1p(-f.alpha)))
        kept = {f"facing away by {s}": (away <= s)[f.splat] for s in self.facing}
        kept |= {f"behind a fragment of {c}": f.before((f.alpha >= c).astype(float)) == 0 for c in self.cores}
        kept |= {f"behind all but {name}": left >= limit for name, limit in (("1/255", 1 / 255), ("1/32", 1 / 32))}
        found = {}
        for name, mask in kept.items():
            error = (f.blend(posed.color, mask) - all_)[person]
            found[name] = (float(mask.mean()), float(-10 * np.log10(max((error**2).mean(), 1e-12))))
        return found


if __name__ == "__main__":
    tyro.cli(Bench).main()
