"""Loose clothing: the body's surface against a template, on the generated person in a skirt.

Four avatars of one size, seed and budget: sampled on the body; on the true shell with the skin weights of the nearest
body vertex, and with diffused ones; on the visual hull of its masks. Held-out cameras; poses near and far from training
as `quality_train` has them; the silhouettes of the bare templates; and how far edges of the skirt are stretched.

    python -m tests.bench.clothing --size small                            # a CPU
    python -m tests.bench.clothing --size full --hull hull.ply             # a GPU; the hull was made by --only-hull
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.spatial import KDTree

from nerfstudio_mobavatar.avatar import make_layout
from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import CaptureCamera
from nerfstudio_mobavatar.demo.capture import DemoData, Recipe
from nerfstudio_mobavatar.demo.clothed import ClothedHuman
from nerfstudio_mobavatar.demo.in_memory import InMemoryCapture, render_in_memory
from nerfstudio_mobavatar.demo.motion import Motion, procedural_motion
from nerfstudio_mobavatar.demo.scene import dome_cameras, stand_on_ground
from nerfstudio_mobavatar.doctor.silhouette import silhouette
from nerfstudio_mobavatar.make_template import MakeTemplate
from nerfstudio_mobavatar.reconstruct_template import HullConfig, HullFrame, limbs_apart, reconstruct, silhouette_iou
from nerfstudio_mobavatar.render import rasterize, resolve_backend
from nerfstudio_mobavatar.skin_transfer import outward_normals
from nerfstudio_mobavatar.template import Template, big_pose, body_points, few_joints, make_template
from nerfstudio_mobavatar.template_mesh import TemplateMesh, read_triangles
from nerfstudio_mobavatar.visual_hull import FrameMasks, hull_field
from tests.bench import common
from tests.bench import quality_train as q
from tests.bench.quality_capture import far_motion, validation_of
from tests.bench.quality_rows import CaptureSpec, ModelSpec, Row, cameras_of, frames_of
from tests.clothes import between_the_legs, skirt_mesh, skirted, stretch

SIZES = {
    "small": Row(CaptureSpec(40, 8, 6, 5, 256), ModelSpec(gaussians=8_000, nodes=1_000), 100, "top-90"),
    "full": Row(CaptureSpec(300, 5, 32, 12, 768), ModelSpec(gaussians=100_000, nodes=6_000), 2_000, "top-90"),
}
VARIANTS = {
    "body": "the body's surface",
    "file": "the true shell, diffused weights",
    "hull": "visual hull of one frame and eight others, diffused weights",
    "nearest": "the true shell, weights of the nearest body vertex",
}
IOU_FRAMES = 6
HULL_FRAMES, HULL_STEP, HULL_SIDE = 100, 12, 384
"""Motion and masks that hulls of one and of several frames are compared on."""
AROUND, CELL_M = 36, 0.012
"""Cameras and voxels that surfaces are compared with: both are filled, since a shell with holes has no volume."""


def recipe_of(spec: CaptureSpec, device: str) -> Recipe:
    """Trained frames, then far ones, as in the quality benchmark; in a skirt."""
    parts = (procedural_motion(spec.frames, spec.frame_step, 0), far_motion(spec.far_frames))
    motion = Motion(*(np.concatenate([getattr(m, n) for m in parts]) for n in ("pose", "transl", "expression")))
    demo = DemoData(
        output=None,  # pyright: ignore[reportArgumentType]
        cameras=spec.cameras, width=spec.side, height=spec.side, outfit="skirt",
    )  # fmt: skip
    return demo.recipe_of(motion, device)


def shell(body: Body, recipe: Recipe) -> TemplateMesh:
    """What a user would bring: the dressed person in the canonical pose."""
    human = ClothedHuman(body, torch.from_numpy(recipe.betas), 1, torch.device("cpu"), outfit="skirt")
    return TemplateMesh("shell.ply", *skirt_mesh(human=human), big_pose(), torch.zeros(3))


def masks_of(recipe: Recipe, alpha: np.ndarray, cameras: list[int]) -> FrameMasks:
    return FrameMasks(
        tuple(alpha[k] >= 128 for k in cameras),
        np.stack([recipe.cameras[k].K for k in cameras]),
        np.stack([recipe.cameras[k].T_cam_world for k in cameras]),
    )


def hull(body: Body, recipe: Recipe, spec: CaptureSpec) -> tuple[Template, dict[str, Any]]:
    """From the masks of the trained cameras in the trained frame whose limbs are furthest apart."""
    cpu, rows = replace(recipe, device="cpu"), frames_of(spec)["train"]
    betas, pose, transl = (torch.from_numpy(x) for x in (recipe.betas, recipe.motion.pose, recipe.motion.transl))
    row = rows[int(limbs_apart(body, betas, pose[rows], transl[rows]).argmax())]
    scene, config = cpu.scene(), HullConfig()

    def seen(r: int) -> HullFrame:
        return HullFrame(pose[r], transl[r], masks_of(recipe, cpu.render(scene, r).alpha, cameras_of(spec)[0]))

    rest = [r for r in rows if r != row]
    others = [seen(rest[i]) for i in np.linspace(0, len(rest) - 1, config.frames).astype(int)]
    frame = seen(row)
    start = time.perf_counter()
    made = reconstruct(body, betas, frame, config, others)
    about = {
        "hull_frame": row, "hull_other_frames": len(others), "hull_cameras": len(cameras_of(spec)[0]),
        "hull_watertight": made.watertight,
        "hull_volume_l": round(made.volume_litres, 1), "hull_vertices": len(made.template.vertices),
        "hull_seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip
    return made.template, about


def filled(body: Body, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Voxels of a canonical surface: its own visual hull from all around."""
    pose = big_pose()
    still = Motion(pose.numpy()[None], np.zeros((1, 3), np.float32), np.zeros((1, 10), np.float32))
    masks = silhouettes(vertices, faces, dome_cameras(still, np.zeros(10, np.float32), AROUND, 256, 256, 0))
    around = body_points(body, torch.zeros(10), pose, torch.zeros(3))
    normals = outward_normals(around, body.faces.numpy(), around, body.faces.numpy())
    return hull_field(masks, around, normals, np.full(len(around), 0.45), CELL_M)[1] > 0


