"""Rules of the house that a reader of one file cannot see: what may import what, what is banned, how long is long."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import transforms

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_FOLDERS = ("nerfstudio_mobavatar", "dataparsers", "web_export")
CORE = (
    "avatar", "blendshapes", "body_model", "capture", "control_points", "features", "gaussians", "parts", "sampling",
    "skinning", "template", "transforms",
)  # fmt: skip
"""`avatar.py` and everything under it."""
MAX_LINES = 450


def tracked() -> list[Path]:
    """Files of the repository, those not yet committed included, ignored ones not."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    # a file may vanish while git still lists it
    return [ROOT / name for name in listed if name and ((ROOT / name).exists() or (ROOT / name).is_symlink())]


def texts(*suffixes: str) -> Iterator[tuple[str, str]]:
    """Name and text of the tracked files with these suffixes, this file left out."""
    for path in tracked():
        if path.suffix in suffixes and path.is_file() and path != Path(__file__):
            yield str(path.relative_to(ROOT)), path.read_text()


def package_sources() -> Iterator[tuple[str, str]]:
    for name, text in texts(".py"):
        if name.split("/")[0] in PACKAGE_FOLDERS:
            yield name, text


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `statement`."""
    code = f"import json, sys; {statement}; print('MODULES ' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return set(json.loads(result.stdout.split("MODULES ")[-1]))


def tops(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


def module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run at import: functions' bodies and the `__main__` guard are left out, class bodies are not."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"\.cuda\(", "the device comes from the inputs"),
        (r"allow_pickle\s*=\s*True", "a data file must not be able to run code"),
        (r"weights_only\s*=\s*False", "a checkpoint must not be able to run code"),
        (r"/root/|/home/\w+/|/work/|/Users/\w+/", "a path of somebody's machine"),
        (r"\b(TODO|FIXME|XXX)\b", "do it or leave it"),
    ],
)
def test_banned_in_python(pattern: str, why: str) -> None:
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]} ({why})"
        for name, text in texts(".py", ".sh", ".toml", ".md", ".ts", ".wgsl")
        for match in re.finditer(pattern, text)
    ]
    assert not found, "\n".join(found)


def test_imports_do_nothing() -> None:
    """No print, environment read, file access or download while a module is imported."""
    banned = re.compile(
        r"(print|input|open|os\.getenv|os\.environ.*|torch\.(hub\..*|compile|load)|np\.load|requests\..*|.*\.cuda)"
    )
    found = []
    for name, text in package_sources():
        for node in module_level(ast.parse(text)):
            if isinstance(node, ast.Call) and banned.fullmatch(ast.unparse(node.func)):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ":
                found.append(f"{name}:{node.lineno}: os.environ")
    assert not found, "\n".join(found)


def test_no_file_is_too_long() -> None:
    lengths = {name: text.count("\n") for name, text in texts(".py", ".ts", ".wgsl")}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_LINES}


def test_links_stay_inside_and_lead_somewhere() -> None:
    links = [path for path in tracked() if path.is_symlink()]
    assert {path.name for path in links} >= {"dataparsers", "web_export"}
    for path in links:
        target = path.readlink()
        assert not target.is_absolute() and path.exists(), f"{path} -> {target}"
        assert path.resolve().is_relative_to(ROOT), f"{path} -> {target} leaves the repository"


def test_figures_name_no_folder_of_a_machine() -> None:
    for path in sorted((ROOT / "tests" / "bench" / "results").glob("*.json")):
        found = re.findall(r"[\s'\"]/(?:tmp|root|home|mnt|var|dev)/[^\s'\"]*", path.read_text())
        assert not found, f"{path.name}: {found[:3]}; tests.bench.common.command_line() leaves folders out"


def test_registration_is_light() -> None:
    """`ns-train` loads every plugin, whatever method runs: ours must not bring more than nerfstudio brings itself."""
    without_plugins = "import importlib.metadata as m; m.entry_points = lambda **_: m.EntryPoints(())"
    nerfstudio = tops(loaded_by(f"{without_plugins}; import nerfstudio.engine.trainer"))
    ours = tops(loaded_by("import nerfstudio_mobavatar.configs")) - nerfstudio
    assert not ours & {"gsplat", "smplx", "wgpu", "cv2", "trimesh", "open3d", "pymeshlab"}, ours


def test_core_stands_alone() -> None:
    """The avatar runs without nerfstudio, gsplat or the export, in somebody else's training loop."""
    modules = loaded_by("; ".join(f"import nerfstudio_mobavatar.{name}" for name in CORE))
    assert not tops(modules) & {"nerfstudio", "gsplat", "smplx", "wgpu"}
    assert "nerfstudio_mobavatar.web_export" not in modules


def test_nothing_in_the_package_imports_web_export_but_the_front_doors() -> None:
    """Imports point down: the export reads the avatar, never the other way round."""
    allowed = {"cli.py", "convert_pose.py", "ns_export_hook.py"}
    for name, text in package_sources():
        path = Path(name)
        if path.parts[0] == "nerfstudio_mobavatar" and path.name not in allowed and "demo" not in path.parts:
            assert not re.search(r"^\s*(from|import) \S*web_export", text, re.MULTILINE), name


def test_avatar_file_needs_numpy_only() -> None:
    modules = tops(loaded_by("import nerfstudio_mobavatar.web_export.bundle"))
    assert "numpy" in modules
    assert not modules & {"torch", "nerfstudio", "scipy", "cv2", "jaxtyping", "wgpu", "PIL"}


def test_only_render_imports_gsplat() -> None:
    users = {name for name, text in package_sources() if re.search(r"^\s*(from|import) gsplat\b", text, re.MULTILINE)}
    assert users <= {"nerfstudio_mobavatar/render.py"}


def test_shapes_are_checked() -> None:
    """The tests' shape checking checks: without the hook these calls fail later, with another error, or not at all."""
    import jaxtyping

    with pytest.raises(jaxtyping.TypeCheckError):
        transforms.quat_to_rotmat(torch.zeros(5, 3))
    with pytest.raises(jaxtyping.TypeCheckError):
        transforms.quat_to_rotmat(np.zeros((5, 4)))  # pyright: ignore[reportArgumentType]
