"""Fewer local pose features at pruning: the same avatar with its features in order of importance, and the last cut.

The last layer of a part network is linear, so any invertible matrix `A` of a part moves from one side of `B @ e` to the
other without a change: `(B A) @ (A^-1 e)`. `A` is chosen such that keeping the first r features is the best that r
features can do for the trained poses: with `C` the features' covariance over poses and `G = sum_n B_n^T W_n B_n` what a
change of the features costs, `A = C^1/2 V`, `V` the eigenvectors of `C^1/2 G C^1/2`, the largest first (balanced
truncation). At equal bytes, half as many features leave room for twice as many correctives.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import blendshapes, parallel
from .avatar import Avatar
from .blendshapes import ATTRIBUTES
from .pruning import PruningConfig, Swap
from .pruning_scores import Probe, loss_since, sensitivities
from .render import Backend

_REGULAR = 1e-6
"""Share of the mean variance that is added to every feature's, so that `A` has an inverse."""

Poses = Iterable[tuple[Float[Tensor, "55 3"], Float[Tensor, " e"]]]


def feature_moments(avatar: Avatar, poses: Poses) -> tuple[Float[Tensor, "p features"], Float[Tensor, "p f f"]]:
    """Mean [P, 2K] and covariance [P, 2K, 2K] of every part's features over the poses, in double precision."""
    found = torch.stack([avatar.features(pose, expression) for pose, expression in poses], 1).double()
    mean = found.mean(1)
    apart = found - mean[:, None]
    return mean, apart.mT @ apart / found.shape[1]


def ordering(
    covariance: Float[Tensor, "p k k"], cost: Float[Tensor, "p k k"]
) -> tuple[Float[Tensor, "p k k"], Float[Tensor, "p k k"]]:
    """`A` and its inverse for every part, the most important feature first; features keep their mean variance."""
    k = covariance.shape[-1]
    mean = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    eye = torch.eye(k, dtype=covariance.dtype, device=covariance.device)
    values, vectors = torch.linalg.eigh(covariance + (_REGULAR * mean + 1e-12) * eye)
    root, inverse = ((vectors * values[:, None].sqrt() ** sign) @ vectors.mT for sign in (1, -1))
    axes = torch.linalg.eigh(root @ cost @ root)[1].flip(-1)
    size = (mean + 1e-12).sqrt()
    return root @ axes / size, size * axes.mT @ inverse


def cost_of(
    basis: Float[Tensor, "m a k"], weight: Float[Tensor, "m a"], part: Int[Tensor, " m"], parts: int
) -> Float[Tensor, "p k k"]:
    """`G`: the sum of `B^T diag(weight) B` over each part's rows."""
    total = torch.zeros(parts, basis.shape[2], basis.shape[2], dtype=torch.float64, device=basis.device)
    for b, w in zip(basis.detach().unbind(1), weight.unbind(1)):
        total.index_add_(0, part, torch.einsum("mk,ml->mkl", b * w[:, None], b).double())
    return total


@dataclass(frozen=True)
class Turn:
    """New features of every part: `A` and its inverse, of which the first `count` columns and rows stay."""

    A: Float[Tensor, "p k r"]
    inverse: Float[Tensor, "p r k"]
    dropped_mean: Float[Tensor, "p k"]
    """What the features that go drive on average, in the old features."""

    @classmethod
    def of(cls, mean: Float[Tensor, "p k"], covariance: Tensor, cost: Tensor, count: int) -> "Turn":
        A, inverse = ordering(covariance, cost)
        parallel.take_from_first((A, inverse))
        gone = A[..., count:] @ inverse[:, count:] @ mean[..., None]
        return cls(A[..., :count].float(), inverse[:, :count].float(), gone[..., 0].float())

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
) -> None:
    """Leave `count` features per part (and as many for its nodes), what the others drive on average folded in.

    Args:
        poses: training poses with their expressions; the features' importance is over them.
        sensitivity: squared change of the pictures per squared change of each number of an attribute.

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
    node_cost = cost_of(avatar.node_basis, torch.ones_like(avatar.node_offset), node_part, parts)
    turn = Turn.of(mean[:, :k], covariance[:, :k, :k], cost, count)
    node_turn = Turn.of(mean[:, k:], covariance[:, k:, k:], node_cost, count)
    swap = Swap(list(optimizers), list(lists))
    for name, owner in owners.items():
        folded = blendshapes.correctives(avatar.basis(name), turn.dropped_mean[owner])
        avatar.neutral(name).index_add_(0, avatar.index(name), folded)
        avatar.register_parameter(f"{name}_basis", turn.basis(swap, avatar.basis(name), owner))
    avatar.node_offset.data += blendshapes.correctives(avatar.node_basis, node_turn.dropped_mean[node_part])
    avatar.node_basis = node_turn.basis(swap, avatar.node_basis, node_part)
    for layers in (avatar.mlp_weights, avatar.mlp_biases):
        layers[-1] = _last_layer((turn, node_turn), swap, layers[-1])
    avatar.config = replace(avatar.config, basis_size=count)


def cut_features(
    avatar: Avatar,
    config: PruningConfig,
    poses: Poses,
    probes: Iterable[Probe],
    backend: Backend,
    error: Callable[[Avatar], float],
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
) -> tuple[PruningConfig, Callable[[Avatar], float] | None, str]:
    """Before a pruning: leave as many features as it says, if it says so. Returns what `pruning.prune` takes: the
    budget in correctives of what is left; for the budget `allowed_loss_db` the PSNR (dB) that an avatar has lost
    against this one as it was, by `error`, a mean squared one; and a remark, empty but where the cut alone loses more
    than that budget allows: then all features stay.

    Errors: as of `keep_features`, and `ValueError` where there is no picture.
    """
    trained, left, allowed = avatar.config.basis_size, config.keep_features, config.allowed_loss_db
    loss_db = None if allowed is None else loss_since(avatar, error)
    if left is None:
        return config, loss_db, ""
    poses, sensitivity = list(poses), sensitivities(avatar, probes, backend)
    if allowed is not None and loss_db is not None:
        trial = copy.deepcopy(avatar).eval()  # what is compiled for training belongs to the original
        keep_features(trial, left, poses, sensitivity)
        if (loss := loss_db(trial)) > allowed:
            remark = (
                f"; all {trained} features stay, {left} alone would lose {loss:.3f} of {allowed:g} dB: for fewer, "
                "allow a larger loss (pruning.allowed-loss-db) or keep more of them (pruning.keep-features)"
            )
            return replace(config, keep_features=None), loss_db, remark
    keep_features(avatar, left, poses, sensitivity, optimizers, lists)
    return config.for_features(trained, left), loss_db, ""
