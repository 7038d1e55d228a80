"""From a training run to the exported folder: the same avatar, the same motion, and nothing lost on the way."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import cli, durable, trained_poses
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.motion import write_motion
from nerfstudio_mobavatar.run_config import RunConfigError
from nerfstudio_mobavatar.web_export import bundle, export, levels, page_folder, pose_sequence, trained_range
from nerfstudio_mobavatar.web_export.evaluate import evaluate
from nerfstudio_mobavatar.web_export.export import ExportError, ExportMobavatar
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from nerfstudio_mobavatar.web_export.rights import LicenseError
from tests.test_from_avatar import assert_same
from tests.training_runs import PRUNE_STEP, STEPS, model_of, run, tiny_config

DIST = Path(export.__file__).parent / "viewer" / "dist"
OURS = {
    "avatar.mobavatar",
    "motion.pose.bin",
    "motions.json",
    "poster.jpg",
    "README.txt",
    "index.html",
    "viewer.css",
    "viewer.js",
}
POSTER_HEIGHT = 64  # the torch rasteriser is slow
LICENCE = "Only for the play, not for adverts. ©"


@pytest.fixture(scope="module")
def finished(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory):
    """A pruned run, its learned values shaken so that every term of the forward pass matters, saved again."""
    trainer = run(tiny_config(mini_capture, tmp_path_factory.mktemp("training")))
    avatar = model_of(trainer).avatar
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name in ("rotation", "scale", "color"):
            avatar.basis(name).normal_(0, 0.05, generator=generator)
        avatar.node_basis.normal_(0, 0.005, generator=generator)
        avatar.node_offset.normal_(0, 0.01, generator=generator)
        avatar.free_offset.normal_(generator=generator)
    trainer.save_checkpoint(STEPS - 1)
    return trainer


@pytest.fixture(scope="module")
def config_path(finished) -> Path:
    return finished.base_dir / "config.yml"


@pytest.fixture(scope="module")
def exported(config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "site"
    ExportMobavatar(config_path, folder, poster_height=POSTER_HEIGHT, license=LICENCE, quality="high").main()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fit_row(model, row: int) -> tuple[torch.Tensor, ...]:
    return tuple(model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))


def test_the_exported_file_is_the_training_avatar(finished, exported: Path):
    """Limits: 16-bit positions (0.02 mm over 2 m) and 8-bit skin weights (1/510 of the half metre that two joints
    disagree by at most: 1 mm). Halves: colours of up to 2 are 1/2048 off, and as much again through the correctives;
    log scales around -3 are 1/1024 off, which is 1/500 in a variance, and the skin weights add as much."""
    model = model_of(finished)
    arrays = bundle.load(exported / "avatar.mobavatar")
    assert arrays.basis_size == model.avatar.config.basis_size
    for name in ATTRIBUTES:
        assert getattr(arrays, f"{name}_index").tolist() == model.avatar.index(name).tolist()
    for row in model.get_buffer("train_rows").tolist():
        fit = fit_row(model, row)
        pose = pose_sequence.from_smplx(fit[0].numpy(), fit[1].numpy(), fit[2].numpy(), arrays.joint_rest[0])
        assert_same(evaluate(arrays, pose), model.avatar, fit, metres=1e-3, color=2e-3, share=1e-2)


def test_evaluation_shows_poses_outside_of_training_as_the_file_is_drawn(finished, monkeypatch):
    """So that ns-eval, ns-render and the viewer show what the page shows. Training, and a model without the flag, take
    the pose as it is."""
    model = model_of(finished)
    rows = model.get_buffer("train_rows").tolist()
    held_out = next(r for r in range(len(model.get_buffer("fit_pose"))) if r not in rows)
    free = avatar_arrays(model.avatar, {})
    arrays = trained_range.with_training(free, [export.pose_of(model, row) for row in rows])
    camera, _ = finished.pipeline.datamanager.next_train(0)
    camera = camera[:1]
    camera.metadata["pose_row"][:] = held_out
    drawn: list[torch.Tensor] = []
    decode = model.avatar.decode

    def record(*arguments):
        posed = decode(*arguments)
        drawn.append(posed.gaussians.means)
        return posed

    monkeypatch.setattr(model.avatar, "decode", record)
    before = model.get_buffer("fit_pose")[held_out].clone()
    model.step = STEPS  # after the warm-up
    try:
        model.get_buffer("fit_pose")[held_out, 16, 2] += 1.5
        model._frames = None  # worked out from the fit
        shown = export.pose_of(model, held_out)
        with torch.no_grad():
            model.eval().get_outputs(camera)
            model.config.pose_safety = False
            model.get_outputs(camera)
            model.config.pose_safety = True
            model.train().get_outputs(camera)
    finally:
        model.eval()
        model.get_buffer("fit_pose")[held_out] = before
        model._frames = None
    for means, a in zip(drawn, (arrays, free, free), strict=True):
        np.testing.assert_allclose(means.numpy(), evaluate(a, shown).mean, rtol=0, atol=1e-5)
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


def test_the_exported_motion_puts_the_person_where_training_saw_it(finished, exported: Path):
    """Unquantised avatar, poses from the file: five decimals of an angle move a hand 1 m away by 0.01 mm a joint."""
    model = model_of(finished)
    arrays = avatar_arrays(model.avatar, {})
    rows = model.get_buffer("train_rows").tolist()
    poses = pose_sequence.read(exported / "motion.pose.bin")
    assert len(poses) == len(rows) < len(model.get_buffer("fit_pose"))  # not the held-out poses
    for row, pose in zip(rows, poses):
        assert not pose.pose[0].any()
        assert_same(evaluate(arrays, pose), model.avatar, fit_row(model, row), metres=1e-4, color=1e-4, share=1e-3)


def test_every_file_is_there_under_the_name_that_the_page_asks_for(exported: Path, mini_capture: Path):
    assert {p.name for p in exported.iterdir()} == OURS == {p.name for p in exported.rglob("*")}
    page = (exported / "index.html").read_text()
    asked = ("avatar.mobavatar", "motion.pose.bin", "motions.json", "poster.jpg", "viewer.css", "viewer.js")
    assert all(f'"{name}"' in page for name in asked)
    assert all((exported / p.name).read_bytes() == p.read_bytes() for p in DIST.iterdir())
    for file in exported.iterdir():  # nobody learns from the site where it was made
        assert str(mini_capture).encode() not in file.read_bytes()
    assert [p.name for p in exported.parent.iterdir()] == [exported.name]


def test_given_motions_come_first_and_start_where_training_did(config_path: Path, finished, tmp_path: Path, capsys):
    """A BVH and an AMASS file: at the capture's rate, upright in its world, on its floor, listed for the menu."""
    from tests import motion_files

    write_motion(tmp_path / "walk one.bvh", motion_files.walk(24, 120.0), motion_files.open_rig())
    (tmp_path / "more").mkdir()
    amass = motion_files.amass_smplh(tmp_path / "more").path.rename(tmp_path / "more" / "walk one.npz")
    model = model_of(finished)
    ExportMobavatar(
        config_path, tmp_path / "site", poster_height=POSTER_HEIGHT, motion=(tmp_path / "walk one.bvh", amass)
    ).main()
    said = capsys.readouterr().out
    assert "walk one.bvh: bvh, 24 frames at 120 per second" in said and "walk one.npz: amass, 12 frames" in said
    index = json.loads((tmp_path / "site" / "motions.json").read_text())
    fps = model.capture.fps
    count = int(23 / 120 * fps + 1e-6) + 1
    assert [tuple(entry.values()) for entry in index[:1]] == [("walk-one", "motion.pose.bin", count, fps)]
    assert [(entry["name"], entry["file"]) for entry in index[1:]] == [
        ("walk-one-2", "walk-one-2.pose.bin"), ("training", "training.pose.bin"),
    ]  # fmt: skip
    rows = model.get_buffer("train_rows").tolist()
    arrays = bundle.load(tmp_path / "site" / "avatar.mobavatar")
    fit = model.get_buffer("fit_pose")[rows].numpy()[:, 1:22].reshape(len(rows), 63)
    assert arrays.input_range is not None  # of the training poses, not of the held-out ones
    np.testing.assert_allclose(arrays.input_range[:, :63], [fit.min(0), fit.max(0)], atol=1e-6)
    assert [region.name for region in arrays.trained_regions] == list(trained_poses.REGIONS)
    assert said.count("of the frames have a pose outside of training: ") == 2
    up = np.array(model.capture.up)
    pelvises = []
    for entry in index:
        poses = pose_sequence.read(tmp_path / "site" / entry["file"])
        assert len(poses) == entry["frames"]
        pelvises.append(poses[0].Rh @ arrays.joint_rest[0] + poses[0].Th)
        facing = poses[0].Rh[:, 2] - up * (up @ poses[0].Rh[:, 2])
        assert facing @ arrays.meta["front"] > 0.99 * np.linalg.norm(facing)
    expected = model.get_buffer("fit_transl")[rows[0]].numpy() + arrays.joint_rest[0]
    np.testing.assert_allclose(pelvises[-1], expected, atol=1e-4)
    for pelvis in pelvises:
        assert np.linalg.norm(np.cross(pelvis - expected, up)) < 1e-3 and abs(up @ (pelvis - expected)) < 0.2
    with pytest.raises(ExportError, match=r"nowhere.bvh: expected a motion for --motion, found no such file"):
        ExportMobavatar(config_path, tmp_path / "other", motion=(tmp_path / "nowhere.bvh",)).main()
    assert not (tmp_path / "other").exists()


