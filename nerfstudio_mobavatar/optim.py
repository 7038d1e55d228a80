"""Optimiser and schedule settings that nerfstudio lacks: fused Adam, and a decay that follows the length of the run."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from nerfstudio.engine.optimizers import OptimizerConfig, Optimizers
from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from .saved_config import SavedConfig
from .step_watch import not_finite


@dataclass
class FusedAdamConfig(SavedConfig, OptimizerConfig):
    """Adam in one kernel per group, on CPU and CUDA alike."""

    _target: type = torch.optim.Adam
    eps: float = 1e-15
    """Added to the denominator; far below the second moments of splat gradients."""
    fused: bool = True
    """One fused kernel instead of one per tensor operation."""


class SafeOptimizers(Optimizers):
    """nerfstudio's optimisers, none of which moves in a step with a gradient that is not finite.

    The verdict stays on the device: fused Adam takes it as a tensor, the way a gradient scaler tells it.
    """

    skipped: Tensor | None = None
    """1 if the last step was left out, else 0."""
    steps_per_log: int = 1
    """Steps between two entries of the learning rates in the log: writing one takes longer than a kernel."""

    def zero_grad_some(self, param_groups: list[str]) -> None:
        """nerfstudio's, without the rounds that each of torch's optimisers makes."""
        for name in param_groups:
            for parameter in self.parameters[name]:
                parameter.grad = None

    def optimizer_scaler_step_some(self, grad_scaler: GradScaler, param_groups: list[str]) -> None:
        optimizers = {name: self.optimizers[name] for name in param_groups}
        if not grad_scaler.is_enabled():  # an enabled one looks for itself
            gradients = [p.grad for o in optimizers.values() for p in _parameters(o) if p.grad is not None]
            self.skipped = not_finite(gradients)
            together = [name for name, o in optimizers.items() if self._can_step_together(name, o)]
            step_together([optimizers.pop(name) for name in together], self.skipped)
            for optimizer in optimizers.values():
                if optimizer.defaults.get("fused"):
                    optimizer.found_inf = self.skipped
        super().optimizer_scaler_step_some(grad_scaler, list(optimizers))  # pyright: ignore[reportArgumentType]

    def _can_step_together(self, name: str, optimizer: torch.optim.Optimizer) -> bool:
        """Plain fused Adam that has taken its first step, which makes its moments."""
        if type(optimizer) is not torch.optim.Adam or self.config[name]["optimizer"].max_norm is not None:
            return False
        made = all(p in optimizer.state for p in _parameters(optimizer) if p.grad is not None)
        return made and bool(optimizer.defaults["fused"]) and not optimizer.defaults["amsgrad"]

    def scheduler_step_all(self, step: int) -> None:
        if step % self.steps_per_log == 0:
            super().scheduler_step_all(step)
            return
        for scheduler in self.schedulers.values():
            scheduler.step()


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@torch.no_grad()
def step_together(optimizers: list[torch.optim.Adam], skipped: Float[Tensor, ""]) -> None:
    """What `step` of each does: to call nine takes a host longer than a GPU needs for all of their kernels.

    Fused, without `amsgrad`, moments made; all on one device. Where `skipped` is 1 nothing moves.
    """
    counters: list[Tensor] = []
    updates: list[tuple[dict[str, Any], list[list[Tensor]]]] = []
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            states = [optimizer.state[p] for p in parameters]
            steps = [s["step"] for s in states]
            counters += steps
            moments = ([s[name] for s in states] for name in ("exp_avg", "exp_avg_sq"))
            updates.append((group, [parameters, [p.grad for p in parameters], *moments, [], steps]))
    if not counters:
        return
    torch._foreach_add_(counters, 1)  # pyright: ignore[reportPrivateImportUsage]
    for group, (parameters, *tensors) in updates:
        if not parameters:
            continue
        torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]
            parameters,
            *tensors,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
            found_inf=skipped,
        )
    torch._foreach_sub_(counters, [skipped] * len(counters))  # pyright: ignore[reportPrivateImportUsage]


@dataclass
class DecaySchedulerConfig(SavedConfig, SchedulerConfig):
    """Decay from the initial rate to `final_factor` times it."""

    _target: type = field(default_factory=lambda: DecayScheduler)
    final_factor: float = 0.1
    """Rate at the end of the run as a multiple of the rate at its start."""
    max_steps: int | None = None
    """Steps over which to decay; None takes the trainer's max_num_iterations."""
    shape: Literal["exponential", "cosine"] = "exponential"
    """By the same factor in every step, or along half a cosine: high for longer, then down at once."""
    after_pruning: float = 1.0
    """Multiple of the rate from pruning on: what is kept has to learn the part of what is gone."""
    pruned_at: float | None = None
    """Share of the run (0..1) at which it is pruned; None takes the model's `prune_fraction`, and nothing in a run
    without pruning."""


class DecayScheduler(Scheduler):
    """Multiplies the rate by `decayed` of the share of the run that is over.

    nerfstudio's own exponential decay leaves numpy scalars in its state, which torch refuses to load with
    `weights_only=True`; this one keeps Python floats.
    """

    config: DecaySchedulerConfig

    def get_scheduler(self, optimizer: torch.optim.Optimizer, lr_init: float) -> LRScheduler:
        steps = self.config.max_steps
        if steps is None:
            raise ValueError("max_steps of the decay is not set; train through MobavatarTrainer, which sets it")
        final, shape, again, at = (
            self.config.final_factor, self.config.shape, self.config.after_pruning, self.config.pruned_at
        )  # fmt: skip
        pruned = steps + 1 if at is None else round(at * steps)

        def factor(step: int) -> float:
            return (again if step >= pruned else 1.0) * decayed(shape, final, min(step / max(steps, 1), 1.0))

        return LambdaLR(optimizer, factor)


def decayed(shape: Literal["exponential", "cosine"], final_factor: float, progress: float) -> float:
    """Multiple of the initial rate after a share `progress` (0..1) of the run: 1 at first, `final_factor` at last."""
    if shape == "cosine":
        return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * progress))
    return final_factor**progress
