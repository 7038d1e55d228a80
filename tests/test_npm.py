"""The npm package: packed, installed into a plain page and into a fresh Vite project, it draws an avatar in both."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from nerfstudio_mobavatar import serve
from nerfstudio_mobavatar.web_export import bundle, pose_sequence

from .browser import NO_CHROMIUM, avatar_page, browser, chromium
from .synthetic_avatar import SyntheticAvatar, walking_pose

VIEWER = Path(bundle.__file__).parent / "viewer"
SECONDS = 240
ELEMENT = '<mobile-avatar src="avatar.mobavatar" motion="motion.pose.json" autoplay></mobile-avatar>'
VITE = "8.3.8"

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM),
    pytest.mark.skipif(
        not (VIEWER / "node_modules").is_dir(), reason="the viewer's packages are not installed (npm ci)"
    ),
]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm")
    done = run("npm", "pack", "--pack-destination", str(folder), cwd=VIEWER)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(folder.glob("mobile-avatar-*.tgz"))


def add_avatar(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    (folder / "avatar.mobavatar").write_bytes(bundle.encode(arrays))
    pose_sequence.write(folder / "motion.pose.json", [walking_pose(x) for x in (0.0, 1.0)], [0, 1])


def assert_draws(folder: Path) -> None:
    """The page in `folder` shows the person."""
    with browser() as opened, serve.running(folder) as url, avatar_page(opened, url, 160, 120) as tab:
        info = tab.page.evaluate("() => document.querySelector('mobile-avatar').ready")
        assert info["numGaussians"] == 400 and info["frames"] == 2
        assert tab.errors == []


def test_tarball_holds_modules_types_and_nothing_else(tarball: Path) -> None:
    listed = run("tar", "tzf", str(tarball), cwd=tarball.parent).stdout.split()
    names = {name.removeprefix("package/") for name in listed}
    modules = {f"package/{name}.{ending}" for name in ("mobile-avatar", "core") for ending in ("js", "d.ts")}
    assert names == modules | {"package.json", "README.md", "package/api.d.ts", "package/LICENSE"}


def test_plain_html_page(tarball: Path, tmp_path: Path) -> None:
    """No bundler: the unpacked module and a script tag."""
    assert run("tar", "xzf", str(tarball), cwd=tmp_path).returncode == 0
    add_avatar(tmp_path)
    script = '<script type="module" src="package/package/mobile-avatar.js"></script>'
    (tmp_path / "index.html").write_text(f'<!doctype html><link rel="icon" href="data:,">{ELEMENT}{script}')
    assert_draws(tmp_path)


def test_fresh_vite_project(tarball: Path, tmp_path: Path) -> None:
    """Installed as its users do, type-checked, built by Vite."""
    (tmp_path / "package.json").write_text(json.dumps({"name": "page", "private": True, "type": "module"}))
    wanted = (f"vite@{VITE}", "typescript@7.0.2", "@webgpu/types@0.1.74")
    done = run("npm", "install", "--no-audit", "--no-fund", str(tarball), *wanted, cwd=tmp_path)
    if done.returncode != 0 and any(code in done.stderr for code in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED")):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr[-2000:]
    add_avatar(tmp_path / "public")
    (tmp_path / "index.html").write_text(
        f'<!doctype html><link rel="icon" href="data:,">{ELEMENT}<script type="module" src="/main.ts"></script>'
    )
    (tmp_path / "main.ts").write_text(
        'import { support } from "mobile-avatar";\nimport { createScene, type Scene } from "mobile-avatar/core";\n'
        "const open: (canvas: HTMLCanvasElement) => Promise<Scene> = createScene;\n"
        'const element = document.querySelector("mobile-avatar")!;\n'
        "Object.assign(window, { open, frames: () => element.ready.then((info) => info.frames), support });\n"
    )
    options = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"]
    checked = run("node_modules/.bin/tsc", *options, "--lib", "es2023,dom", "main.ts", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    built = run("node_modules/.bin/vite", "build", cwd=tmp_path)
    assert built.returncode == 0, built.stderr[-2000:]
    shutil.rmtree(tmp_path / "node_modules")
    assert_draws(tmp_path / "dist")