def test_levels_of_detail_are_written_and_told(config_path: Path, finished, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(levels, "MIN_COUNT", 20)
    ExportMobavatar(config_path, tmp_path / "site", poster_height=POSTER_HEIGHT).main()
    said = capsys.readouterr().out
    arrays = bundle.load(tmp_path / "site" / "avatar.mobavatar")
    assert [level.count for level in arrays.levels] == [25, 50] and len(arrays.position) == 100
    assert said.count("level of ") == 2 and "pixels per metre; 100 Gaussians" in said
    view = model_of(finished).kwargs["metadata"]["views"][0]
    middle = model_of(finished).get_buffer("fit_transl")[0].numpy() + arrays.joint_rest[0]
    fineness = view.K[0, 0] / (view.T_cam_world[2, :3] @ middle + view.T_cam_world[2, 3])
    assert arrays.pixels_per_metre == pytest.approx(fineness, rel=0.1)  # other cameras, other frames


def test_fine_tuning_changes_the_avatar_alone_and_tells_what_it_gained(config_path: Path, tmp_path: Path, capsys):
    for steps, name in ((0, "plain"), (2, "tuned")):
        ExportMobavatar(
            config_path, tmp_path / name, poster_height=POSTER_HEIGHT, quality="small", fine_tune_steps=steps
        ).main()
        assert ("the same, not fine-tuned" in capsys.readouterr().out) == bool(steps)
    plain, tuned = content(tmp_path / "plain"), content(tmp_path / "tuned")
    assert {name for name in plain if plain[name] != tuned[name]} - {"poster.jpg"} == {"avatar.mobavatar"}
    with pytest.raises(ExportError, match="--fine-tune-steps -1: expected 0 or more; nothing was written"):
        ExportMobavatar(config_path, tmp_path / "other", fine_tune_steps=-1).main()
    assert not (tmp_path / "other").exists()


def test_a_folder_with_content_is_refused_and_keeps_it(config_path: Path, tmp_path: Path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("mine")
    with pytest.raises(ExportError, match=r"site is not empty; nothing was written.*--overwrite"):
        ExportMobavatar(config_path, folder).main()
    assert content(tmp_path) == {"site/index.html": b"mine"}


def test_overwrite_replaces_our_files_only(config_path: Path, tmp_path: Path, exported: Path, capsys):
    for name in OURS:
        (tmp_path / name).write_text("old")
    (tmp_path / "CNAME").write_text("example.org")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "photo.jpg").write_text("photo")
    ExportMobavatar(
        config_path, tmp_path, overwrite=True, poster_height=POSTER_HEIGHT, license=LICENCE, quality="high"
    ).main()
    assert "CNAME" not in capsys.readouterr().out  # it lists what it wrote
    expected = content(exported) | {"CNAME": b"example.org", "images/photo.jpg": b"photo"}
    assert content(tmp_path) == expected


def test_a_file_in_the_place_of_the_folder_is_refused(config_path: Path, tmp_path: Path):
    (tmp_path / "site").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ExportError, match="site is a file; expected a folder"):
            ExportMobavatar(config_path, tmp_path / "site", overwrite).main()
    assert content(tmp_path) == {"site": b"mine"}


