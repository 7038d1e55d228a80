"""Fewer local pose features at pruning: the same avatar with its features in order of importance, and the last cut.

The last layer of a part network is linear, so any invertible matrix `A` of a part moves from one side of `B @ e` to the
other without a change: `(B A) @ (A^-1 e)`. `A` is chosen such that keeping the first r features is the best that r
features can do for the trained poses: with `C` the features' covariance over poses and `G = sum_n B_n^T W_n B_n` what a
change of the features costs, `A = C^1/2 V`, `V` the eigenvectors of `C^1/2 G C^1/2`, the largest first (balanced
truncation). At equal bytes, half as many features leave room for twice as many correctives.

The eigenvalues say what each feature is worth in the training pictures, of attributes and of control nodes in one unit,
so that parts can keep as many as they deserve: the best for their bytes over the whole body (`fill`). A part that keeps
fewer than others has zeros in their place, in its bases and in the last layer of its network; then neither gets a
gradient, nor takes room in a file.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import blendshapes, parallel
from .avatar import Avatar
from .blendshapes import ATTRIBUTES
from .pruning import HALF_BYTES, PruningConfig, Swap, bytes_each, features_of
from .pruning_scores import Probe, loss_since, sensitivities
from .render import Backend

_REGULAR = 1e-6
"""Share of the mean variance that is added to every feature's, so that `A` has an inverse."""
_UNSEEN = 0.01
"""Share of the mean sensitivity that is added to every node's: what no picture shows may be seen in another pose."""
_DENSE = 0.94
"""Of the bytes for correctives where parts keep what is worth most: large numbers compress less. With all of them the
exported file was 1.6 to 2.4% larger than with as many features everywhere (docs/quality.md)."""
MOST = 2
"""A part keeps at most so many times the mean: a renderer's bases are as wide as the widest part."""

Poses = Iterable[tuple[Float[Tensor, "55 3"], Float[Tensor, " e"]]]


def feature_moments(avatar: Avatar, poses: Poses) -> tuple[Float[Tensor, "p features"], Float[Tensor, "p f f"]]:
    """Mean [P, 2K] and covariance [P, 2K, 2K] of every part's features over the poses, in double precision."""
    found = torch.stack([avatar.features(pose, expression) for pose, expression in poses], 1).double()
    mean = found.mean(1)
    apart = found - mean[:, None]
    return mean, apart.mT @ apart / found.shape[1]


def ordering(
    covariance: Float[Tensor, "p k k"], cost: Float[Tensor, "p k k"]
) -> tuple[Float[Tensor, "p k k"], Float[Tensor, "p k k"], Float[Tensor, "p k"]]:
    """`A`, its inverse, and what leaving a feature out costs on average; for every part, the most important feature
    first. Features keep their mean variance."""
    k = covariance.shape[-1]
    mean = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    eye = torch.eye(k, dtype=covariance.dtype, device=covariance.device)
    values, vectors = torch.linalg.eigh(covariance + (_REGULAR * mean + 1e-12) * eye)
    root, inverse = ((vectors * values[:, None].sqrt() ** sign) @ vectors.mT for sign in (1, -1))
    worth, axes = (x.flip(-1) for x in torch.linalg.eigh(root @ cost @ root))
    size = (mean + 1e-12).sqrt()
    return root @ axes / size, size * axes.mT @ inverse, worth


def cost_of(
    basis: Float[Tensor, "m a k"], weight: Float[Tensor, "m a"], part: Int[Tensor, " m"], parts: int
) -> Float[Tensor, "p k k"]:
    """`G`: the sum of `B^T diag(weight) B` over each part's rows."""
    total = torch.zeros(parts, basis.shape[2], basis.shape[2], dtype=torch.float64, device=basis.device)
    for b, w in zip(basis.detach().unbind(1), weight.unbind(1)):
        total.index_add_(0, part, torch.einsum("mk,ml->mkl", b * w[:, None], b).double())
    return total


def fill(worth: Float[Tensor, "g k"], size: Float[Tensor, " g"], room: float, most: int) -> Int[Tensor, " g"]:
    """How many features each of g groups keeps, 1 to `most`: those worth most for their bytes, while there is room.

    Args:
        worth: of each feature, descending in each group, so that the first ones are taken first.
        size: bytes of one feature of each group; `room` in all.
    """
    each = size[:, None].expand_as(worth)
    ratio = worth / each
    ratio[:, 0] = torch.inf
    order = ratio[:, :most].flatten().argsort(descending=True, stable=True)
    fits = each[:, :most].flatten()[order].cumsum(0) <= room
    fits[: len(size)] = True  # one for everybody
    taken = torch.zeros(len(order), dtype=torch.bool, device=worth.device)
    taken[order[fits]] = True
    return taken.view(len(size), -1).sum(1)


