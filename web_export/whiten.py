"""Bases and networks rewritten so that rounding costs little: the same avatar in coordinates that suit a file.

The last layer of a part network is linear, so any invertible matrix `A` of a part can move from one side of
`basis @ e` to the other: `(basis A^-1) @ (A e)`. `A` is chosen such that rounding errors of every coefficient count the
same in the picture, and that the fewest coefficients matter: features are whitened over poses (`C = E[e e^T]`), then
rotated to the principal axes of the whitened bases (the Karhunen-Loeve transform of transform coding).
"""

from dataclasses import dataclass, replace

import numpy as np

from .arrays import AvatarArrays
from .evaluate import features

_JITTER = 0.1
"""Radians (and units of expression): poses near the given ones count a little, so that nothing that only they need is
rounded away."""
_REGULAR = 1e-2
"""Share of the mean variance that is added to every feature's."""
_LARGEST = 1e3
"""Of what whitening may make of a number of the last layer: files hold half precision. It matters where features hardly
vary over the samples, as in a capture whose pose never changes."""


def pose_samples(a: AvatarArrays, inputs: np.ndarray | None, count: int = 128) -> np.ndarray:
    """[S, inputs] network inputs to weigh errors over: at most `count` of the given ones (training poses) and as many
    near them. Without any, poses at random: within the trained range if there is one, else half a radian about rest."""
    rng = np.random.default_rng(0)
    size = a.layer_sizes[0]
    if inputs is None or len(inputs) == 0:
        low, high = a.input_range if a.input_range is not None else (-0.5, 0.5)
        chosen = rng.uniform(low, high, (count, size))
    else:
        chosen = inputs[np.linspace(0, len(inputs) - 1, min(count, len(inputs))).round().astype(int)]
    near = chosen + rng.normal(0, _JITTER, chosen.shape)
    samples = np.concatenate([chosen, near])
    return samples if a.input_range is None else samples.clip(*a.input_range)