def test_a_folder_that_cannot_be_written_is_refused_before_the_run_is_loaded(tmp_path: Path, monkeypatch):
    """The system's answer is replaced: tests often run as root, who may write everywhere."""
    asked = []

    def no(path, mode) -> bool:
        asked.append(Path(path))
        return False

    monkeypatch.setattr(page_folder.os, "access", no)
    with pytest.raises(ExportError, match=f"{tmp_path} is not writable; nothing was written"):
        ExportMobavatar(tmp_path / "missing.yml", tmp_path / "new" / "site").main()
    assert asked == [tmp_path] and not list(tmp_path.iterdir())


def test_only_the_folder_itself_has_to_be_writable(config_path: Path, tmp_path: Path, monkeypatch):
    """A mounted volume: its parent is another file system, from where files cannot be moved into it."""
    (tmp_path / "site").mkdir()
    made = []
    temporary = durable.tempfile.TemporaryDirectory

    def record(**where):
        made.append(where["dir"])
        return temporary(**where)

    monkeypatch.setattr(durable.tempfile, "TemporaryDirectory", record)
    ExportMobavatar(config_path, tmp_path / "site", poster_height=POSTER_HEIGHT, pose_safety=False).main()
    assert made == [tmp_path / "site"]
    assert set(content(tmp_path / "site")) == OURS
    arrays = bundle.load(tmp_path / "site" / "avatar.mobavatar")
    assert arrays.input_range is None and arrays.trained_regions == ()


