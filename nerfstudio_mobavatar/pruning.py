"""Pruning of local blendshapes: which Gaussians keep a corrective of which attribute, and the surgery that follows.

The paper (section 3.4) keeps the same fixed number for each attribute, by variance over the training poses. Folding of
the mean, scores that see the picture (`pruning_scores.py`) and the budgets other than the count are ours.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .avatar import Avatar
from .blendshapes import ATTRIBUTES, WIDTH
from .saved_config import SavedConfig

INDEX_BYTES, HALF_BYTES = 4, 2
TRIALS = 10
"""Prunings tried to meet a budget that has to be measured; each halves what is left open."""
BUDGETS = ("keep_count", "keep_share", "file_bytes", "allowed_loss_db")

Change = Callable[[Tensor], Tensor]
Kept = dict[str, Int[Tensor, " _kept"]]
"""Rows of each attribute's basis that stay, ascending."""


@dataclass
class PruningConfig(SavedConfig):
    """How many Gaussians keep a blendshape. Exactly one of the four budgets decides; give the others as None."""

    keep_count: int | None = 20_000
    """So many bytes: those of this number of correctives of each attribute. With the score "image" they are divided
    among the attributes, with "variance" each attribute keeps this number (N_P in the paper)."""
    keep_share: float | None = None
    """Instead: the fewest bytes that hold this share (0..1) of the score, of each attribute's variance or of the
    change of the picture."""
    file_bytes: int | None = None
    """Instead: the exported avatar file may take this many bytes; the score divides them among the attributes."""
    allowed_loss_db: float | None = None
    """Instead: as few bytes as possible, PSNR over training pictures falling by at most this, before fine-tuning. What
    `keep_features` costs counts; where that alone is more, all features stay, and log and report say so."""
    score: Literal["variance", "image"] = "image"
    """What makes a corrective worth its bytes: the squared change of the training pictures if it were pruned, which
    weighs all three attributes alike, or its "variance" over the training poses (the paper)."""
    image_probes: int = 128
    """Training pictures that the score "image" and the budget `allowed_loss_db` look at."""
    keep_features: int | None = None
    """Local features per part that stay, the most important ones; an even number, None: all. `keep_count` stands for
    the bytes of so many correctives with all features, so that fewer features leave room for more correctives."""
    features_by_part: bool = False
    """`keep_features` is the mean, by bytes: parts whose features are worth more to the training pictures keep more of
    them, up to twice as many. False: all keep as many."""
    fold_mean: bool = True
    """Add the mean corrective over the training poses to the neutral attribute of what is pruned."""

    def budget(self) -> str:
        """Name of the budget that is set. Raises `ValueError` unless it is exactly one and in its range."""
        given = {name: getattr(self, name) for name in BUDGETS}
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            found = ", ".join(f"{name} {value}" for name, value in given.items())
            raise ValueError(f"set exactly one of {', '.join(BUDGETS)}, the others to None; found {found}")
        name, value = chosen[0], given[chosen[0]]
        if value < 0 or (name == "keep_share" and value > 1):
            raise ValueError(f"pruning budget {name}: expected {'0..1' if name == 'keep_share' else '>= 0'}: {value}")
        return name

    def check(self, trained: int) -> None:
        """Of an avatar with `trained` features per part; before training, not after an hour of it. Raises `ValueError`
        for budgets as `budget` does, and for features that cannot be kept."""
        self.budget()
        if (left := self.keep_features) is not None and (left % 2 or not 2 <= left <= trained):
            raise ValueError(
                f"pruning.keep_features: expected an even number from 2 to the {trained} that are trained "
                f"(avatar.basis_size), or None for all, found {left}"
            )

    def room(self, basis_size: int) -> int | None:
        """Bytes that `keep_count` stands for in an avatar of so many features; None with another budget."""
        return None if self.keep_count is None else self.keep_count * sum(bytes_each(k, basis_size) for k in ATTRIBUTES)