def _axes(
    cov: np.ndarray, bases: list[tuple[np.ndarray, np.ndarray, float]], layer: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`(S, A)`, both [P, K, K]: `basis @ S` are the coefficients to store, `A = S^-1` goes into the networks.

    `bases` are (basis [n, a, K], part [n], step) of everything that these features drive, `layer` [P, K, in + 1] the
    weights and biases that make them; no number of `A @ layer` exceeds `_LARGEST`.
    """
    k = cov.shape[1]
    mean = np.trace(cov, axis1=1, axis2=2)[:, None, None] / k
    floor = _REGULAR * (mean + 1e-2 * mean.mean()) + 1e-12
    floor = np.maximum(floor, (np.linalg.norm(layer, axis=(1, 2))[:, None, None] / _LARGEST) ** 2)
    w, v = np.linalg.eigh(cov + floor * np.eye(k))
    root, inverse = ((v * np.sqrt(w) ** sign) @ v.transpose(0, 2, 1) for w, sign in ((w[:, None], 1), (w[:, None], -1)))
    energy = np.zeros_like(cov)
    for basis, part, step in bases:
        rooted = np.einsum("nak,nkl->nal", basis / step, root[part])
        np.add.at(energy, part, np.einsum("nak,nal->nkl", rooted, rooted))
    axes = np.linalg.eigh(energy)[1][:, :, ::-1]
    return root @ axes, axes.transpose(0, 2, 1) @ inverse


@dataclass(frozen=True)
class CorrectiveSteps:
    """Steps of the four bases, in units of what they are added to."""

    rotation: float
    scale: float
    color: float
    node: float


def whiten(a: AvatarArrays, samples: np.ndarray, steps: CorrectiveSteps) -> AvatarArrays:
    """The same avatar with whitened bases; quaternions of unit length whose largest number is positive."""
    a = _unit_quaternions(a)
    k = a.basis_size
    e = np.stack([features(a, x) for x in samples]).astype(np.float64)
    parts = {name: a.part[getattr(a, f"{name}_index")] for name in ("rotation", "scale", "color")}
    attributes = [(getattr(a, f"{name}_basis"), parts[name], getattr(steps, name)) for name in parts]
    cov = [np.einsum("tpk,tpl->pkl", f, f) / len(f) for f in (e[..., :k], e[..., k:])]
    layer = np.concatenate([a.mlp_weights[-1], a.mlp_biases[-1][..., None]], 2).astype(np.float64)
    store, into = _axes(cov[0], attributes, layer[:, :k])
    store_node, into_node = _axes(cov[1], [(a.node_basis, a.node_part, steps.node)], layer[:, k:])
    both = np.zeros((len(store), 2 * k, 2 * k))
    both[:, :k, :k], both[:, k:, k:] = into, into_node
    return replace(
        a,
        **{f"{n}_basis": np.einsum("nak,nkl->nal", getattr(a, f"{n}_basis"), store[p]) for n, p in parts.items()},
        node_basis=np.einsum("nak,nkl->nal", a.node_basis, store_node[a.node_part]),
        mlp_weights=(*a.mlp_weights[:-1], both @ a.mlp_weights[-1]),
        mlp_biases=(*a.mlp_biases[:-1], np.einsum("pkl,pl->pk", both, a.mlp_biases[-1])),
    )


def _unit_quaternions(a: AvatarArrays) -> AvatarArrays:
    """`q + B e` is normalised before use, so both may be divided by the length of `q`, and change sign."""
    q = a.rotation.astype(np.float64)
    largest = np.take_along_axis(q, np.abs(q).argmax(1)[:, None], 1)
    factor = np.sign(largest) / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
    basis = a.rotation_basis * factor[a.rotation_index][:, :, None]
    return replace(a, rotation=q * factor, rotation_basis=basis)


def plain_networks(a: AvatarArrays) -> AvatarArrays:
    """Columns that no input reaches become zeros, which take no room: the expression of parts outside the head, and
    inputs that the trained range holds at one value, which go into the bias."""
    weights, biases = a.mlp_weights[0].astype(np.float64), a.mlp_biases[0].astype(np.float64)
    weights[a.num_head_parts :, :, a.num_pose_inputs :] = 0
    if a.input_range is not None:
        fixed = np.flatnonzero(a.input_range[0] == a.input_range[1])
        biases += weights[:, :, fixed] @ a.input_range[0, fixed]
        weights[:, :, fixed] = 0
    return replace(a, mlp_weights=(weights, *a.mlp_weights[1:]), mlp_biases=(biases, *a.mlp_biases[1:]))


def row_scales(weights: np.ndarray, bits: int) -> np.ndarray:
    """[P, out] step of each row of a layer's weights [P, out, in], a number of half precision."""
    scale = np.abs(weights).max(2) / (2 ** (bits - 1) - 1)
    return np.maximum(scale, 2.0**-24).astype(np.float32).astype(np.float16).astype(np.float64)


def round_networks(a: AvatarArrays, samples: np.ndarray, bits: int) -> tuple[list[np.ndarray], list[np.ndarray], list]:
    """Per layer: integers [P, out, in], scales [P, out] (half precision values), biases [P, out].

    Weights are rounded to `bits` bits, one scale per row. Biases take up the mean error over the samples.
    """
    x = np.repeat(samples[:, None].astype(np.float64), len(a.mlp_weights[0]), 1)
    x[:, a.num_head_parts :, a.num_pose_inputs :] = 0
    exact = rounded = x
    integers, scales, biases = [], [], []
    for i, (w, b) in enumerate(zip(a.mlp_weights, a.mlp_biases)):
        scale = row_scales(w, bits)
        limit = 2 ** (bits - 1)
        q = np.rint(w / scale[..., None]).clip(-limit, limit - 1).astype(np.int64)
        exact = np.einsum("poi,tpi->tpo", w, exact) + b
        rounded = np.einsum("poi,tpi->tpo", q * scale[..., None], rounded)
        bias = (exact - rounded).mean(0)
        rounded = rounded + bias
        integers.append(q)
        scales.append(scale)
        biases.append(bias)
        if i + 1 < len(a.mlp_weights):
            exact, rounded = (np.where(h > 0, h, 0.01 * h) for h in (exact, rounded))
    return integers, scales, biases