def test_a_missing_config_is_named(tmp_path: Path):
    with pytest.raises(RunConfigError, match=r"nowhere/config.yml: no such file"):
        ExportMobavatar(tmp_path / "nowhere" / "config.yml", tmp_path / "site").main()
    assert not list(tmp_path.iterdir())


def test_another_yaml_file_is_refused_by_name(tmp_path: Path):
    (tmp_path / "config.yml").write_text("training: fast\n")
    with pytest.raises(RunConfigError, match=r"config.yml: not the configuration of a run"):
        ExportMobavatar(tmp_path / "config.yml", tmp_path / "site").main()
    assert not (tmp_path / "site").exists()


def test_a_run_of_another_method_is_refused(config_path: Path, tmp_path: Path, monkeypatch):
    """nerfstudio's loader is replaced: loading another method's run needs its data and minutes of training."""

    class Other:
        model = torch.nn.Linear(1, 1)

    loaded = (None, Other, Path("step-1.ckpt"), 1)
    monkeypatch.setattr("nerfstudio_mobavatar.run_config.open_run", lambda *args: loaded)
    with pytest.raises(ExportError, match="trained by Linear; expected a mobavatar run"):
        ExportMobavatar(config_path, tmp_path / "site").main()
    assert not list(tmp_path.iterdir())


