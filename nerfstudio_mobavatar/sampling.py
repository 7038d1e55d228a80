"""Point sampling on meshes and nearest neighbours: numpy/scipy on the host, used once when an avatar is created."""

import heapq

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.spatial import KDTree


def sample_surface(
    vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"], count: int, rng: np.random.Generator
) -> tuple[Int[ndarray, " n"], Float[ndarray, "n 3"]]:
    """`count` points uniform by area: the face of each and its barycentric coordinates."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not area.sum() > 0:
        raise ValueError(f"cannot sample a mesh of {len(faces)} faces whose total area is {area.sum()}")
    face = np.searchsorted(np.cumsum(area / area.sum()), rng.random(count)).clip(max=len(faces) - 1)
    u, v = rng.random((2, count))
    root = np.sqrt(u)
    return face, np.stack([1 - root, root * (1 - v), root * v], 1)


def interpolate(values: Float[ndarray, "v c"], corners: Int[ndarray, "n 3"], bary: Float[ndarray, "n 3"]) -> ndarray:
    """[n, c] per-vertex values at barycentric points; `corners` are the three vertices of each point's face."""
    return np.einsum("nk,nkc->nc", bary, values[corners])


def poisson_disk(points: Float[ndarray, "n 3"], count: int) -> Int[ndarray, " m"]:
    """Exactly `count` of `points`, spread evenly: weighted sample elimination (Yuksel 2015, alpha 8).

    Every point weighs the sum of `(1 - d / 2r)^8` over its neighbours; the heaviest goes first until `count` are left.
    `r` is the radius of the densest packing on the surface that the points cover, estimated from their own spacing.
    """
    n = len(points)
    if count > n:
        raise ValueError(f"asked for {count} well-spread points out of only {n}; sample more or ask for fewer parts")
    if count == n:
        return np.arange(n)
    tree = KDTree(points)
    # uniform random points have a mean nearest distance of 0.5 * sqrt(area / n)
    nearest = tree.query(points, k=2)[0][:, 1].mean()
    area = 4.0 * n * nearest**2
    radius = np.sqrt(area / (2 * np.sqrt(3) * count))
    pairs = tree.query_pairs(2 * radius, output_type="ndarray")
    weight = (1 - np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) / (2 * radius)) ** 8
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for (i, j), w in zip(pairs.tolist(), weight.tolist()):
        neighbours[i].append((j, w))
        neighbours[j].append((i, w))
    load = np.array([sum(w for _, w in near) for near in neighbours])
    heap = [(-w, i) for i, w in enumerate(load.tolist())]
    heapq.heapify(heap)
    alive = np.ones(n, bool)
    left = n
    while left > count:
        w, i = heapq.heappop(heap)
        if not alive[i] or -w != load[i]:
            continue  # removed, or its weight has dropped since this entry was pushed
        alive[i] = False
        left -= 1
        for j, share in neighbours[i]:
            if alive[j]:
                load[j] -= share
                heapq.heappush(heap, (-load[j], j))
    return np.flatnonzero(alive)


def nearest(points: Float[ndarray, "n 3"], targets: Float[ndarray, "m 3"], k: int) -> tuple[ndarray, ndarray]:
    """Distances and indices, both [n, k], of the `k` nearest targets of every point, closest first."""
    if k > len(targets):
        raise ValueError(f"asked for the {k} nearest of only {len(targets)} points")
    distance, index = KDTree(targets).query(points, k=k)
    return distance.reshape(len(points), k), index.reshape(len(points), k)


def morton_order(points: Float[ndarray, "n 3"]) -> Int[ndarray, " n"]:
    """Permutation along a 3D Z-order curve of 10 bits an axis: neighbours in space stay neighbours."""
    low, high = points.min(0), points.max(0)
    cell = ((points - low) / np.maximum(high - low, 1e-9) * 1023).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
