"""The avatar: parameters and one pose in, posed Gaussians out (method, "Forward pass for one pose").

Knows neither nerfstudio nor a rasteriser. Maths lives in the modules it composes; this file holds the parameters.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import blendshapes, control_points, features, skinning
from .blendshapes import ATTRIBUTES, WIDTH
from .gaussians import PosedGaussians
from .parts import joints_seen, make_parts
from .sampling import interpolate, morton_order, sample_surface
from .saved_config import SavedConfig
from .template import Template
from .transforms import quat_to_rotmat


@dataclass
class AvatarConfig(SavedConfig):
    """Sizes of an avatar. Defaults are paper scale."""

    num_gaussians: int = 200_000
    """Gaussians sampled uniformly on the template."""
    num_parts: int = 256
    """Local parts; one small MLP each."""
    basis_size: int = 16
    """K: local pose features per part, for attributes and again for node positions."""
    num_nodes: int = 10_000
    """Control nodes that carry position correctives, sampled uniformly among the Gaussians."""
    hidden_widths: tuple[int, ...] = (24, 24, 24)
    """Hidden layers of each part's MLP."""
    input_reach: int | None = None
    """Each part's network sees only joints so many bones away from those that move the part; None: all, as in the
    paper. With 1 a sleeve learns nothing from the legs, and new combinations of poses look better (docs/quality.md)."""
    free_offset_m: float = 0.008
    """How far each Gaussian may leave the template by itself, metres (`free_offset_m * tanh(offset)`)."""
    initial_opacity: float = 0.8
    """Opacity of every Gaussian before training, 0..1."""
    initial_spacing: float = 0.7
    """Initial standard deviation as a multiple of the mean distance between Gaussians."""
    seed: int = 0
    """Seed of the sampling on the template and of the initial weights."""


@dataclass(frozen=True)
class AvatarOutput:
    """One pose: the Gaussians and what the losses look at."""

    gaussians: PosedGaussians
    scales: Float[Tensor, "n 3"]
    """Activated standard deviations, metres."""
    correctives: dict[str, Float[Tensor, "kept a"]]
    """Per attribute, of the Gaussians that keep one; empty during warm-up."""
    node_displacement: Float[Tensor, "m 3"]
    """Metres."""


@dataclass(frozen=True)
class Layout:
    """Constant arrays of an avatar: where everything sits on the template. Made once, stored in the checkpoint."""

    buffers: dict[str, Tensor] = field(default_factory=dict)
    num_head_parts: int = 0
    parents: tuple[int, ...] = ()
    spacing: float = 0.0
    """Mean distance between Gaussians, metres."""


def make_layout(template: Template, parents: tuple[int, ...], config: AvatarConfig) -> Layout:
    """Sample Gaussians, nodes and parts on the template; Gaussians are stored in Morton order."""
    rng = np.random.default_rng(config.seed)
    if config.num_nodes > config.num_gaussians:
        raise ValueError(f"num_nodes ({config.num_nodes}) must not exceed num_gaussians ({config.num_gaussians})")
    face, bary = sample_surface(template.vertices, template.faces, config.num_gaussians, rng)
    corners = template.faces[face]
    order = morton_order(interpolate(template.vertices, corners, bary))
    corners, bary = corners[order], bary[order]
    points = interpolate(template.vertices, corners, bary)
    weights = interpolate(template.skin_weights, corners, bary)
    candidates = rng.choice(len(points), min(len(points), 8 * config.num_parts), replace=False)
    parts = make_parts(points[candidates], weights[candidates], config.num_parts)
    node = np.sort(rng.choice(len(points), config.num_nodes, replace=False))
    part = parts.assign(points)
    node_index, node_weight = control_points.interpolation_weights(points, points[node])
    skin_index, skin_weight = skinning.strongest_joints(weights)
    a, b, c = (template.vertices[template.faces[:, i]] for i in range(3))
    area = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())
    real = {
        "base_position": points,
        "node_weight": node_weight,
        "skin_weight": skin_weight,
        "joint_rest": template.joint_rest,
        "inverse_bind": template.inverse_bind,
    }
    whole = {
        "part": part,
        "node_part": part[node],
        "node_index": node_index,
        "node_neighbours": control_points.node_neighbours(points[node]),
        "skin_index": skin_index,
    }
    buffers = {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in real.items()}
    buffers |= {k: torch.from_numpy(np.asarray(v, np.int64)) for k, v in whole.items()}
    return Layout(buffers, parts.num_head_parts, parents, math.sqrt(area / config.num_gaussians))


