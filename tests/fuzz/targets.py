"""Every reader of foreign files, sound files for it, and how it is called.

A target makes folders of sound files once; executions damage one file of one of them and read the folder.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    make: Callable[[Path], None]
    """Writes one folder of sound files, or several as subfolders named `case_*`."""
    read: Callable[[Path], Any]
    """Reads such a folder."""
    damage: tuple[str, ...] = ("**/*",)
    """Patterns of the files that are damaged."""
    weight: float = 1.0
    """Share of the executions; what takes milliseconds gets fewer."""
    may_write: bool = False
    """Whether the reader writes into the folder itself (pictures that are unpacked)."""
    loose: tuple[str, ...] = field(default=())
    """Patterns of files that a reader may make: removed after each execution."""


@lru_cache
def rig() -> Any:
    from nerfstudio_mobavatar.convert_pose import rig_of

    return rig_of("open", None)


def motion(writer: str) -> Target:
    """One of the motion formats of tests/motion_files.py."""

    def make(folder: Path) -> None:
        from tests import motion_files

        written = getattr(motion_files, writer)(folder)
        (folder / ".read").write_text(str(written.path.relative_to(folder)))

    return Target(f"motion_{writer}", make, _read_motion, ("**/*.npz", "**/*.pkl", "**/*.npy", "**/*.pt"), 1.0)


def _read_motion(folder: Path) -> Any:
    from nerfstudio_mobavatar.motion import read_motion

    return read_motion(folder / _marked(folder), rig())


@lru_cache
def _marked(folder: Path) -> str:
    return (folder / ".read").read_text()


def _make_bvh(folder: Path) -> None:
    from nerfstudio_mobavatar.motion import write_motion
    from tests.motion_files import walk

    write_motion(folder / "walk.bvh", walk(4), rig())
    (folder / ".read").write_text("walk.bvh")


def _make_pose_json(folder: Path) -> None:
    from nerfstudio_mobavatar.motion import write_motion
    from tests.motion_files import walk

    write_motion(folder / "walk.pose.json", walk(3), rig())
    write_motion(folder / "walk.pose.bin", walk(3), rig())
    (folder / "motions.json").write_text('[{"name": "walk", "file": "walk.pose.json", "frames": 3, "fps": 30}]')
    (folder / ".read").write_text("walk.pose.json")


def _read_pose_json(folder: Path) -> Any:
    """As a motion, and as a pose in nerfstudio's viewer."""
    from nerfstudio_mobavatar.motion import read_motion
    from nerfstudio_mobavatar.posing.edit import EditedPose
    from nerfstudio_mobavatar.posing.ik import Skeleton
    from nerfstudio_mobavatar.viewer.files import frame_of, load_motion

    path = folder / "walk.pose.json"
    skeleton = Skeleton(np.asarray(rig().joint_rest), tuple(rig().parents))
    loaded = load_motion(path, skeleton, (0.0, 1.0, 0.0), np.zeros((30, 3)))
    frame_of(loaded, 0, EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10)))
    read_motion(folder / "walk.pose.bin", rig())
    return _read_motion(folder)


def _make_pickles(folder: Path) -> None:
    import pickle

    import joblib
    import torch

    content = {
        "cams": {"K": [np.eye(3)]},
        "ims": [{"ims": ["a/0.jpg"]}],
        "scale": np.float64(1.5),
        "o": np.array([{}, None], object),
    }
    for protocol in (0, 2, 4, 5):
        (folder / f"p{protocol}.pkl").write_bytes(pickle.dumps(content, protocol))
    joblib.dump({1: {"pose": np.ones((2, 72), np.float32)}}, folder / "joblib.pkl")
    (folder / "tensor.pkl").write_bytes(pickle.dumps({"a": torch.arange(6.0).view(2, 3).T}))
    np.save(folder / "plain.npy", np.arange(6).reshape(2, 3))
    np.save(folder / "object.npy", np.array(content, object))


