"""`--fine-tune-steps`: an avatar that knows how it will be rounded (quantisation-aware training).

What one number loses by rounding others can make up for: where a Gaussian is too dark its neighbours can be brighter.
The numbers of a file are trained for a while to make the pictures that they made before rounding, with the rounding in
place; its gradient is taken for that of the identity (straight-through estimator, Bengio et al. 2013, arXiv 1308.3432).
The teacher is the avatar itself before rounding, in its training poses, seen from all sides: no capture is needed.

No number leaves its place by more than `REACH` steps, and coefficients and weights that are rounded to zero stay zero,
so that the file hardly grows and poses outside of training stay what they were.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mobavatar import blendshapes, control_points, features, skinning
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import Backend, rasterize, resolve_backend
from nerfstudio_mobavatar.transforms import quat_to_rotmat

from .arrays import AvatarArrays
from .cameras import DISTANCE, FILLED, look_at
from .evaluate import Pose, joint_transforms, mlp_inputs
from .precision import Precision
from .quantise import basis_steps, position_grid, shares, three_smaller
from .schema import ATTRIBUTES
from .whiten import round_networks, row_scales

REACH = 1.0
"""Steps."""
JUDGED = 8
"""Pictures by which it is judged whether anything was gained."""
MAX_SIDE = 1024
"""Pixels along the pictures; finer training pictures count as so large."""
USUAL_FINENESS = 400.0
"""Pixels per metre where the avatar does not say what its training pictures had."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of one kind in units of their steps, as they stand before rounding."""

    units: Tensor
    step: Tensor
    """Broadcasts against `units`."""
    free: Tensor
    """bool, which of them may move."""
    low: float = -math.inf
    high: float = math.inf
    """In steps."""

    def to(self, device: torch.device | str) -> "Numbers":
        """The same numbers on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in ("units", "step", "free")})


def numbers_of(a: AvatarArrays, p: Precision) -> dict[str, Numbers]:
    """Everything that is trained, of an avatar as `quantise.prepare` leaves it."""

    def numbers(values: np.ndarray, step: np.ndarray | float, *limits: float) -> Numbers:
        units = torch.from_numpy(np.asarray(values / step, np.float32))
        every = torch.ones_like(units, dtype=torch.bool)
        return Numbers(units, torch.as_tensor(step, dtype=torch.float32), every, *limits)

    def kept(found: Numbers) -> Numbers:
        return replace(found, free=found.units.round() != 0)

    low, step = position_grid(a.position, p.position_m)
    out = {
        "position": numbers(a.position - low, step, 0.0),
        "rotation": numbers(three_smaller(a.rotation), p.rotation),
        "log_scale": numbers(a.log_scale, p.log_scale),
        "color": numbers(a.color, p.color),
        "opacity": numbers(a.opacity, 1 / p.opacity_levels, 0.0, float(p.opacity_levels)),
        **{f"{name}_basis": kept(numbers(getattr(a, f"{name}_basis"), s)) for name, s in basis_steps(p).items()},
    }
    most = 2.0 ** (p.mlp_bits - 1) - 1
    for i, weights in enumerate(a.mlp_weights):
        found = kept(numbers(weights, row_scales(weights, p.mlp_bits)[..., None], -most, most))
        # the largest of a row says how long the steps of the row are
        out[f"mlp_weights_{i}"] = replace(found, free=found.free & (found.units.abs().round() < most))
    return out


class Model:
    """An avatar in numbers that can be trained, before rounding and with it."""

    def __init__(self, a: AvatarArrays, p: Precision, samples: np.ndarray, device: torch.device | str) -> None:
        self.device = device
        self.numbers = {name: found.to(device) for name, found in numbers_of(a, p).items()}
        self.low = self.real(position_grid(a.position, p.position_m)[0])
        self.largest = self._whole(a.rotation.argmax(1))[:, None]
        self.part, self.node_part = self._whole(a.part), self._whole(a.node_part)
        self.index = {name: self._whole(getattr(a, f"{name}_index")) for name in ATTRIBUTES}
        self.node_index, self.skin_index = self._whole(a.node_index), self._whole(a.skin_index)
        weights = ((a.node_weight, p.node_weight_levels), (a.skin_weight, p.skin_weight_levels))
        self.exact_weights = [self.real(w / w.sum(1, keepdims=True)) for w, _ in weights]
        self.rounded_weights = [self.real(shares(w, levels) / levels) for w, levels in weights]
        self.exact_biases = [self.real(b) for b in a.mlp_biases]
        self.rounded_biases = [self.real(b) for b in round_networks(a, samples, p.mlp_bits)[2]]
        self.num_head_parts, self.k = a.num_head_parts, a.basis_size

    def real(self, x: np.ndarray) -> Tensor:
        """On the device, float32."""
        return torch.from_numpy(np.asarray(x, np.float32)).to(self.device)

    def _whole(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(x, np.int64)).to(self.device)

    def exact(self, x: Tensor, G: Tensor) -> PosedGaussians:
        """Before rounding, in the pose with network inputs `x` [in] and joint transforms `G` [55, 3, 4]."""
        units = {name: found.units for name, found in self.numbers.items()}
        return self._posed(units, self.exact_biases, self.exact_weights, x, G)

    def rounded(self, units: dict[str, Tensor], shifts: Sequence[Tensor], x: Tensor, G: Tensor) -> PosedGaussians:
        """As a file has it: `units` in steps, not rounded yet; `shifts` of the biases."""
        whole = {name: _Round.apply(values) for name, values in units.items()}
        return self._posed(whole, self._biases(shifts), self.rounded_weights, x, G)

    def _biases(self, shifts: Sequence[Tensor]) -> list[Tensor]:
        """Biases are not rounded (but to half precision): a step of theirs is one of their row's weights."""
        steps = [self.numbers[f"mlp_weights_{i}"].step[..., 0] for i in range(len(shifts))]
        return [bias + step * shift for bias, step, shift in zip(self.rounded_biases, steps, shifts)]

    def _posed(
        self, units: dict[str, Tensor], biases: Sequence[Tensor], weights: Sequence[Tensor], x: Tensor, G: Tensor
    ) -> PosedGaussians:
        """The twin of `evaluate.posed`."""
        values = {name: units[name] * found.step for name, found in self.numbers.items()}
        layers = [values[f"mlp_weights_{i}"] for i in range(len(biases))]
        e = features.local_features(x, layers, biases, self.num_head_parts)
        neutral = {"rotation": self._rotation(values), "scale": values["log_scale"], "color": values["color"]}
        for name, index in self.index.items():
            own = e[:, : self.k].index_select(0, self.part.index_select(0, index))
            delta = blendshapes.correctives(values[f"{name}_basis"], own)
            neutral[name] = blendshapes.add_correctives(neutral[name], delta, index)
        node_e = e[:, self.k :].index_select(0, self.node_part)
        dx = control_points.node_displacements(node_e.new_zeros(len(node_e), 3), values["node_basis"], node_e)
        node_weight, skin_weight = weights
        position = self.low + values["position"] + control_points.interpolate_nodes(dx, self.node_index, node_weight)
        half = quat_to_rotmat(neutral["rotation"]) * neutral["scale"].exp()[:, None]
        T = skinning.blend_transforms(G, self.skin_index, skin_weight)
        return PosedGaussians(
            *skinning.skin(T, position, half), (neutral["color"] + 0.5).clamp_min(0), values["opacity"]
        )

    def _rotation(self, values: dict[str, Tensor]) -> Tensor:
        """[N, 4] unit quaternions; the largest number follows from the other three."""
        others = values["rotation"]
        first = (1 - others.square().sum(1, keepdim=True)).clamp_min(1e-6).sqrt()
        places = (self.largest + torch.arange(4, device=self.device)) % 4
        return torch.zeros(len(others), 4, device=self.device).scatter(1, places, torch.cat([first, others], 1))

    @torch.no_grad()
    def arrays(self, a: AvatarArrays, units: dict[str, Tensor], shifts: Sequence[Tensor]) -> AvatarArrays:
        """The avatar with what was trained, on its grid: rounding finds it there."""
        steps = {name: found.step.double() for name, found in self.numbers.items()}
        values = {name: found.round().double() * steps[name] for name, found in units.items()}
        values["position"] += self.low.double()
        values["rotation"] = self._rotation({"rotation": values["rotation"].float()})
        host = {name: found.cpu().numpy() for name, found in values.items()}
        layers = tuple(host.pop(f"mlp_weights_{i}") for i in range(len(shifts)))
        biases = tuple(b.double().cpu().numpy() for b in self._biases(shifts))
        return replace(a, **host, mlp_weights=layers, mlp_biases=biases)


