"""Pruning of local blendshapes: variance over the training poses, three independent top-N, mean folded in
(paper section 3.4; folding and budgets are ours)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .avatar import Avatar
from .blendshapes import ATTRIBUTES, WIDTH

INDEX_BYTES, HALF_BYTES = 4, 2


@dataclass
class PruningConfig:
    """How many Gaussians keep a blendshape. Exactly one of the three budgets decides."""

    keep_count: int | None = 20_000
    """Gaussians that keep a corrective, for each attribute (N_P in the paper)."""
    keep_variance_share: float | None = None
    """Instead: for each attribute the fewest Gaussians that hold this share (0..1) of its variance."""
    keep_bytes: int | None = None
    """Instead: bytes that the three kept bases and their indices may take in the avatar file before compression."""
    fold_mean: bool = True
    """Add the mean corrective over the training poses to the neutral attribute of what is pruned."""


@dataclass(frozen=True)
class CorrectiveStatistics:
    """Of one attribute over all training poses, for every Gaussian that still keeps a corrective."""

    mean: Float[Tensor, "kept a"]
    score: Float[Tensor, " kept"]
    """Variance, summed over the attribute's components."""


@dataclass(frozen=True)
class PruningReport:
    """What pruning did, for the log and the viewer."""

    kept: dict[str, int]
    variance_share: dict[str, float]
    num_gaussians: int

    def describe(self) -> str:
        parts = [
            f"{name} {self.kept[name]:,} of {self.num_gaussians:,} ({self.variance_share[name]:.1%} of the variance)"
            for name in ATTRIBUTES
        ]
        return "kept correctives: " + ", ".join(parts)


@torch.no_grad()
def corrective_statistics(
    avatar: Avatar, poses: Iterable[tuple[Float[Tensor, "55 3"], Float[Tensor, " e"]]]
) -> dict[str, CorrectiveStatistics]:
    """Mean and variance of each Gaussian's correctives over `(pose, expression)` pairs, one pass (Welford)."""
    count = 0
    mean: dict[str, Tensor] = {}
    spread: dict[str, Tensor] = {}
    for pose, expression in poses:
        count += 1
        for name, delta in avatar.correctives(avatar.features(pose, expression)).items():
            if count == 1:
                mean[name], spread[name] = torch.zeros_like(delta), torch.zeros_like(delta)
            step = delta - mean[name]
            mean[name] += step / count
            spread[name] += step * (delta - mean[name])
    if count == 0:
        raise ValueError("pruning needs at least one training pose to measure the variance over, found none")
    return {name: CorrectiveStatistics(mean[name], (spread[name] / count).sum(1)) for name in ATTRIBUTES}


def keep_counts(scores: dict[str, Float[Tensor, " kept"]], config: PruningConfig, basis_size: int) -> dict[str, int]:
    """How many Gaussians keep a corrective, per attribute, by whichever budget is set.

    Raises `ValueError` unless exactly one of the three budgets is set.
    """
    budgets = [config.keep_count, config.keep_variance_share, config.keep_bytes]
    if sum(b is not None for b in budgets) != 1:
        raise ValueError(
            "set exactly one of keep_count, keep_variance_share, keep_bytes; found "
            f"{config.keep_count}, {config.keep_variance_share}, {config.keep_bytes} (use None for the others)"
        )
    if config.keep_count is not None:
        return {name: min(config.keep_count, len(score)) for name, score in scores.items()}
    if config.keep_bytes is not None:
        each = sum(WIDTH[name] * basis_size * HALF_BYTES + INDEX_BYTES for name in scores)
        return {name: min(config.keep_bytes // each, len(score)) for name, score in scores.items()}
    counts = {}
    for name, score in scores.items():
        held = score.double().sort(descending=True).values.cumsum(0)
        target = held[-1] * (config.keep_variance_share or 0.0)
        counts[name] = int((held < target).sum()) + 1
    return counts


@torch.no_grad()
def prune(
    avatar: Avatar,
    statistics: dict[str, CorrectiveStatistics],
    config: PruningConfig,
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
) -> PruningReport:
    """Keep the top correctives of each attribute, fold the mean of the others into the neutral attribute.

    The bases become new, smaller parameters: autograd remembers the shape of a parameter for as long as any graph of
    an earlier step lives. They take the place of the old ones in the param groups of `optimizers` (with their rows of
    Adam's moments) and in `lists` (nerfstudio keeps its own lists of parameters).
    """
    counts = keep_counts({k: v.score for k, v in statistics.items()}, config, avatar.config.basis_size)
    shares = {}
    for name in ATTRIBUTES:
        score, mean = statistics[name].score, statistics[name].mean
        chosen = score.topk(counts[name]).indices.sort().values
        total = float(score.sum())
        shares[name] = float(score[chosen].sum()) / total if total > 0 else 1.0
        if config.fold_mean:
            dropped = torch.ones(len(score), dtype=torch.bool, device=score.device)
            dropped[chosen] = False
            avatar.neutral(name).data.index_add_(0, avatar.index(name)[dropped], mean[dropped])
        _keep_rows(avatar, f"{name}_basis", chosen, optimizers, lists)
        avatar.index(name).data = avatar.index(name)[chosen]
    avatar.mark_pruned()
    return PruningReport(counts, shares, avatar.config.num_gaussians)


def _keep_rows(
    avatar: Avatar,
    name: str,
    rows: Int[Tensor, " kept"],
    optimizers: Iterable[torch.optim.Optimizer],
    lists: Iterable[list[nn.Parameter]],
) -> None:
    old = avatar.get_parameter(name)
    new = nn.Parameter(old.detach()[rows].clone())
    avatar.register_parameter(name, new)
    for optimizer in optimizers:
        if old in optimizer.state:
            state = optimizer.state.pop(old)
            moments = {k: v for k, v in state.items() if torch.is_tensor(v) and v.shape == old.shape}
            optimizer.state[new] = state | {k: v[rows].clone() for k, v in moments.items()}
    for parameters in (*(group["params"] for o in optimizers for group in o.param_groups), *lists):
        parameters[:] = [new if p is old else p for p in parameters]