def _read_pickles(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain

    for path in _changed(folder):
        repr(load_plain(path))


CHANGED: list[Path] = []
"""The files that the runner damaged: readers of single files read no other."""


def _changed(folder: Path) -> list[Path]:
    return CHANGED or [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]


def _make_arrays(folder: Path) -> None:
    np.savez(folder / "a.npz", a=np.eye(3), b=np.arange(4), name="text")
    np.savez_compressed(folder / "b.npz", a=np.zeros((100, 3), np.float32))
    np.save(folder / "c.npy", np.zeros((4, 5), np.uint8))


def _read_arrays(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.fit import load_arrays
    from nerfstudio_mobavatar.images import read_mask

    for path in _changed(folder):
        load_arrays(path) if path.suffix == ".npz" else read_mask(path, 5, 4, "nonzero")


def _make_body(folder: Path) -> None:
    """Bodies of 40 vertices in the format of SMPL-X and of SMPL, as `.npz` and as `.pkl`."""
    import pickle

    from nerfstudio_mobavatar.body_file import REQUIRED_KEYS, read_arrays
    from nerfstudio_mobavatar.body_model import files

    with_open = files("nerfstudio_mobavatar") / "assets" / "open_body.npz"
    arrays, _, _ = read_arrays(Path(str(with_open)), REQUIRED_KEYS)
    small = dict(arrays)
    for key in ("v_template", "weights", "shapedirs", "posedirs"):
        small[key] = arrays[key][:40]
    small["J_regressor"], small["f"] = arrays["J_regressor"][:, :40], np.arange(30).reshape(10, 3)
    small["shapedirs"] = small["shapedirs"][..., :12] if small["shapedirs"].shape[2] > 12 else small["shapedirs"]
    small["lmk_faces_idx"], small["lmk_bary_coords"] = np.zeros(51, np.int64), np.full((51, 3), 1 / 3)
    np.savez(folder / "SMPLX_NEUTRAL.npz", **small)  # pyright: ignore[reportArgumentType]
    (folder / "SMPLX_MALE.pkl").write_bytes(pickle.dumps(small, 2))
    smpl = {"v_template": np.zeros((40, 3)), "shapedirs": np.zeros((40, 3, 10)), "J_regressor": np.ones((24, 40))}
    (folder / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(smpl, 2))
    np.savez(folder / "SMPL_FEMALE.npz", **smpl)  # pyright: ignore[reportArgumentType]


def _read_body(folder: Path) -> Any:
    from nerfstudio_mobavatar.body_file import read_body_file
    from nerfstudio_mobavatar.dataparsers.smpl import read_smpl_model

    for path in _changed(folder):
        read_body_file(path) if path.name.startswith("SMPLX") else read_smpl_model(path)


def _make_pictures(folder: Path) -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 255, (20, 16, 3), np.uint8)
    for name, options in (("a.jpg", []), ("b.jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ("c.png", []), ("d.jpeg", [])):
        cv2.imwrite(str(folder / name), picture, options)
    cv2.imwrite(str(folder / "e.png"), picture[..., 0])
    cv2.imwrite(str(folder / "f.png"), picture.astype(np.uint16) * 257)


def _read_pictures(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.calibration import image_size
    from nerfstudio_mobavatar.images import read_mask, read_pixels

    for path in _changed(folder):
        image_size(path)
        read_pixels(path, 16, 20, gray=False)
        read_mask(path, 16, 20, "matte")


def _make_avatar(folder: Path) -> None:
    from tests.bench.fuzz_bundle import GOLDENS

    for path in sorted(GOLDENS.glob("*.mobavatar")):
        shutil.copyfile(path, folder / path.name)


def _read_avatar(folder: Path) -> Any:
    from nerfstudio_mobavatar.web_export import bundle

    for path in _changed(folder):
        bundle.load(path)


def _make_runtime(folder: Path) -> None:
    from dataclasses import replace

    from nerfstudio_mobavatar import trained_poses
    from nerfstudio_mobavatar.web_export import bundle
    from nerfstudio_mobavatar.web_export.exchange import runtime_npz
    from tests.synthetic_avatar import SyntheticAvatar

    small = SyntheticAvatar(num_gaussians=60, num_parts=4, num_nodes=9, num_kept=12).build()
    regions = tuple(trained_poses.trained_regions(np.random.default_rng(4).normal(0, 1, (50, 73))))
    whole = replace(small, input_range=np.tile([[-2.0], [2.0]], 73), trained_regions=regions)
    runtime_npz.write(folder / "runtime.npz", bundle.decode(bundle.encode(whole)))


def _read_runtime(folder: Path) -> Any:
    from nerfstudio_mobavatar.web_export.exchange.source import open_source

    return open_source(folder / "runtime.npz")


def _make_config(folder: Path) -> None:
    import yaml

    from nerfstudio_mobavatar import configs

    (folder / "config.yml").write_text(yaml.dump(configs.mobavatar.config))


def _read_config(folder: Path) -> Any:
    from nerfstudio_mobavatar.run_config import read_config

    return read_config(folder / "config.yml")


def capture(name: str, weight: float, damage: tuple[str, ...], may_write: bool = False, images: bool = True) -> Target:
    """A whole capture of one row of tests/layouts/table.py, read as training reads it."""
    row = partial(_row, name)

    def make(folder: Path) -> None:
        row().write(row().truth(), folder / "case_0")

    def read(folder: Path) -> Any:
        from nerfstudio_mobavatar.dataparsers.detect import LAYOUTS, detect_layout

        _cached_body()
        found = detect_layout(folder)
        config = next(layout.config for layout in LAYOUTS if layout.name == found)
        return config(data=folder).setup().read_capture()

    patterns = (*damage, "**/*.jpg", "**/*.png") if images else damage
    return Target(f"capture_{name}", make, read, patterns, weight, may_write, ("unpacked",) if may_write else ())


@lru_cache
def _cached_body() -> None:
    """The open body is read once in a process: it is ours, and no part of what is damaged."""
    from nerfstudio_mobavatar.dataparsers import assemble, mvhumannet, smpl

    for module in (assemble, mvhumannet, smpl):
        module.load_body = lru_cache(module.load_body)  # pyright: ignore[reportAttributeAccessIssue]


@lru_cache
def _row(name: str) -> Any:
    from tests.layouts.table import ROWS

    return next(row for row in ROWS if row.name == name)


def _make_calibrations(folder: Path) -> None:
    """The calibration files of people's own captures, without pictures."""
    for kind in ("json", "opencv", "transforms", "colmap"):
        whole = folder / f"whole_{kind}"
        _row(f"generic_{kind}").write(_row(f"generic_{kind}").truth(), whole)
        case = folder / f"case_{kind}"
        case.mkdir()
        for name in ("cameras.json", "intri.yml", "extri.yml", "transforms.json", "sparse"):
            if (whole / name).exists():
                (whole / name).rename(case / name)
        shutil.rmtree(whole)
    _colmap_as_text(folder / "case_colmap", folder / "case_colmap_text")


def _colmap_as_text(text: Path, folder: Path) -> None:
    """The other of COLMAP's two kinds of files, so that both are read."""
    from nerfstudio.data.utils import colmap_parsing_utils as colmap

    model = next(path.parent for path in (text / "sparse").rglob("images.*"))
    target = folder / "sparse"
    target.mkdir(parents=True)
    cameras, images = colmap.read_cameras_binary(model / "cameras.bin"), colmap.read_images_binary(model / "images.bin")
    colmap.write_cameras_text(cameras, target / "cameras.txt")
    colmap.write_images_text(images, target / "images.txt")


def _read_calibrations(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.camera_files import read_camera_file

    return read_camera_file(folder)


def _make_actors(folder: Path) -> None:
    _row("actorshq").write(_row("actorshq").truth(), folder / "whole")
    shutil.copyfile(next((folder / "whole").rglob("calibration.csv")), folder / "calibration.csv")
    shutil.rmtree(folder / "whole")


def _read_actors(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.actorshq import read_table

    return read_table(folder / "calibration.csv")


def _make_smc(folder: Path) -> None:
    _row("dna_rendering").write(_row("dna_rendering").truth(), folder / "whole")
    for path in (folder / "whole").rglob("*.smc"):
        path.rename(folder / path.name)
    shutil.rmtree(folder / "whole")


def _read_smc(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers import dna_rendering as dna

    main, path = dna.find_pair(folder, "")
    annotations = dna.read_annotations(path)
    groups, images = dna.read_main(main)
    dna.read_body(annotations)
    for name in list(images)[:1]:
        dna.opencv_entry(annotations, name, 1.0)
        list(dna._read(main, path, groups[name], name, images[name][:1]))


def _make_video(folder: Path) -> None:
    _row("dreams").write(_row("dreams").truth(), folder / "whole")
    shutil.copyfile(next((folder / "whole").rglob("*.mp4")), folder / "cam00.mp4")
    shutil.rmtree(folder / "whole")


def _read_video(folder: Path) -> Any:
    from nerfstudio_mobavatar.dataparsers.dreams import probe, read_video

    path = folder / "cam00.mp4"
    video = probe(path, "cam00")
    list(read_video(path, range(min(video.count, 2))))


def _make_checkpoint(folder: Path) -> None:
    import torch

    state = {
        "step": 7,
        "pipeline": {"_model.a": torch.ones(3, 4), "_model.b": torch.zeros(2)},
        "optimizers": {},
        "schedulers": {},
    }
    torch.save(state, folder / "step-000000007.ckpt")


def _read_checkpoint(folder: Path) -> Any:
    from nerfstudio_mobavatar import checkpoints

    return checkpoints.newest(folder)


def _make_survey(folder: Path) -> None:
    _make_arrays(folder)
    _make_pictures(folder)
    (folder / "t.json").write_text('{"a": [1, 2], "b": {"c": null}}')


def _read_survey(folder: Path) -> Any:
    from nerfstudio_mobavatar.doctor.survey import survey

    return list(survey(folder))


def _make_meshes(folder: Path) -> None:
    import trimesh
    from trimesh.exchange.ply import export_ply

    sphere = trimesh.creation.icosphere(subdivisions=3)
    for suffix in ("obj", "ply", "glb", "stl", "off"):
        sphere.export(folder / f"a.{suffix}")
    (folder / "ascii.ply").write_bytes(export_ply(sphere, encoding="ascii"))
    (folder / "linked.obj").write_text("mtllib ../../../etc/passwd\nusemtl x\n" + (folder / "a.obj").read_text())


def _read_meshes(folder: Path) -> Any:
    from nerfstudio_mobavatar.template_mesh import read_triangles

    for path in _changed(folder):
        read_triangles(path)


MOTIONS = ("amass_smplh", "amass_smplx", "amass_parts", "emage", "smplx_params", "smpler_x", "gvhmr", "wham", "tram")

TARGETS = (
    Target("pickle", _make_pickles, _read_pickles, weight=6),
    Target("arrays", _make_arrays, _read_arrays, weight=6),
    Target("body", _make_body, _read_body, weight=2),
    Target("pictures", _make_pictures, _read_pictures, weight=6),
    Target("calibrations", _make_calibrations, _read_calibrations, weight=6),
    Target("calibration_csv", _make_actors, _read_actors, weight=4),
    Target("smc", _make_smc, _read_smc, ("*.smc",), weight=2),
    Target("video", _make_video, _read_video, ("*.mp4",), weight=0.5),
    Target("bvh", _make_bvh, _read_motion, ("*.bvh",), weight=3),
    Target("pose_json", _make_pose_json, _read_pose_json, ("*.json", "*.bin"), weight=3),
    *(motion(name) for name in MOTIONS),
    Target("avatar_file", _make_avatar, _read_avatar, weight=3),
    Target("runtime_npz", _make_runtime, _read_runtime, weight=2),
    Target("run_config", _make_config, _read_config, weight=1),
    Target("checkpoint", _make_checkpoint, _read_checkpoint, weight=2),
    Target("template_mesh", _make_meshes, _read_meshes, ("*.obj", "*.ply", "*.glb", "*.stl", "*.off"), weight=2),
    Target("survey", _make_survey, _read_survey, weight=1),
    capture("avatarrex", 0.3, ("**/*.json", "**/*.npz", "**/*.txt")),
    capture("thuman4", 0.2, ("**/*.json", "**/*.npz", "**/*.txt")),
    capture("actorshq", 0.2, ("**/*.csv", "**/*.npz")),
    capture("dna_rendering", 0.2, ("**/*.smc",), may_write=True),
    capture("dreams", 0.1, ("**/*.json", "**/*.npz", "**/*.mp4"), may_write=True),
    capture("zju_mocap", 0.2, ("**/*.npy",)),
    capture("people_snapshot", 0.2, ("**/*.npz",)),
    capture("neuman", 0.2, ("**/*.pkl", "**/*.npy", "sparse/*")),
    capture("neuman_hugs", 0.2, ("**/*.npz", "sparse/*")),
    capture("mvhumannet", 0.2, ("**/*.json", "**/*.pkl")),
    capture("generic_json", 0.2, ("*.json", "*.npz")),
    capture("generic_opencv", 0.2, ("*.yml", "*.npz")),
    capture("generic_transforms", 0.2, ("*.json", "*.npz")),
    capture("generic_colmap", 0.2, ("sparse/**/*", "body.npz")),
)
"""Names are the keys of the figures."""
BY_NAME = {target.name: target for target in TARGETS}