@dataclass(frozen=True)
class Turn:
    """New features of every part: `A` and its inverse, of which the first columns and rows stay; zeros where a part
    keeps fewer than r."""

    A: Float[Tensor, "p k r"]
    inverse: Float[Tensor, "p r k"]
    dropped_mean: Float[Tensor, "p k"]
    """What the features that go drive on average, in the old features."""

    @classmethod
    def of(cls, mean: Float[Tensor, "p k"], A: Tensor, inverse: Tensor, count: Int[Tensor, " p"], width: int) -> "Turn":
        """The first `count` features of each part, in `width` columns."""
        stays = torch.arange(A.shape[2], device=A.device) < count[:, None]
        gone = (A * ~stays[:, None]) @ inverse @ mean[..., None]
        A, inverse = A * stays[:, None], inverse * stays[..., None]
        return cls(A[..., :width].float(), inverse[:, :width].float(), gone[..., 0].float())

    def basis(self, swap: Swap, old: nn.Parameter, owner: Int[Tensor, " m"]) -> nn.Parameter:
        A, inverse = self.A[owner], self.inverse[owner]
        return swap.parameter(
            old,
            lambda x: torch.einsum("mak,mkl->mal", x, A),
            lambda m: torch.einsum("mak,mlk->mal", m, inverse),
            lambda v: torch.einsum("mak,mlk->mal", v, inverse.square()),
        )


def _last_layer(turns: tuple[Turn, Turn], swap: Swap, old: nn.Parameter) -> nn.Parameter:
    """Weights [P, 2K, in] or biases [P, 2K] that make the new features."""

    def both(x: Tensor, name: str, power: int = 1) -> Tensor:
        halves = zip(turns, x.reshape(len(x), x.shape[1], -1).chunk(2, 1))
        changed = [(t.inverse if name == "inverse" else t.A.mT).pow(power) @ half for t, half in halves]
        return torch.cat(changed, 1).reshape(len(x), -1, *x.shape[2:])

    return swap.parameter(old, lambda x: both(x, "inverse"), lambda m: both(m, "A"), lambda v: both(v, "A", 2))


@torch.no_grad()
def keep_features(
    avatar: Avatar,
    count: int,
    poses: Poses,
    sensitivity: dict[str, Float[Tensor, "kept a"]],
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
    by_part: bool = False,
    share: float = 1.0,
) -> None:
    """Leave `count` features per part (and as many for its nodes), what the others drive on average folded in.

    Args:
        poses: training poses with their expressions; the features' importance is over them.
        sensitivity: squared change of the pictures per squared change of each number of an attribute, and of a node's
            place ("node"), of `pruning_scores.sensitivities`.
        by_part: divide the bytes of `count` features everywhere, of attributes and nodes together, by what each feature
            of a part is worth; none keeps more than `MOST` times as many.
        share: of the correctives that will be kept, for their bytes.

    The parameters become new, smaller ones, in `optimizers` and `lists` too, as in `pruning.prune`; Adam's first
    moments follow exactly, its second ones as if the gradients of different features were independent.
    Errors: `ValueError` unless 1 <= count <= K.
    """
    k, parts = avatar.config.basis_size, avatar.config.num_parts
    if not 1 <= count <= k:
        raise ValueError(f"pruning.keep_features: expected 1..{k}, as many as were trained, found {count}")
    mean, covariance = feature_moments(avatar, poses)
    part, node_part = avatar.get_buffer("part"), avatar.get_buffer("node_part")
    owners = {name: part[avatar.index(name)] for name in ATTRIBUTES}
    cost = torch.zeros_like(covariance[:, :k, :k])
    for name, owner in owners.items():
        cost += cost_of(avatar.basis(name), sensitivity[name], owner, parts)
    node = sensitivity["node"]
    node_cost = cost_of(avatar.node_basis, node + _UNSEEN * node.mean() + 1e-12, node_part, parts)
    axes = [ordering(covariance[:, :k, :k], cost), ordering(covariance[:, k:, k:], node_cost)]
    parallel.take_from_first(tensor for found in axes for tensor in found)
    counts = torch.full((2, parts), count, device=mean.device)
    if by_part:
        size = torch.stack(feature_bytes(avatar, share))
        worth = torch.stack([worth for *_, worth in axes])
        counts = fill(worth.flatten(0, 1), size.flatten(), count * float(size.sum()), min(MOST * count, k)).view(2, -1)
    width = count if not by_part else int(counts.max() + 1) // 2 * 2
    turn, node_turn = (
        Turn.of(m, A, inverse, n, width) for m, (A, inverse, _), n in zip((mean[:, :k], mean[:, k:]), axes, counts)
    )
    swap = Swap(list(optimizers), list(lists))
    for name, owner in owners.items():
        folded = blendshapes.correctives(avatar.basis(name), turn.dropped_mean[owner])
        avatar.neutral(name).index_add_(0, avatar.index(name), folded)
        avatar.register_parameter(f"{name}_basis", turn.basis(swap, avatar.basis(name), owner))
    avatar.node_offset.data += blendshapes.correctives(avatar.node_basis, node_turn.dropped_mean[node_part])
    avatar.node_basis = node_turn.basis(swap, avatar.node_basis, node_part)
    for layers in (avatar.mlp_weights, avatar.mlp_biases):
        layers[-1] = _last_layer((turn, node_turn), swap, layers[-1])
    avatar.config = replace(avatar.config, basis_size=width)


