"""A function's value and its gradient as one CUDA graph: the host launches it once instead of kernel by kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

WARM_UPS = 3
"""Calls before recording: they compile, and let the libraries choose their algorithms."""


@dataclass(frozen=True)
class Recording:
    """A graph and the places that it reads and writes."""

    graph: Any
    inputs: list[Tensor]
    value: Tensor
    gradient: Tensor


class ValueAndGradient:
    """`function(x, *constants)`, a scalar, differentiable by `x` once; the gradient is worked out with the value.

    On CUDA the pair is recorded at the first call of each set of shapes and replayed from then on, so the function must
    depend on nothing but its arguments and must not wait for the device. Elsewhere the same is computed directly. All
    recordings share their memory, which stays reserved: results are copied out before the next replay.
    """

    def __init__(self, function: Callable[..., Float[Tensor, ""]]) -> None:
        self.function = function
        self._recordings: dict[tuple[Any, ...], Recording] = {}

    def __call__(self, x: Shaped[Tensor, "*any"], *constants: Tensor) -> Float[Tensor, ""]:
        return _Joint.apply(x, self, *constants)  # pyright: ignore[reportReturnType]

    def both(self, x: Tensor, constants: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Value and gradient by `x`, neither of them attached to a graph of autograd."""
        if x.device.type != "cuda":
            return self._compute([x.detach().requires_grad_(), *constants])
        key = tuple((v.shape, v.dtype, v.device) for v in (x, *constants))
        if key not in self._recordings:
            self._recordings[key] = self._record([x, *constants])
        recording = self._recordings[key]
        for place, value in zip(recording.inputs, (x, *constants)):
            place.detach().copy_(value)
        recording.graph.replay()
        return recording.value.clone(), recording.gradient.clone()

    @torch.enable_grad()
    def _compute(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        value = self.function(*inputs)
        return value.detach(), torch.autograd.grad(value, inputs[0])[0]

    def _record(self, inputs: list[Tensor]) -> Recording:
        places = [v.detach().clone() for v in inputs]
        places[0].requires_grad_()
        side, current = torch.cuda.Stream(places[0].device), torch.cuda.current_stream(places[0].device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._compute(places)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        pool = next((r.graph.pool() for r in self._recordings.values()), None)
        # other threads (pinned memory, NCCL, the viewer) go on calling CUDA meanwhile
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            value, gradient = self._compute(places)
        return Recording(graph, places, value, gradient)


class _Joint(torch.autograd.Function):
    """Computes the gradient in the forward pass and scales it in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, joint: ValueAndGradient, *constants: Tensor) -> Tensor:
        value, gradient = joint.both(x, constants)
        ctx.save_for_backward(gradient)
        ctx.arguments = 2 + len(constants)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, *(None,) * (ctx.arguments - 1)
