"""A shader that naga cannot digest may abort the process: shaders are compiled once in a process of their own first."""

import subprocess
import sys

import pytest

from nerfstudio_mobavatar.web_export.wgpu_device import NO_ADAPTER

PROBE = """
from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.wgpu_renderer import WgpuRenderer
from tests.synthetic_avatar import SyntheticAvatar
WgpuRenderer(bundle.encode(SyntheticAvatar(100, 3, 9, 10).build()))
"""


@pytest.fixture(scope="session")
def gpu() -> None:
    """Skips where there is no adapter, fails where the shaders do not compile."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=300)
    if NO_ADAPTER in done.stderr:
        pytest.skip(NO_ADAPTER)
    assert done.returncode == 0, f"compiling the shaders ended with {done.returncode}:\n{done.stderr[-3000:]}"