def _initial_log_scale(config: AvatarConfig, layout: Layout) -> float:
    return math.log(config.initial_spacing * layout.spacing)


class Avatar(nn.Module):
    """Learned neutral attributes, part MLPs, blendshape bases and control nodes of one person.

    Raises nothing of its own but ValueError for a negative `input_reach`; shapes are checked by the functions it calls.
    """

    seen_inputs: Tensor | None

    def __init__(self, config: AvatarConfig, layout: Layout) -> None:
        super().__init__()
        n, m, k = config.num_gaussians, config.num_nodes, config.basis_size
        self.config = config
        self.parents = layout.parents
        for name, value in layout.buffers.items():
            self.register_buffer(name, value)
        self.register_buffer("num_head_parts", torch.tensor(layout.num_head_parts))
        self._head_parts = layout.num_head_parts
        self.register_buffer("pruned", torch.tensor(False))
        self._is_pruned = False
        self._compiled = self._decode
        identity = torch.zeros(n, 4)
        identity[:, 0] = 1
        logit = math.log(config.initial_opacity / (1 - config.initial_opacity))
        self.rotation = nn.Parameter(identity)
        self.scale = nn.Parameter(torch.full((n, 3), _initial_log_scale(config, layout)))
        self.color = nn.Parameter(torch.zeros(n, 3))
        self.opacity = nn.Parameter(torch.full((n,), logit))
        self.free_offset = nn.Parameter(torch.zeros(n, 3))
        self.node_offset = nn.Parameter(torch.zeros(m, 3))
        self.node_basis = nn.Parameter(torch.zeros(m, 3, k))
        for name in ATTRIBUTES:
            self.register_parameter(f"{name}_basis", nn.Parameter(torch.zeros(n, WIDTH[name], k)))
            self.register_buffer(f"{name}_index", torch.arange(n))
        generator = torch.Generator().manual_seed(config.seed)
        sizes = (features.NUM_INPUTS, *config.hidden_widths, 2 * k)
        weights, biases = features.init_layers(config.num_parts, sizes, generator)
        self.mlp_weights = nn.ParameterList(weights)
        self.mlp_biases = nn.ParameterList(biases)
        # [P, 1, 73] of the first layer; no part of the checkpoint, since it follows from the layout
        self.register_buffer("seen_inputs", None, persistent=False)
        self._limit_inputs()

    @torch.no_grad()
    def _limit_inputs(self) -> None:
        """Zero the first layers' weights of joints that are out of reach. Masked in `features`, they get no gradient
        and so stay zero: neither optimisers nor avatar files have to know. Errors: ValueError for a negative reach."""
        reach, first = self.config.input_reach, self.mlp_weights[0]
        if reach is None:
            return
        if reach < 0:
            raise ValueError(f"input_reach counts bones: expected 0 or more, or None for all joints, found {reach}")
        part, index, weight = (self.get_buffer(name) for name in ("part", "skin_index", "skin_weight"))
        joints = joints_seen(part, index, weight, self.parents, self.config.num_parts, reach)
        self.seen_inputs = torch.ones(len(joints), 1, first.shape[2], device=first.device)
        angles = joints[:, 1 : 1 + features.NUM_POSE_INPUTS // 3].repeat_interleave(3, 1)
        self.seen_inputs[:, 0, : features.NUM_POSE_INPUTS] = angles.float()
        first.mul_(self.seen_inputs)

    @torch.no_grad()
    def lay_out(self, layout: Layout) -> None:
        """Take another layout of the same sizes (the person's shape was corrected). For an untrained avatar: what was
        learnt belongs to the old places."""
        for name, value in layout.buffers.items():
            self.get_buffer(name).copy_(value)
        self.get_buffer("num_head_parts").fill_(layout.num_head_parts)
        self._head_parts = layout.num_head_parts
        self.scale.fill_(_initial_log_scale(self.config, layout))
        self._limit_inputs()

    def basis(self, attribute: str) -> nn.Parameter:
        """[kept, a, K] basis of "rotation", "scale" or "color"."""
        return self.get_parameter(f"{attribute}_basis")

    def index(self, attribute: str) -> Int[Tensor, " kept"]:
        """Gaussians that keep a corrective of this attribute, ascending."""
        return self.get_buffer(f"{attribute}_index")

    def neutral(self, attribute: str) -> nn.Parameter:
        """[n, a] pose-independent attribute: quaternion, log scale or colour."""
        return self.get_parameter(attribute)

    @property
    def is_pruned(self) -> bool:
        """Whether pruning has been done, even where its budget let every corrective stay."""
        return self._is_pruned

    def mark_pruned(self) -> None:
        """Stored in the checkpoint (buffer `pruned`); a copy on the host spares a device read per step."""
        self.get_buffer("pruned").fill_(True)
        self._is_pruned = True

    def features(
        self, pose: Float[Tensor, "55 3"], expression: Float[Tensor, " e"], inputs: Float[Tensor, " 73"] | None = None
    ) -> Float[Tensor, "p features"]:
        """Local pose features of every part, [P, 2K], of the pose or of `inputs` in its place."""
        return self._features(features.pose_inputs(pose, expression) if inputs is None else inputs)

    def _features(self, inputs: Float[Tensor, " 73"]) -> Float[Tensor, "p features"]:
        weights = list(self.mlp_weights)
        if self.seen_inputs is not None:
            weights[0] = weights[0] * self.seen_inputs
        return features.local_features(inputs, weights, list(self.mlp_biases), self._head_parts)

    def correctives(self, e: Float[Tensor, "p features"]) -> dict[str, Float[Tensor, "kept a"]]:
        """Attribute correctives of the kept Gaussians for one pose."""
        e, part = e[:, : self.config.basis_size], self.get_buffer("part")
        # index_select, here and elsewhere: its gradient is a sum with atomics, that of e[part] sorts all indices
        if not self.is_pruned:
            own = e.index_select(0, part)
            return {name: blendshapes.correctives(self.basis(name), own) for name in ATTRIBUTES}
        parts = {name: part.index_select(0, self.index(name)) for name in ATTRIBUTES}
        return {name: blendshapes.correctives(self.basis(name), e.index_select(0, parts[name])) for name in ATTRIBUTES}

    def canonical_position(self, dx: Float[Tensor, "m 3"]) -> Float[Tensor, "n 3"]:
        """Template position + interpolated node displacement + bounded free offset, metres."""
        moved = control_points.interpolate_nodes(dx, self.get_buffer("node_index"), self.get_buffer("node_weight"))
        return self.get_buffer("base_position") + moved + self.config.free_offset_m * torch.tanh(self.free_offset)

    def forward(
        self,
        pose: Float[Tensor, "55 3"],
        transl: Float[Tensor, " 3"],
        expression: Float[Tensor, " e"],
        use_correctives: bool = True,
        inputs: Float[Tensor, " 73"] | None = None,
    ) -> AvatarOutput:
        """Posed Gaussians of one pose; without correctives (warm-up, baseline) only the neutral avatar is skinned.
        `inputs`: what the part networks get in place of the pose (`trained_poses.safe_inputs`)."""
        inputs = features.pose_inputs(pose, expression) if inputs is None else inputs
        return self.decode(inputs, self.joint_transforms(pose, transl), use_correctives)

    def joint_transforms(self, pose: Float[Tensor, "*b 55 3"], transl: Float[Tensor, "*b 3"]) -> Tensor:
        """`G` of one pose or many, [*b, 55, 3, 4]: canonical space to the world, for each joint."""
        bind = self.get_buffer("inverse_bind")
        return skinning.joint_transforms(pose, transl, self.get_buffer("joint_rest"), self.parents, bind)

    def compile_decode(self) -> None:
        """Let torch compile what `decode` does while training with correctives."""
        self._compiled = torch.compile(self._decode, dynamic=False)

    def decode(
        self, inputs: Float[Tensor, " 73"], G: Float[Tensor, "55 3 4"], use_correctives: bool = True
    ) -> AvatarOutput:
        """What `forward` does after kinematics: a training run knows its poses' MLP inputs and joint transforms."""
        run = self._compiled if self.training and use_correctives else self._decode
        means, covariances, colors, opacities, scales, deltas, dx = run(inputs, G, use_correctives)
        return AvatarOutput(PosedGaussians(means, covariances, colors, opacities), scales, deltas, dx)

    def _decode(
        self, inputs: Float[Tensor, " 73"], G: Float[Tensor, "55 3 4"], use_correctives: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, dict[str, Tensor], Tensor]:
        """Means, covariances, colours, opacities, scales, correctives, node displacement."""
        attributes: dict[str, Tensor] = {name: self.neutral(name) for name in ATTRIBUTES}
        deltas: dict[str, Tensor] = {}
        if use_correctives:
            e = self._features(inputs)
            deltas = self.correctives(e)
            for name in ATTRIBUTES:
                attributes[name] = blendshapes.add_correctives(attributes[name], deltas[name], self.index(name))
            node_e = e[:, self.config.basis_size :].index_select(0, self.get_buffer("node_part"))
            dx = control_points.node_displacements(self.node_offset, self.node_basis, node_e)
        else:
            dx = control_points.node_displacements(self.node_offset, None, None)
        scales = attributes["scale"].exp()
        half = quat_to_rotmat(attributes["rotation"]) * scales[:, None, :]
        T = skinning.blend_transforms(G, self.get_buffer("skin_index"), self.get_buffer("skin_weight"))
        means, covariances = skinning.skin(T, self.canonical_position(dx), half)
        colors = (attributes["color"] + 0.5).clamp_min(0)
        return means, covariances, colors, self.opacity.sigmoid(), scales, deltas, dx

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by learning rate: one name per group."""
        return {
            "rotation": [self.rotation],
            "scale": [self.scale],
            "color": [self.color],
            "opacity": [self.opacity],
            "free_offset": [self.free_offset],
            "node_offset": [self.node_offset],
            "node_basis": [self.node_basis],
            "bases": [self.basis(name) for name in ATTRIBUTES],
            "mlp": [*self.mlp_weights, *self.mlp_biases],
        }

    def _narrow_to(self, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Resize everything that has fewer features in a checkpoint, in place; pruning cut them."""
        last = len(self.mlp_weights) - 1
        stored = state_dict.get(f"{prefix}node_basis", self.node_basis)
        if stored.shape[2] < self.config.basis_size and bool(state_dict.get(f"{prefix}pruned", False)):
            self.config = replace(self.config, basis_size=stored.shape[2])
            for name in ("node_basis", f"mlp_weights.{last}", f"mlp_biases.{last}"):
                own = self.get_parameter(name)
                own.data = own.new_zeros(state_dict[f"{prefix}{name}"].shape)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Resize bases to a pruned checkpoint in place: optimisers made before loading keep their parameters."""
        self._narrow_to(state_dict, prefix)
        for name in ATTRIBUTES:
            for kind, own in (("basis", self.basis(name)), ("index", self.index(name))):
                stored = state_dict.get(f"{prefix}{name}_{kind}")
                if stored is not None and stored.shape != own.shape:
                    own.data = own.new_zeros(stored.shape)
        # checkpoints from before the flag: pruned where a basis is smaller than the avatar
        sizes = (len(state_dict.get(f"{prefix}{name}_index", self.index(name))) for name in ATTRIBUTES)
        state_dict.setdefault(f"{prefix}pruned", torch.tensor(any(n < self.config.num_gaussians for n in sizes)))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._head_parts = int(self.get_buffer("num_head_parts"))
        self._is_pruned = bool(self.get_buffer("pruned"))
        self._limit_inputs()  # by the stored layout
