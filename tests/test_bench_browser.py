"""The comparison with other viewers gives them the same splats as ours has, in their own layout."""

import numpy as np
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.web_export import bundle, evaluate

from .bench import browser
from .synthetic_avatar import SyntheticAvatar, walking_pose


def test_splat_file_holds_the_posed_avatar() -> None:
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    posed = evaluate.evaluate(bundle.decode(bundle.encode(arrays)), walking_pose(0.5))
    header, _, data = browser.ply(posed).partition(b"end_header\n")
    names = [line.split()[2].decode() for line in header.splitlines() if line.startswith(b"property float")]
    table = dict(zip(names, np.frombuffer(data, "<f4").reshape(400, len(names)).T.astype(np.float64), strict=True))

    def columns(*wanted: str) -> np.ndarray:
        return np.stack([table[name] for name in wanted], -1)

    np.testing.assert_allclose(columns("x", "y", "z"), posed.mean, rtol=1e-6)
    wxyz = columns("rot_0", "rot_1", "rot_2", "rot_3")
    R = Rotation.from_quat(np.roll(wxyz, -1, axis=1)).as_matrix()
    scale = np.exp(columns("scale_0", "scale_1", "scale_2"))
    np.testing.assert_allclose((R * scale[:, None] ** 2) @ R.swapaxes(1, 2), posed.covariance, rtol=1e-3, atol=1e-9)
    color = 0.5 + browser.SH_C0 * columns("f_dc_0", "f_dc_1", "f_dc_2")
    np.testing.assert_allclose(color, posed.color, atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-table["opacity"])), posed.opacity.ravel(), atol=2e-4)
