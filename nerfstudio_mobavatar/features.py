"""Local pose features: one small MLP per part, all parts as one batched product (method steps 1 and 2)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

NUM_POSE_INPUTS = 63
"""Axis-angle of joints 1..21."""
NUM_EXPRESSIONS = 10
NUM_INPUTS = NUM_POSE_INPUTS + NUM_EXPRESSIONS
LEAKY_SLOPE = 0.01


def pose_inputs(pose: Float[Tensor, "*b 55 3"], expression: Float[Tensor, "*b e"]) -> Float[Tensor, "*b 73"]:
    """The 63 body angles and ten expression coefficients (zero-filled or cut to ten), of one pose or many."""
    used = expression[..., :NUM_EXPRESSIONS]
    used = torch.nn.functional.pad(used, (0, NUM_EXPRESSIONS - used.shape[-1]))
    return torch.cat([pose[..., 1:22, :].flatten(-2), used], -1)


def init_layers(
    parts: int, sizes: Sequence[int], generator: torch.Generator
) -> tuple[list[Float[Tensor, "p _ _"]], list[Float[Tensor, "p _"]]]:
    """He-initialised weights [P, out, in] and zero biases [P, out] of every layer of every part."""
    weights, biases = [], []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
        weights.append(torch.randn(parts, fan_out, fan_in, generator=generator) * math.sqrt(2 / fan_in))
        biases.append(torch.zeros(parts, fan_out))
    return weights, biases


def local_features(
    x: Float[Tensor, " 73"],
    weights: Sequence[Float[Tensor, "p _ _"]],
    biases: Sequence[Float[Tensor, "p _"]],
    num_head_parts: int,
) -> Float[Tensor, "p features"]:
    """`e[p] = MLP_p(x)`: [P, 2K]. Leaky ReLU between layers, none after the last.

    Parts from `num_head_parts` on (head parts are stored first) see zeros in place of the expression, so that a smile
    cannot move a sleeve.
    """
    parts = len(weights[0])
    h = x.expand(parts, -1)
    no_face = torch.cat([x[:NUM_POSE_INPUTS], torch.zeros_like(x[NUM_POSE_INPUTS:])])
    is_head = torch.arange(parts, device=x.device)[:, None] < num_head_parts
    h = torch.where(is_head, h, no_face)[..., None]
    for i, (w, b) in enumerate(zip(weights, biases)):
        h = torch.baddbmm(b[..., None], w, h)
        if i + 1 < len(weights):
            h = torch.nn.functional.leaky_relu(h, LEAKY_SLOPE)
    return h[..., 0]