@dataclass(frozen=True)
class CorrectiveStatistics:
    """Of one attribute over all training poses, for every Gaussian that still keeps a corrective."""

    mean: Float[Tensor, "kept a"]
    score: Float[Tensor, " kept"]
    """Variance, summed over the attribute's components; or another worth, see `PruningConfig.score`."""


@dataclass(frozen=True)
class PruningReport:
    """What pruning did, for the log and the viewer."""

    kept: dict[str, int]
    share: dict[str, float]
    """Of each attribute's score that the kept correctives hold."""
    num_gaussians: int
    score: str = "variance"
    measured: str = ""
    """What a measured budget came to."""

    def describe(self) -> str:
        what = {"variance": "of the variance", "image": "of the change of the picture"}[self.score]
        parts = [
            f"{name} {self.kept[name]:,} of {self.num_gaussians:,} ({self.share[name]:.1%} {what})"
            for name in ATTRIBUTES
        ]
        return "kept correctives: " + ", ".join(parts) + self.measured


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


def bytes_each(attribute: str, basis_size: int) -> int:
    """What one kept corrective takes in the avatar file before compression."""
    return WIDTH[attribute] * basis_size * HALF_BYTES + INDEX_BYTES


@torch.no_grad()
def features_of(avatar: Avatar) -> tuple[Int[Tensor, " p"], Int[Tensor, " p"]]:
    """How many features of each part drive attributes, and how many its nodes: those whose row of the network's last
    layer is not all zero (`fewer_features.py`)."""
    used = (avatar.mlp_weights[-1] != 0).any(2) | (avatar.mlp_biases[-1] != 0)
    attributes, nodes = used.chunk(2, 1)
    return attributes.sum(1), nodes.sum(1)


def corrective_bytes(avatar: Avatar) -> dict[str, Int[Tensor, " _kept"]]:
    """`bytes_each` of every corrective, by the features of its part."""
    width, part = features_of(avatar)[0], avatar.get_buffer("part")
    return {k: WIDTH[k] * width[part[avatar.index(k)]] * HALF_BYTES + INDEX_BYTES for k in ATTRIBUTES}


@dataclass(frozen=True)
class Order:
    """All correctives of the three attributes, the one most worth its bytes first."""

    attribute: Int[Tensor, " c"]
    """Row of `ATTRIBUTES`."""
    row: Int[Tensor, " c"]
    """Of that attribute's basis."""
    worth: Float[Tensor, " c"]
    """Score, as a share of the sum over what competes."""
    size: Int[Tensor, " c"]
    """Bytes."""

    def fitting(self, limit: int) -> int:
        """How many from the first on take at most `limit` bytes."""
        return int((self.size.cumsum(0) <= limit).sum())

    def first(self, count: int) -> Kept:
        """The rows among the first `count`."""
        attribute, row = self.attribute[:count], self.row[:count]
        return {name: row[attribute == i].sort().values for i, name in enumerate(ATTRIBUTES)}


def worth_order(
    scores: dict[str, Float[Tensor, " _kept"]], size: dict[str, Int[Tensor, " _kept"]], score: str
) -> Order:
    """By score per byte. Variances of a quaternion, a log scale and a colour have no common unit: there each attribute
    counts by its share of its own sum. The change of the picture has one, and so divides the bytes by image error."""
    total = sum(float(s.double().sum()) for s in scores.values())
    sums = {k: total if score == "image" else float(s.double().sum()) for k, s in scores.items()}
    worth = [scores[k].double() / max(sums[k], 1e-300) for k in ATTRIBUTES]
    per_byte = torch.cat([w / size[k] for k, w in zip(ATTRIBUTES, worth)])
    order = per_byte.argsort(descending=True, stable=True)
    sizes = [len(w) for w in worth]
    attribute = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(order.device)
    row = torch.cat([torch.arange(n, device=order.device) for n in sizes])
    return Order(attribute[order], row[order], torch.cat(worth)[order], torch.cat([size[k] for k in ATTRIBUTES])[order])


