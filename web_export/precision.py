"""How finely an avatar file stores what it holds: presets, and the ladder that a size limit is searched on."""

from dataclasses import dataclass, fields
from typing import Literal

Quality = Literal["high", "balanced", "small"]


@dataclass(frozen=True)
class Precision:
    """Steps of everything that is rounded. Steps of correctives are in units of what they are added to, as an image
    sees them: bases are rotated and scaled first so that every coefficient counts by its size (`whiten.py`)."""

    position_m: float
    """Grid of the canonical positions, metres; at least 1/65535 of the box."""
    rotation: float
    """Step of the three smaller components of the unit quaternion."""
    log_scale: float
    """Step of the logarithm of the standard deviations."""
    color: float
    """Step of the colour, of 0..1."""
    opacity_levels: int
    """A divisor of 65535."""
    node_weight_levels: int
    """A divisor of 65535."""
    skin_weight_levels: int
    """A divisor of 255."""
    rotation_corrective: float
    scale_corrective: float
    color_corrective: float
    node_corrective_m: float
    """Metres."""
    mlp_bits: int
    """Bits of a network weight, one scale per row."""


HIGH = Precision(0.0, 2**-11, 2**-8, 2**-10, 65535, 65535, 255, 2**-13, 2**-12, 2**-12, 4e-6, 12)
PRESETS: dict[Quality, Precision] = {
    "high": HIGH,
    "balanced": Precision(2e-4, 1 / 64, 0.06, 1 / 160, 85, 51, 255, 0.004, 0.01, 0.004, 1e-4, 8),
    "small": Precision(6e-4, 1 / 20, 0.18, 1 / 56, 51, 15, 85, 0.016, 0.04, 0.016, 4e-4, 6),
}

_FINEST_M = 2e-5
"""About what the grid of positions has where no step is asked for, metres."""
_OPACITY, _NODE, _SKIN = (65535, 257, 85, 51, 15), (65535, 255, 51, 15), (255, 85, 51)


def _coarser(p: Precision, factor: float) -> Precision:
    """All steps times `factor`, at least a factor of 1."""

    def levels(n: int, choices: tuple[int, ...]) -> int:
        return next((c for c in choices if c <= n / factor), choices[-1])

    return Precision(
        position_m=p.position_m * factor,
        rotation=min(p.rotation * factor, 1 / 16),
        log_scale=p.log_scale * factor,
        color=p.color * factor,
        opacity_levels=levels(p.opacity_levels, _OPACITY),
        node_weight_levels=levels(p.node_weight_levels, _NODE),
        skin_weight_levels=levels(p.skin_weight_levels, _SKIN),
        rotation_corrective=p.rotation_corrective * factor,
        scale_corrective=p.scale_corrective * factor,
        color_corrective=p.color_corrective * factor,
        node_corrective_m=p.node_corrective_m * factor,
        mlp_bits=max(4, p.mlp_bits - (factor >= 2)),
    )


def between(fine: Precision, coarse: Precision, t: float) -> Precision:
    """The precision at `t` of the way, 0..1: steps as powers of each other; what has levels or bits takes its coarser
    ones at different places, so that no two jumps in size fall together."""

    def step(name: str) -> float:
        a, b = (max(getattr(p, name), _FINEST_M if name == "position_m" else 0.0) for p in (fine, coarse))
        return a * (b / a) ** t if t < 1 else b

    bits = fine.mlp_bits - coarse.mlp_bits
    return Precision(
        **{field.name: step(field.name) for field in fields(Precision) if field.type is float},
        opacity_levels=(coarse if t >= 0.2 else fine).opacity_levels,
        node_weight_levels=(coarse if t >= 0.4 else fine).node_weight_levels,
        skin_weight_levels=(coarse if t >= 0.8 else fine).skin_weight_levels,
        mlp_bits=fine.mlp_bits - min(bits, int(t * (bits + 1))),
    )


def name_of(steps: dict[str, float], shares: dict[str, int]) -> str | None:
    """The preset, or rung of the ladder, whose steps a header has; None where it is neither."""
    for name, p in ladder():
        own = (p.rotation, p.log_scale, p.color, p.rotation_corrective, p.scale_corrective, p.color_corrective)
        levels = (p.opacity_levels, p.node_weight_levels, p.skin_weight_levels)
        keys = ("rotation", "log_scale", "color", "rotation_basis", "scale_basis", "color_basis")
        if own == tuple(steps[key] for key in keys) and levels == tuple(shares.values()):
            return name
    return None


def ladder() -> list[tuple[str, Precision]]:
    """Names and precisions from the finest to the coarsest; `--max-bytes` looks for the first that fits."""
    balanced, small = PRESETS["balanced"], PRESETS["small"]
    fine = Precision(1e-4, 1 / 256, 0.015, 1 / 400, 257, 255, 255, 0.001, 0.003, 0.001, 3e-5, 9)
    coarse = [(f"small / {f:g}", _coarser(small, f)) for f in (1.4, 2.0, 2.8, 4.0)]
    between = Precision(3e-4, 1 / 48, 0.09, 1 / 112, 51, 15, 85, 0.007, 0.017, 0.007, 1.7e-4, 7)
    return [
        ("high", HIGH),
        ("balanced x 4", fine),
        ("balanced", balanced),
        ("between balanced and small", between),
        ("small", small),
        *coarse,
    ]