def test_an_export_from_before_pruning_says_so_and_is_whole(mini_capture: Path, tmp_path: Path, capsys):
    config = tiny_config(mini_capture, tmp_path / "run")
    trainer = config.setup(local_rank=0, world_size=1)
    config.save_config()
    config.max_num_iterations = PRUNE_STEP - 1
    config.pipeline.model.prune_fraction = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    trainer.setup()
    trainer.train()
    ExportMobavatar(trainer.base_dir / "config.yml", tmp_path / "site", poster_height=POSTER_HEIGHT).main()
    assert "before pruning" in " ".join(capsys.readouterr().out.split())
    assert len(bundle.load(tmp_path / "site" / "avatar.mobavatar").color_index) == 100


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(exists: bool, config_path: Path, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    if exists:
        folder.mkdir()
        (folder / "avatar.mobavatar").write_text("old")
    before = content(tmp_path)

    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(export, "poster", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        ExportMobavatar(config_path, folder, overwrite=True).main()
    assert content(tmp_path) == before
    assert sorted(p.name for p in tmp_path.rglob("*")) == (["avatar.mobavatar", "site"] if exists else [])


def run_ns_export(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """nerfstudio's own command in this process; the message with which it exits (exit code 1)."""
    from nerfstudio.scripts import exporter

    monkeypatch.setattr(sys, "argv", ["ns-export", "mobavatar", *arguments])
    with pytest.raises(SystemExit) as end:
        exporter.entrypoint()
    assert isinstance(end.value.code, str)  # Python prints a text and exits with 1
    return end.value.code


def test_ns_export_ends_with_a_message_on_what_users_can_repair(config_path: Path, tmp_path: Path, monkeypatch):
    """A motion that is none, a configuration that was damaged, a folder in use: no stack trace, nothing is written."""
    bad = tmp_path / "dance.npz"
    bad.write_bytes(b"no motion")
    run_of = ["--load-config", str(config_path), "--output-dir", str(tmp_path / "site")]
    message = run_ns_export(monkeypatch, *run_of, "--motion", str(bad))
    assert message.startswith(f"ns-export: {bad}: expected ")
    damaged = tmp_path / "config.yml"
    damaged.write_text(config_path.read_text().partition("\n")[0] + "\ndata: [unclosed\n")
    message = run_ns_export(monkeypatch, "--load-config", str(damaged), *run_of[2:])
    assert message.startswith(f"ns-export: {damaged}: expected YAML as training writes it")
    assert not (tmp_path / "site").exists()
    message = run_ns_export(monkeypatch, *run_of[:2], "--output-dir", str(tmp_path))
    assert message.startswith(f"ns-export: {tmp_path} is not empty")


def test_mistakes_of_our_own_keep_their_stack_trace(monkeypatch):
    from nerfstudio.scripts import exporter

    def fail(self):
        raise ZeroDivisionError("seven")

    monkeypatch.setattr(ExportMobavatar, "main", fail)
    monkeypatch.setattr(sys, "argv", ["ns-export", "mobavatar", "--load-config", "a.yml", "--output-dir", "b"])
    with pytest.raises(ZeroDivisionError, match="seven"):
        exporter.entrypoint()


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | None:
    """The `mobavatar` command in this process; the message with which it exits (exit code 1), if it does."""
    monkeypatch.setattr(sys, "argv", ["mobavatar", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        assert isinstance(end.code, str)  # Python prints a text and exits with 1
        return end.code
    return None


def test_the_command_exports_and_ends_with_one_line_on_an_error(config_path: Path, tmp_path: Path, monkeypatch):
    arguments = ["export", "--load-config", str(config_path), "--output-dir", str(tmp_path / "site")]
    assert run_cli(monkeypatch, *arguments, "--poster-height", str(POSTER_HEIGHT)) is None
    before = content(tmp_path)
    assert before.keys() == {f"site/{name}" for name in OURS}
    message = run_cli(monkeypatch, *arguments)
    assert message is not None and "\n" not in message
    assert message.startswith("mobavatar: ") and "site is not empty" in message
    assert content(tmp_path) == before


def test_the_authors_licence_is_in_the_avatar_and_its_readme(exported: Path, config_path: Path, tmp_path: Path):
    assert bundle.load(exported / "avatar.mobavatar").meta["license"] == LICENCE
    readme = (exported / "README.txt").read_text()
    assert f"Licence of the avatar: {LICENCE}\n" in readme and "CC0" in readme
    with pytest.raises(LicenseError, match=r"terms\.txt: no such file"):
        ExportMobavatar(config_path, tmp_path / "site", license="terms.txt").main()
    assert not (tmp_path / "site").exists()


def test_info_prints_what_is_inside_and_refuses_half_a_file(exported: Path, tmp_path: Path, monkeypatch, capsys):
    avatar = exported / "avatar.mobavatar"
    assert run_cli(monkeypatch, "info", str(avatar)) is None
    out = capsys.readouterr().out
    assert "100 Gaussians, 6 parts, 20 nodes" in out and "training_frames: [" in out and "body: open" in out
    assert f"license: {LICENCE}" in out
    assert all(name in out for name in ("position", "rotation_basis", "mlp_weights_0"))
    data = avatar.read_bytes()
    for size in (0, 12, 40, len(data) // 2, len(data) - 1):
        (tmp_path / "half.mobavatar").write_bytes(data[:size])
        message = run_cli(monkeypatch, "info", str(tmp_path / "half.mobavatar"))
        assert message is not None and "\n" not in message and "half.mobavatar" in message
        assert "truncated" in message or size < 16
    message = run_cli(monkeypatch, "info", str(tmp_path / "absent"))
    assert message is not None and "absent" in message