def silhouettes(vertices: np.ndarray, faces: np.ndarray, cameras: tuple[CaptureCamera, ...]) -> FrameMasks:
    size = (cameras[0].width, cameras[0].height)
    person = tuple(silhouette(vertices, faces, c.K, c.T_cam_world, size) for c in cameras)
    return FrameMasks(person, np.stack([c.K for c in cameras]), np.stack([c.T_cam_world for c in cameras]))


def compare_hulls(cameras: list[int], frames: list[int]) -> None:
    """Hulls of one frame and with others that have a say, by how they overlap with the true shell."""
    body, human, betas = load_body(), skirted(), torch.zeros(10)
    motion = stand_on_ground(procedural_motion(HULL_FRAMES, HULL_STEP, 0), betas.numpy())
    pose, transl = torch.from_numpy(motion.pose), torch.from_numpy(motion.transl)
    row = int(limbs_apart(body, betas, pose, transl).argmax())
    rest = [r for r in range(HULL_FRAMES) if r != row]
    truth = filled(body, *skirt_mesh())
    litre = 1000 * CELL_M**3
    result: dict[str, Any] = {
        "device": common.device_name("cpu"), "command": common.command_line(), "side_px": HULL_SIDE,
        "motion_frames": HULL_FRAMES, "shell_l": round(float(truth.sum()) * litre, 1),
    }  # fmt: skip
    for count in cameras:
        views = dome_cameras(motion, betas.numpy(), count, HULL_SIDE, HULL_SIDE, 0)

        def seen(r: int, views: tuple[CaptureCamera, ...] = views) -> HullFrame:
            points = human.pose(pose[r], transl[r], torch.zeros(10)).numpy()
            return HullFrame(pose[r], transl[r], silhouettes(points, human.faces.numpy(), views))

        for number in frames:
            others = [seen(rest[i]) for i in np.linspace(0, len(rest) - 1, number).astype(int)]
            start = time.perf_counter()
            made = reconstruct(body, betas, seen(row), HullConfig(), others).template
            seconds = time.perf_counter() - start
            found = filled(body, made.vertices, made.faces)
            result[f"{count}_cameras_{number}_other_frames"] = {
                "iou": round(float((found & truth).sum() / (found | truth).sum()), 4),
                "too_much_l": round(float((found & ~truth).sum()) * litre, 1),
                "missing_l": round(float((truth & ~found).sum()) * litre, 1),
                "seconds": round(seconds, 1),
            }
            common.write("clothing", {"hulls": result})


