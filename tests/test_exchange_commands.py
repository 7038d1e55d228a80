"""`mobavatar convert` and `mobavatar info`: by ending, with a reason where it does not go, without torch."""

import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import plyfile
import pytest

from nerfstudio_mobavatar import cli
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.detail import Level
from nerfstudio_mobavatar.web_export.evaluate import evaluate
from nerfstudio_mobavatar.web_export.exchange import convert, splats
from nerfstudio_mobavatar.web_export.exchange.source import rest_pose
from tests.exchange_readers import gaussians_of_gltf, load_glb
from tests.synthetic_avatar import SyntheticAvatar, walking_pose
from tests.test_house_rules import loaded_by, tops

PHASES = (0.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ns-export mobavatar` leaves, as far as the commands look; the world's z axis points up."""
    folder = tmp_path_factory.mktemp("page") / "site"
    folder.mkdir()
    avatar = SyntheticAvatar(num_gaussians=300, num_parts=8, num_nodes=30, num_kept=40).build()
    meta = avatar.meta | {"up": [0.0, 0.0, 1.0], "fps": 12.5, "license": "Ada's own", "body_license": "no body"}
    limits = np.stack([np.full(73, -0.5), np.full(73, 0.5)])
    limits[1, 3 * 17] = np.deg2rad(120)  # joint 18, x
    levels = (Level(100, 1.5, 200.0),)
    avatar = replace(avatar, meta=meta, input_range=limits, levels=levels, pixels_per_metre=900.0)
    (folder / "avatar.mobavatar").write_bytes(bundle.encode(avatar))
    pose_sequence.write(folder / "motion.pose.json", [walking_pose(x) for x in PHASES], range(3))
    (folder / "motions.json").write_text(json.dumps([{"name": "a", "file": "motion.pose.json", "fps": 12.5}]))
    return folder


def mobavatar(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str | None:
    """The message with which the command ends, None where all went well."""
    monkeypatch.setattr(sys, "argv", ["mobavatar", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        assert isinstance(end.code, str)
        return end.code.removeprefix("mobavatar: ")
    return None


def ply_means(path: Path) -> np.ndarray:
    vertex = plyfile.PlyData.read(path)["vertex"]
    return np.stack([vertex["x"], vertex["y"], vertex["z"]], 1)


@pytest.mark.parametrize("ending", [ending for ending in convert.TARGETS if ending != convert.FOLDER])
def test_every_ending_is_written_by_its_format(ending: str, page: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    target = tmp_path / f"a{ending}"
    assert mobavatar(monkeypatch, "convert", page, target) is None
    out = capsys.readouterr().out
    assert out.startswith(f"{target}: ") and "licence: Ada's own | no body" in out
    magic = {".mobavatar": b"MOBAVATR", ".npz": b"PK", ".pose.json": b'[{"frame_id"', ".ply": b"ply\n",
             ".pose.bin": b"MOBAPOSE", ".spz": b"\x1f\x8b", ".sog": b"PK", ".glb": b"glTF"}  # fmt: skip
    assert target.read_bytes().startswith(magic[ending])
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_frames_poses_and_axes_are_those_that_were_asked_for(page: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    avatar = bundle.load(page / "avatar.mobavatar")
    second, other = walking_pose(PHASES[1]), walking_pose(2.5)
    pose_sequence.write(tmp_path / "other.pose.json", [other], [0])
    down = splats.upright(np.array([0.0, 0.0, 1.0]), "y-down")
    cases = {
        ("--frame", "1"): evaluate(avatar, second).mean @ down.T,
        ("--pose", str(tmp_path / "other.pose.json")): evaluate(avatar, other).mean @ down.T,
        ("--frame", "1", "--axes", "world"): evaluate(avatar, second).mean,
    }
    for flags, expected in cases.items():
        assert mobavatar(monkeypatch, "convert", page, tmp_path / "a.ply", *flags, "--overwrite") is None
        np.testing.assert_allclose(ply_means(tmp_path / "a.ply"), expected, rtol=0, atol=2e-5)  # .pose.json: 5 decimals
    assert mobavatar(monkeypatch, "convert", page / "avatar.mobavatar", tmp_path / "b.glb") is None
    up = splats.upright(np.array([0.0, 0.0, 1.0]), "y-up")
    expected = evaluate(avatar, rest_pose()).mean @ up.T
    np.testing.assert_allclose(gaussians_of_gltf(tmp_path / "b.glb")["mean"], expected, rtol=0, atol=1e-5)
    assert "T-pose (no motion was given)" in capsys.readouterr().out


def test_to_the_runtimes_npz_and_back(page: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert mobavatar(monkeypatch, "convert", page, tmp_path / "a.npz", "--input-width", "74") is None
    assert mobavatar(monkeypatch, "convert", tmp_path / "a.npz", tmp_path / "b.mobavatar") is None
    out = capsys.readouterr().out
    assert "not tried in a player" in out and "network input 74 wide: 63 pose, a zero, 10 expression" in out
    ours, back = bundle.load(page / "avatar.mobavatar"), bundle.load(tmp_path / "b.mobavatar")
    assert back.meta == ours.meta and back.levels == ours.levels and back.pixels_per_metre == 900.0
    np.testing.assert_allclose(back.color, ours.color, rtol=0, atol=0.5 / 160 + 1e-3)  # a step, and halves


def test_a_glb_with_motions_is_animated(page: Path, tmp_path: Path, monkeypatch) -> None:
    pose_sequence.write(tmp_path / "wave.pose.json", [walking_pose(x) for x in (0, 1)], range(2))
    flags = ("--motion", page / "motion.pose.json", tmp_path / "wave.pose.json", "--fps", "20")
    assert mobavatar(monkeypatch, "convert", page, tmp_path / "a.glb", *flags) is None
    gltf = load_glb(tmp_path / "a.glb")
    assert gltf.asset.copyright == "Ada's own | no body"
    assert [a.name for a in gltf.animations] == ["motion", "wave"]
    ends = [gltf.accessors[a.samplers[0].input].max[0] for a in gltf.animations]
    np.testing.assert_allclose(ends, [2 / 20, 1 / 20], rtol=1e-6)
    message = mobavatar(monkeypatch, "convert", page, tmp_path / "b.glb", *flags, "--mesh")
    assert message is not None and "this avatar's body is 'sticks'" in message and not (tmp_path / "b.glb").exists()


@pytest.mark.parametrize(
    ("target", "flags", "message"),
    [
        ("a.obj", (), "endings\n  .mobavatar"),
        ("a.b", (), ".glb        splats of one pose"),
        ("a.b", (), "FOLDER      a whole page"),
        ("a.npz", ("--frame", "1"), "--frame is for splats"),
        ("a.ply", ("--mesh",), "--mesh is for a .glb with --motion"),
        ("a.glb", ("--mesh",), "--mesh is for a .glb with --motion"),
        ("a.spz", ("--motion", "{page}/motion.pose.json"), "--motion is for a .glb or a folder"),
        ("a.glb", ("--motion", "{page}/motion.pose.json", "--frame", "1"), "--frame is for splats"),
        ("a.ply", ("--fps", "20"), "--fps is for a .glb with --motion"),
        ("a.mobavatar", ("--axes", "world"), "--axes is for splats"),
        ("a.sog", ("--input-width", "74"), "--input-width is for a .npz"),
        ("a.glb", ("--motion", "{page}/motion.pose.json", "--fps", "0"), "more than 0"),
        ("a.ply", ("--frame", "3"), "has frames 0 to 2"),
        ("a.ply", ("--pose", "{page}/avatar.mobavatar"), "convert-pose"),
        ("a.glb", ("--motion", "{page}/absent.pose.json"), "found none"),
        ("no/a.ply", (), "make it first"),
    ],
)
def test_what_does_not_go_is_said_before_anything_is_written(
    target, flags, message, page, tmp_path, monkeypatch
) -> None:
    flags = [flag.replace("{page}", str(page)) for flag in flags]
    found = mobavatar(monkeypatch, "convert", page, tmp_path / target, *flags)
    assert found is not None and message in found
    assert not list(tmp_path.iterdir())


def test_sources_that_are_none_are_named(page: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.mobavatar").write_bytes((page / "avatar.mobavatar").read_bytes()[:5000])
    (tmp_path / "a.ply").write_text("ply")
    cases = {
        tmp_path / "empty": "has no avatar.mobavatar",
        tmp_path / "absent": "no such file or folder",
        tmp_path / "half.mobavatar": "half.mobavatar: truncated",
        tmp_path / "a.ply": "cannot become an avatar again",
        page / "motion.pose.json": "expected a folder",
    }
    for source, message in cases.items():
        found = mobavatar(monkeypatch, "convert", source, tmp_path / "out.spz")
        assert found is not None and message in found, found
    found = mobavatar(monkeypatch, "convert", page / "avatar.mobavatar", tmp_path / "a.pose.json")
    assert found is not None and "has no motion" in found
    assert {p.name for p in tmp_path.iterdir()} == {"empty", "half.mobavatar", "a.ply"}


def test_a_file_is_replaced_only_on_request_and_only_by_a_whole_one(page: Path, tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "a.ply"
    target.write_text("mine")
    found = mobavatar(monkeypatch, "convert", page, target)
    assert found is not None and "--overwrite" in found and target.read_text() == "mine"

    def fail(draft: Path, *_: object) -> None:
        draft.write_bytes(b"half of it")
        raise OSError("the disk is full")

    monkeypatch.setattr(convert.ply, "write", fail)
    assert mobavatar(monkeypatch, "convert", page, target, "--overwrite") == "the disk is full"
    assert target.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["a.ply"]
    monkeypatch.undo()
    assert mobavatar(monkeypatch, "convert", page, target, "--overwrite") is None
    assert len(ply_means(target)) == 300


def info(monkeypatch, capsys, path: Path) -> tuple[str, dict]:
    """What `mobavatar info` prints, for people and as JSON."""
    assert mobavatar(monkeypatch, "info", path) is None
    text = capsys.readouterr().out
    assert mobavatar(monkeypatch, "info", path, "--json") is None
    return text, json.loads(capsys.readouterr().out)


def test_info_about_a_folder_tells_counts_sections_range_licence_files_and_motions(page, monkeypatch, capsys) -> None:
    text, found = info(monkeypatch, capsys, page)
    assert "300 Gaussians, 8 parts, 30 nodes" in text and "license: Ada's own" in text
    assert "training pictures had 900 pixels per metre" in text and found["pixels_per_metre"] == 900
    assert "level: 100 Gaussians, 1.5 times as large, up to 200 pixels per metre" in text
    assert found["levels"] == [{"count": 100, "enlarge": 1.5, "pixels_per_metre": 200.0}]
    assert "furthest: left_elbow 120 degrees" in text and "3 frames, 12.5 frames a second" in text
    assert (found["kind"], found["num_gaussians"], found["version"]) == ("folder", 300, bundle.VERSION)
    size = (page / "avatar.mobavatar").stat().st_size
    assert found["bytes"] == found["files"]["avatar.mobavatar"] == size
    stored = sum(section["bytes"] for section in found["sections"])
    assert 0.5 * size < stored < size
    assert found["trained_range"]["joints_degrees"]["left_elbow"]["high"] == [120.0, 28.6, 28.6]
    assert len(found["trained_range"]["expression"]["low"]) == 10 and found["meta"]["license"] == "Ada's own"
    assert found["motions"][0]["frames"] == 3 and found["motions"][0]["fps"] == 12.5


def test_info_about_single_files(page: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert info(monkeypatch, capsys, page / "avatar.mobavatar")[1]["kind"] == "avatar"
    (tmp_path / "c.mobavatar").write_bytes(bundle.encode(replace(bundle.load(page / "avatar.mobavatar"), meta={})))
    assert "license: not stated; ask" in info(monkeypatch, capsys, tmp_path / "c.mobavatar")[0]
    assert mobavatar(monkeypatch, "convert", page, tmp_path / "a.npz", "--input-width", "74") is None
    capsys.readouterr()
    text, found = info(monkeypatch, capsys, tmp_path / "a.npz")
    assert found["input_width"] == 74 and "input 74 wide" in text and found["meta"]["body"] == "sticks"
    assert {"name": "_xyz", "dtype": "float16", "shape": [300, 3], "bytes": 1800} in found["sections"]
    (tmp_path / "b.pose.json").write_bytes((page / "motion.pose.json").read_bytes())
    text, found = info(monkeypatch, capsys, tmp_path / "b.pose.json")
    assert found["fps"] is None and "no rate known" in text and not found["root_rotation_in_pose"]
    assert found["frames"] == 3 and found["expression"]
    for path, message in ((tmp_path / "absent", "no such file"), (tmp_path, "found no avatar.mobavatar")):
        found = mobavatar(monkeypatch, "info", path)
        assert found is not None and message in found


def test_the_commands_start_without_torch_and_nerfstudio() -> None:
    """What they need they import: 0.5 s of one core instead of 2."""
    asked = "; ".join(f"cli.parse([{name!r}, 'a', 'b'][:{n}])" for name, n in (("convert", 3), ("info", 2)))
    modules = tops(loaded_by(f"from nerfstudio_mobavatar import cli; {asked}"))
    assert not modules & {"torch", "nerfstudio", "cv2", "wgpu"}


def test_help_and_the_server_start_at_once(capsys) -> None:
    """`--help` reads the commands' first words from their sources; `view` needs the server alone."""
    code = "contextlib.suppress(SystemExit)"
    for asked in ("with {}: cli.parse(['--help'])", "with {}: cli.parse(['covnert'])", "cli.parse(['view', 'a'])"):
        imports = "import contextlib; from nerfstudio_mobavatar import cli"
        modules = tops(loaded_by(f"{imports}\n{asked.format(code)}\nimport sys"))
        assert "tyro" in modules and not modules & {"torch", "nerfstudio", "cv2", "wgpu", "numpy", "scipy"}, asked
    with pytest.raises(SystemExit):
        cli.parse(["--help"])
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in cli.COMMANDS:
        described = cli.described(name).__doc__
        assert described == inspect.getdoc(cli.command_class(name)), name
        assert " ".join(described.split()) in words, name


def test_every_command_is_there_and_a_wrong_one_gets_the_list(monkeypatch, capsys) -> None:
    for name in cli.COMMANDS:
        assert callable(cli.command_class(name).main)
    for wrong in (["covnert", "a", "b"], ["covnert"], []):
        with pytest.raises(SystemExit):
            cli.parse(wrong)
        assert "convert" in capsys.readouterr().err