def feature_bytes(avatar: Avatar, share: float) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """What one more feature of a part takes in an avatar file, of its attributes (of which a share is kept) and of its
    nodes: a column of their bases and a row of the network's last layer."""
    parts, row = avatar.config.num_parts, HALF_BYTES * (avatar.mlp_weights[-1].shape[2] + 1)
    part, node_part = avatar.get_buffer("part"), avatar.get_buffer("node_part")
    numbers = torch.zeros(2, parts, dtype=torch.float64, device=part.device)
    for name in ATTRIBUTES:
        numbers[0] += share * avatar.basis(name).shape[1] * torch.bincount(part[avatar.index(name)], minlength=parts)
    numbers[1] = avatar.node_basis.shape[1] * torch.bincount(node_part, minlength=parts)
    attributes, nodes = HALF_BYTES * numbers + row
    return attributes, nodes


def room_left(room: int, avatar: Avatar, count: int, by_part: bool) -> int:
    """Of the bytes for correctives, what is left once nodes and the networks' last layers have taken more than with
    `count` features everywhere."""
    sizes = feature_bytes(avatar, 0.0)  # of attributes the networks' rows only
    more = sum(float((size * (n - count)).sum()) for size, n in zip(sizes, features_of(avatar)))
    return int(room * (_DENSE if by_part else 1.0) - more)


class Cut(NamedTuple):
    """What `pruning.prune` takes from a cut of features."""

    config: PruningConfig
    loss_db: Callable[[Avatar], float] | None
    """PSNR (dB) that an avatar has lost against this one as it was, by the mean squared error that was given; for the
    budget `allowed_loss_db`."""
    room: int | None
    """Bytes for the correctives; None where the budget is none of bytes."""
    remark: str
    """Empty but where the cut alone loses more than that budget allows: then all features stay."""


def cut_features(
    avatar: Avatar,
    config: PruningConfig,
    poses: Poses,
    probes: Iterable[Probe],
    backend: Backend,
    error: Callable[[Avatar], float],
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
) -> Cut:
    """Before a pruning: leave as many features as it says, if it says so. `error`: mean squared, of training pictures.

    The bytes of `keep_count` are those of so many correctives with all features; what nodes and networks take beyond
    `keep_features` everywhere is taken off.

    Errors: as of `keep_features`, and `ValueError` where there is no picture.
    """
    trained, left, allowed = avatar.config.basis_size, config.keep_features, config.allowed_loss_db
    loss_db = None if allowed is None else loss_since(avatar, error)
    room, by_part = config.room(trained), config.features_by_part
    if left is None:
        return Cut(config, loss_db, room, "")
    poses, sensitivity = list(poses), sensitivities(avatar, probes, backend)
    every = avatar.config.num_gaussians * sum(bytes_each(name, left) for name in ATTRIBUTES)
    share = 1.0 if room is None else min(room / every, 1.0)
    if allowed is not None and loss_db is not None:
        trial = copy.deepcopy(avatar).eval()  # what is compiled for training belongs to the original
        keep_features(trial, left, poses, sensitivity, by_part=by_part, share=share)
        if (loss := loss_db(trial)) > allowed:
            remark = (
                f"; all {trained} features stay, {left} alone would lose {loss:.3f} of {allowed:g} dB: for fewer, "
                "allow a larger loss (pruning.allowed-loss-db) or keep more of them (pruning.keep-features)"
            )
            return Cut(replace(config, keep_features=None), loss_db, room, remark)
    keep_features(avatar, left, poses, sensitivity, optimizers, lists, by_part, share)
    return Cut(config, loss_db, None if room is None else room_left(room, avatar, left, by_part), "")