def templates(body: Body, recipe: Recipe, spec: CaptureSpec, file: Path | None) -> tuple[dict[str, Template], dict]:
    betas = torch.from_numpy(recipe.betas)
    plain, own = make_template(body, betas), make_template(body, betas, shell(body, recipe))
    nearest = plain.skin_weights[KDTree(plain.vertices).query(own.vertices)[1]]
    if file is None:
        carved, about = hull(body, recipe, spec)
    else:
        carved = make_template(body, betas, TemplateMesh(str(file), *read_triangles(file), big_pose(), torch.zeros(3)))
        about = {}
    made = {"body": plain, "file": own, "hull": carved, "nearest": replace(own, skin_weights=few_joints(nearest))}
    return made, about


def template_figures(made: dict[str, Template], body: Body, recipe: Recipe, capture: InMemoryCapture, row: Row):
    """Silhouettes of the bare templates in trained frames, and the tear measure on the motion."""
    rows = frames_of(row.capture)["view"]
    rows = rows[:: max(1, len(rows) // IOU_FRAMES)][:IOU_FRAMES]
    every, result = list(range(row.capture.cameras)), {}
    pose, transl = torch.from_numpy(recipe.motion.pose), torch.from_numpy(recipe.motion.transl)
    seen = [masks_of(recipe, capture.pixels(r, every)[1][..., 0].cpu().numpy(), every[::3]) for r in rows]
    walk = [pose[r] for r in frames_of(row.capture)["view"]]
    for name, template in made.items():
        overlap = [silhouette_iou(template, body, pose[r], transl[r], m) for r, m in zip(rows, seen)]
        ratio = stretch(template, between_the_legs(template), template.skin_weights, walk)
        result[name] = {"template_iou": round(float(np.mean(overlap)), 4)}
        if name != "body":  # a body has no cloth between the legs
            result[name] |= {
                "stretch_p99": round(float(np.percentile(ratio, 99)), 3),
                "stretch_max": round(float(ratio.max()), 2),
            }
    return result


def train(template: Template, body: Body, capture: InMemoryCapture, row: Row, device: str) -> tuple[dict, list]:
    """The row's figures and its lower halves."""
    state = q.start(row, capture, device)
    state.avatar.lay_out(make_layout(template, body.parents, state.avatar.config))
    figures, _ = q.finish(state, row, capture, validation_of(row.capture, capture), device)
    kept = {f"{w}_{m}": figures[f"{w}_{m}"] for w in ("view", "near", "far") for m in ("psnr_crop", "ssim_crop")}
    rounded = {f"{k}_db" if "psnr" in k else k: round(v, 3) for k, v in kept.items()}
    return rounded | {"train_s": round(figures["train_s"], 1)}, lower_halves(state, capture, row)


def shown(row: Row) -> list[tuple[int, int]]:
    """(frame, held-out camera) of the pictures: trained, near, far poses."""
    camera = cameras_of(row.capture)[1]
    frames = frames_of(row.capture)
    return [(frames[w][len(frames[w]) * k // 4], camera[k % len(camera)]) for w in ("view", "far") for k in (1, 2)]


@torch.no_grad()
def lower_halves(state: q.Training | None, capture: InMemoryCapture, row: Row) -> list[np.ndarray]:
    """Pictures of the avatar, or of the capture itself."""
    tiles = []
    for frame, camera in shown(row):
        image, matte = capture.pixels(frame, [camera])
        if state is None:
            picture = q.losses.composite(image, matte, torch.ones(3, device=image.device))[0]
        else:
            pose = (capture.pose[frame], capture.transl[frame], capture.expression[frame])
            gaussians = state.avatar.eval()(*pose).gaussians
            T, K = capture.T_cam_world[[camera]], capture.K[[camera]]
            white, backend = gaussians.means.new_ones(3), resolve_backend("auto", gaussians.means.device)
            picture = rasterize(gaussians, T, K, capture.width, capture.height, white, backend).rgb[0]
        box = capture.pictures[frame][camera].box
        side = (box.y1 - box.y0) * 6 // 10
        y0, x0 = box.y1 - side, min(max((box.x0 + box.x1 - side) // 2, 0), capture.width - side)
        cut = picture[y0 : y0 + side, x0 : x0 + side].clamp(0, 1).mul(255).byte().cpu().numpy()
        tiles.append(np.asarray(Image.fromarray(cut).resize((200, 200), Image.Resampling.LANCZOS)))
    return tiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--hull", type=Path, help="a hull that --only-hull made (marching cubes need scikit-image)")
    parser.add_argument("--only-hull", type=Path, help="write the hull of this size to a file and stop")
    parser.add_argument("--hulls", type=int, nargs="+", help="only compare hulls of so many cameras")
    parser.add_argument("--hull-frames", type=int, nargs="+", default=[0, 8], help="other frames that have a say")
    parser.add_argument("--limit-s", type=float, default=1e9, help="start no further avatar after so many seconds")
    parser.add_argument("--pictures", type=Path, help="write a strip: the capture, then each avatar")
    parser.add_argument("--capture", type=Path, help="only make a template of this capture, of all its cameras")
    a = parser.parse_args()
    if a.capture is not None:
        names = {"template": "template_iou", "body surface": "body_iou"}
        result = {
            "device": common.device_name("cpu"),
            "command": common.command_line(),
            "frames": "its own, then others",
        }
        for number in a.hull_frames:
            with tempfile.TemporaryDirectory() as folder:
                hull_of = HullConfig(frames=number)
                overlap = MakeTemplate(a.capture, Path(folder) / "hull.ply", test_cameras=("none",), hull=hull_of).run()
            result[f"{number}_other_frames"] = {names[k]: [round(x, 3) for x in v] for k, v in overlap.items()}
        common.write("clothing", {a.capture.name: result})
        return
    if a.hulls is not None:
        compare_hulls(a.hulls, a.hull_frames)
        return
    began, row, body = time.perf_counter(), SIZES[a.size], load_body()
    recipe = recipe_of(row.capture, a.device)
    if a.only_hull is not None:
        import trimesh

        made, about = hull(body, recipe, row.capture)
        trimesh.Trimesh(made.vertices, made.faces, process=False).export(a.only_hull)
        common.write("clothing", {f"{a.size}_hull": about | {"device": common.device_name("cpu")}})
        return
    made, about = templates(body, recipe, row.capture, a.hull)
    capture = render_in_memory(recipe)
    result: dict[str, Any] = {
        "device": common.device_name(a.device), "command": common.command_line(), "frames": row.capture.frames,
        "cameras": row.capture.cameras, "side_px": row.capture.side, "gaussians": row.model.gaussians,
        "steps": row.steps, **about,
    }  # fmt: skip
    for name, figures in template_figures(made, body, recipe, capture, row).items():
        result[name] = {"what": VARIANTS[name], **figures}
    strips = [lower_halves(None, capture, row)]
    for name, template in made.items():
        if time.perf_counter() - began > a.limit_s:
            result[name]["not_trained"] = f"the limit of {a.limit_s:.0f} s came first"
            continue
        figures, tiles = train(template, body, capture, row, a.device)
        result[name] |= figures
        strips.append(tiles)
        common.write("clothing", {a.size: result})
        if a.pictures is not None:
            Image.fromarray(np.concatenate([np.concatenate(s, 0) for s in strips], 1)).save(a.pictures, quality=80)


if __name__ == "__main__":
    main()