def top_of_each(scores: dict[str, Float[Tensor, " _kept"]], count: int) -> Kept:
    """The paper's choice: the best `count` of every attribute on its own."""
    return {name: s.topk(min(count, len(s))).indices.sort().values for name, s in scores.items()}


def fitting_top(scores: dict[str, Float[Tensor, " _kept"]], size: dict[str, Int[Tensor, " _kept"]], room: int) -> Kept:
    """As many of every attribute as fit into so many bytes."""
    taken = [size[k][s.argsort(descending=True, stable=True)].cumsum(0) for k, s in scores.items()]
    shortest = min(len(t) for t in taken)
    return top_of_each(scores, int((torch.stack([t[:shortest] for t in taken]).sum(0) <= room).sum()))


def holding_share(
    scores: dict[str, Float[Tensor, " _kept"]], share: float, size: dict[str, Int[Tensor, " _kept"]], score: str
) -> Kept:
    """The fewest that hold `share`: of each attribute's variance, or of the change of the picture by all three."""
    if score == "image":
        order = worth_order(scores, size, score)
        return order.first(_count_holding(order.worth, share))
    counts = {name: _count_holding(s.double().sort(descending=True).values, share) for name, s in scores.items()}
    return {name: top_of_each({name: s}, counts[name])[name] for name, s in scores.items()}