class _Round(torch.autograd.Function):
    """To the nearest integer; gradients pass as they are."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient


@dataclass(frozen=True)
class FineTune:
    """A `bundle.Tune` that trains for so many steps, and leaves it where nothing is gained. The same numbers in, the
    same numbers out on one CPU."""

    poses: Sequence[Pose]
    """In which the avatar is looked at."""
    steps: int
    device: torch.device | str = "cpu"
    rate: float = 0.01
    """Of Adam at first, steps of the file; it falls to zero along half a cosine."""

    def __call__(self, a: AvatarArrays, p: Precision, samples: np.ndarray) -> AvatarArrays:
        """The avatar (as `quantise.prepare` leaves it) with every trained number on its grid."""
        model = Model(a, p, samples, self.device)
        backend, rng = resolve_backend("auto", self.device), np.random.default_rng(0)
        units = {name: found.units.clone().requires_grad_() for name, found in model.numbers.items()}
        shifts = [torch.zeros_like(b).requires_grad_() for b in model.rounded_biases]
        optimizer = torch.optim.Adam([*units.values(), *shifts], lr=self.rate, betas=(0.9, 0.99), eps=1e-15)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(self.steps, 1))
        for _ in range(self.steps):
            pose = self.poses[rng.integers(len(self.poses))]
            x, G, background = (
                model.real(v) for v in (mlp_inputs(a, pose), joint_transforms(a, pose), rng.uniform(size=3))
            )
            with torch.no_grad():
                goal = model.exact(x, G)
                view = _view(goal.means, a, rng)
                target = rasterize(goal, *view, background, backend, with_depth=False).rgb
            shown = rasterize(model.rounded(units, shifts, x, G), *view, background, backend, with_depth=False).rgb
            (shown - target).square().mean().backward()
            with torch.no_grad():
                for name, found in model.numbers.items():
                    gradient = units[name].grad
                    assert gradient is not None
                    gradient.mul_(found.free)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                for name, found in model.numbers.items():
                    low, high = (found.units - REACH).clamp_min(found.low), (found.units + REACH).clamp_max(found.high)
                    units[name].clamp_(low, high)
            schedule.step()
        return model.arrays(a, *self._better(model, a, units, shifts, backend))

    @torch.no_grad()
    def _better(
        self, model: Model, a: AvatarArrays, units: dict[str, Tensor], shifts: list[Tensor], backend: Backend
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """What was trained, or what there was before where that is closer to the pictures before rounding: so it is
        after few steps, in which numbers are thrown about and do not settle. Says which, and by how much."""
        rng, errors = np.random.default_rng(1), []
        before = {name: found.units for name, found in model.numbers.items()}
        candidates = ((before, [torch.zeros_like(shift) for shift in shifts]), (units, shifts))
        for i in np.linspace(0, len(self.poses) - 1, JUDGED).round().astype(int):
            x, G = (model.real(v) for v in (mlp_inputs(a, self.poses[i]), joint_transforms(a, self.poses[i])))
            goal, *found = (model.exact(x, G), *(model.rounded(*candidate, x, G) for candidate in candidates))
            view, background = _view(goal.means, a, rng), model.real(np.full(3, 0.5))
            target, *shown = (rasterize(g, *view, background, backend, with_depth=False).rgb for g in (goal, *found))
            errors.append([float((picture - target).square().mean()) for picture in shown])
        plain, tuned = -10 * np.log10(np.mean(errors, 0).clip(1e-10))
        gained = f"Fine-tuning for {self.steps} steps: {plain:.1f} -> {tuned:.1f} dB to the pictures before rounding"
        if self.steps and tuned <= plain:
            print(f"{gained}, no gain: what it changed is left out; more steps may help")
            return candidates[0]
        print(gained)
        return candidates[1]


def _view(means: Tensor, a: AvatarArrays, rng: np.random.Generator) -> tuple[Tensor, Tensor, int, int]:
    """A camera that sees the whole person from anywhere, as finely as training did: `T_cam_world` [1, 4, 4], `K`
    [1, 3, 3], width and height (pixels)."""
    low, high = means.amin(0), means.amax(0)
    middle = (0.5 * (low + high)).cpu().numpy().astype(np.float64)
    radius = 0.5 * float((high - low).norm())
    side = max(16, min(MAX_SIDE, round(2 * FILLED * radius * (a.pixels_per_metre or USUAL_FINENESS))))
    up = np.array(a.meta.get("up", (0, 1, 0)), np.float64)
    across = rng.normal(size=3)
    across -= up * (across @ up)
    direction = across / np.linalg.norm(across) + rng.uniform(-0.5, 0.7) * up
    distance = DISTANCE * radius
    T = look_at(middle + distance * direction / np.linalg.norm(direction), middle, up)
    focal = side * distance / (2 * FILLED * radius)
    K = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
    view, intrinsics = (torch.from_numpy(v.astype(np.float32))[None].to(means.device) for v in (T, K))
    return view, intrinsics, side, side
