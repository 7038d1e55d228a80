"""A model file in SMPL's format that is no SMPL: the open body's surface with 24 joints, another origin and another
basis of shapes. So a SMPL fit of the truth is known exactly, and nothing of a licensed model is needed.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import load_body
from tests.layouts.truth import Truth

ORIGIN = np.array([0.01, 0.12, -0.03])
"""How far the surface is from where the open body has it."""
FILE = Path("SMPL_LIKE.npz")


@dataclass(frozen=True)
class SmplFit:
    """The truth's bodies as SMPL has them."""

    pose: np.ndarray
    """[t, 24, 3]; the root relative to the world."""
    transl: np.ndarray
    """[t, 3], smplx's convention: after turning about the pelvis."""
    betas: np.ndarray
    pelvis: np.ndarray
    """[3]: where the unposed body of this shape has its pelvis."""

    def rh_th(self) -> tuple[np.ndarray, np.ndarray]:
        """(`Rh`, `Th`) [t, 3] of `x = Rh x_posed + Th`, posed with the root at rest."""
        turned = Rotation.from_rotvec(self.pose[:, 0]).apply(self.pelvis)
        return self.pose[:, 0], self.pelvis + self.transl - turned


@lru_cache
def _arrays() -> dict[str, np.ndarray]:
    body = load_body("open")
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(10, 10)))[0]
    joints = [*range(22), 28, 43]  # SMPL's rigid hands, about where a middle finger starts
    return {
        "v_template": body.v_template.numpy() + ORIGIN,
        "shapedirs": body.shape_dirs.numpy()[..., :10] @ basis,
        "J_regressor": body.J_regressor.numpy()[joints],
        "basis": basis,
    }


def write_model(folder: Path) -> None:
    """The model file, under `FILE`."""
    np.savez(folder / FILE, **{k: v for k, v in _arrays().items() if k != "basis"})  # pyright: ignore[reportArgumentType]


def smpl_fit(truth: Truth) -> SmplFit:
    """The truth (made with `smpl=True`) in SMPL's terms."""
    body, fit = load_body("open"), truth.fit
    betas = _arrays()["basis"].T @ fit.betas.astype(np.float64)
    own = body.rest(torch.from_numpy(fit.betas))[1][0].numpy().astype(np.float64)
    pose = np.zeros((len(fit.pose), 24, 3))
    pose[:, :22] = fit.pose[:, :22]
    pelvis = own + ORIGIN
    return SmplFit(pose, own + fit.transl - pelvis, betas, pelvis)