def _count_holding(descending: Float[Tensor, " c"], share: float) -> int:
    held = descending.cumsum(0)
    return min(int((held < held[-1] * share).sum()) + 1, len(held)) if share > 0 else 0


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest count up to `most` that fits, to within `most / 2^TRIALS`; 0 where none does. `fits` is monotone."""
    if fits(most):
        return most
    low, high = 0, most
    for _ in range(TRIALS):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def choose(
    avatar: Avatar,
    statistics: dict[str, CorrectiveStatistics],
    config: PruningConfig,
    file_bytes: Callable[[Avatar], int] | None = None,
    loss_db: Callable[[Avatar], float] | None = None,
    room: int | None = None,
) -> tuple[Kept, str]:
    """Which correctives stay, and in words what a measured budget came to. Changes nothing.

    Args:
        file_bytes: size of the file that the avatar would be exported to; for that budget.
        loss_db: PSNR over training pictures that an avatar has lost against the one before features were cut; for the
            budget `allowed_loss_db`.
        room: bytes that `keep_count` stands for; None: by the features that the avatar has.

    Errors: `ValueError` unless exactly one budget is set, where the file is larger than `file_bytes` even without any
    corrective, and where a measured budget lacks its measure.
    """
    budget, size = config.budget(), corrective_bytes(avatar)
    scores = {name: statistics[name].score for name in ATTRIBUTES}
    room = config.room(avatar.config.basis_size) if room is None else room
    if room is not None and config.score == "variance":
        return fitting_top(scores, size, room), ""
    if config.keep_share is not None:
        return holding_share(scores, config.keep_share, size, config.score), ""
    order = worth_order(scores, size, config.score)
    if room is not None:
        return order.first(order.fitting(room)), ""

    def trial(count: int) -> Avatar:
        pruned = copy.deepcopy(avatar).eval()  # what is compiled for training belongs to the original
        keep(pruned, statistics, order.first(count), config.fold_mean)
        return pruned

    if config.file_bytes is not None and file_bytes is not None:
        limit, bare = config.file_bytes, file_bytes(trial(0))
        if bare > limit:
            raise ValueError(
                f"pruning.file_bytes is {limit:,}, but the avatar takes {bare:,} bytes with no corrective at all; "
                "allow more, or train fewer Gaussians (--pipeline.model.avatar.num-gaussians)"
            )
        count = _largest(lambda c: file_bytes(trial(c)) <= limit, len(order.row))
        return order.first(count), f"; the file takes {file_bytes(trial(count)):,} of {limit:,} bytes"
    if config.allowed_loss_db is not None and loss_db is not None:
        allowed, every = config.allowed_loss_db, len(order.row)
        dropped = _largest(lambda d: loss_db(trial(every - d)) <= allowed, every)
        kept = order.first(every - dropped)
        said = f"; training pictures lose {loss_db(trial(every - dropped)):.3f} of {allowed:g} dB"
        if config.keep_features is not None:
            said += f", {loss_db(avatar):.3f} by {config.keep_features} features"
        return kept, said
    raise ValueError(f"pruning budget {budget} has to be measured, and no measure was given")


@torch.no_grad()
def prune(
    avatar: Avatar,
    statistics: dict[str, CorrectiveStatistics],
    config: PruningConfig,
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
    file_bytes: Callable[[Avatar], int] | None = None,
    loss_db: Callable[[Avatar], float] | None = None,
    room: int | None = None,
    remark: str = "",
) -> PruningReport:
    """Keep the correctives that the budget allows, fold the mean of the others into the neutral attribute.

    The bases become new, smaller parameters: autograd remembers the shape of a parameter for as long as any graph of
    an earlier step lives. They take the place of the old ones in the param groups of `optimizers` (with their rows of
    Adam's moments) and in `lists` (nerfstudio keeps its own lists of parameters). The report ends with `remark`.
    Errors: as of `choose`.
    """
    kept, measured = choose(avatar, statistics, config, file_bytes, loss_db, room)
    shares = {}
    for name, rows in kept.items():
        score = statistics[name].score
        total = float(score.sum())
        shares[name] = float(score[rows].sum()) / total if total > 0 else 1.0
    keep(avatar, statistics, kept, config.fold_mean, optimizers, lists)
    counts = {name: len(rows) for name, rows in kept.items()}
    return PruningReport(counts, shares, avatar.config.num_gaussians, config.score, measured + remark)


@dataclass(frozen=True)
class Swap:
    """Puts a smaller parameter in an old one's place, wherever somebody holds it."""

    optimizers: list[torch.optim.Optimizer]
    lists: list[list[nn.Parameter]]

    def parameter(
        self, old: nn.Parameter, value: Change, first: Change | None = None, second: Change | None = None
    ) -> nn.Parameter:
        """The new parameter: `value` of the old; `first` and `second` of its first and second moments, `value` where
        not given."""
        new = nn.Parameter(value(old.detach()))
        for optimizer in self.optimizers:
            if old in optimizer.state:
                state = optimizer.state.pop(old)
                moments = [k for k, v in state.items() if torch.is_tensor(v) and v.shape == old.shape]
                changes = {k: (second if "sq" in k else first) or value for k in moments}
                optimizer.state[new] = state | {k: change(state[k]) for k, change in changes.items()}
        for parameters in (*(group["params"] for o in self.optimizers for group in o.param_groups), *self.lists):
            parameters[:] = [new if p is old else p for p in parameters]
        return new


@torch.no_grad()
def keep(
    avatar: Avatar,
    statistics: dict[str, CorrectiveStatistics],
    kept: Kept,
    fold_mean: bool,
    optimizers: Iterable[torch.optim.Optimizer] = (),
    lists: Iterable[list[nn.Parameter]] = (),
) -> None:
    """The surgery of `prune`: only the rows `kept` of each basis stay."""
    swap = Swap(list(optimizers), list(lists))
    for name, rows in kept.items():
        mean = statistics[name].mean
        if fold_mean:
            dropped = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
            dropped[rows] = False
            avatar.neutral(name).data.index_add_(0, avatar.index(name)[dropped], mean[dropped])
        avatar.register_parameter(f"{name}_basis", swap.parameter(avatar.basis(name), lambda x, rows=rows: x[rows]))
        avatar.index(name).data = avatar.index(name)[rows]
    avatar.mark_pruned()
