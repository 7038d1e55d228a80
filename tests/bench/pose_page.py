"""Posing on the page: the time of a move of a hand in Node, and a pose saved by Python beside the same on the page.

`npm run bench` in web_export/viewer, then `python -m tests.bench.pose_page` adds its figures to
tests/bench/results/pose.json: `ik_ms_p99` and `page_ik_error_mm_p99` of 10,000 moves (see ik.ts), and
`viewer_page_psnr_db`: a frame of the sample is edited in Python (a hand and a foot pulled, a fist, a smile), saved,
opened by the page's own file dialogue in headless Chromium, and compared with the torch renderer on the person's crop
at the same camera.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import EditedPose, curled
from nerfstudio_mobavatar.posing.ik import LIMBS, Skeleton, reach, world_joints
from nerfstudio_mobavatar.web_export import bundle, cameras, evaluate, page_folder, pose_sequence
from tests import browser, renderers
from tests.bench.common import command_line, device_name, write

ROOT = Path(__file__).parents[2]
SCRIPT = Path(bundle.__file__).parent / "viewer" / "build" / "ik.mjs"
TIMEOUT_S = 300


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures."""

    folder: Path = ROOT / "docs" / "sample"
    """An exported folder."""
    frame: int = 0
    """Of its motion, which is edited."""
    height: int = 640
    """Pixels; the width is three quarters of it."""
    reaches: int = 10_000
    node: str = "node"

    def main(self) -> None:
        """Run both parts and merge the JSON."""
        arrays = bundle.load(self.folder / page_folder.AVATAR_FILE)
        skeleton = Skeleton(np.asarray(arrays.joint_rest, np.float64), tuple(int(j) for j in arrays.joint_parent))
        figures = self._reaches(skeleton)
        figures["viewer_page_psnr_db"] = round(self._psnr(arrays, skeleton), 2)
        figures["page_device"] = device_name(torch.device("cpu"))
        figures["page_command"] = command_line()
        write("pose", figures)

    def _reaches(self, skeleton: Skeleton) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "skeleton.json"
            path.write_text(json.dumps({"rest": skeleton.rest.ravel().tolist(), "parent": list(skeleton.parents)}))
            command = [self.node, str(SCRIPT), str(path), str(self.reaches)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(command)}: {done.stderr[-2000:]}; 'npm run bench' in web_export/viewer makes it"
            )
        measured = json.loads(done.stdout)
        count = measured.pop("reaches")
        return {**{key: round(value, 4) for key, value in measured.items()}, "page_reaches": count}

    def _psnr(self, arrays: bundle.AvatarArrays, skeleton: Skeleton) -> float:
        width = self.height * 3 // 4
        pose = edited(pose_sequence.read(pose_sequence.motion_of(self.folder))[self.frame], skeleton)
        T, K = cameras.front_camera(arrays.meta, width, self.height)
        with (
            tempfile.TemporaryDirectory() as folder,
            browser.serve(self.folder) as url,
            browser.browser() as opened,
            browser.avatar_page(opened, url, 900, 700) as page,
        ):
            saved = Path(folder) / "edited.pose.json"
            pose_sequence.write(saved, [pose], [0])
            page.wait_ready()
            page.open_pose(saved)
            page.look(T, K, width, self.height)
            shown = page.read_pixels(width, self.height)[..., :3]
            (read,) = pose_sequence.read(saved)
        shot = renderers.Shot(read, T, K, width, self.height)
        reference = renderers.draw_torch((self.folder / page_folder.AVATAR_FILE).read_bytes(), shot)
        crop = renderers.person_crop(reference)
        return renderers.psnr(reference[crop], shown[crop])


def edited(pose: evaluate.Pose, skeleton: Skeleton) -> evaluate.Pose:
    """The pose after what people do by hand: a raised hand, a lifted foot, a fist, a smile."""
    Rh, pelvis = pose.Rh.astype(np.float64), skeleton.rest[0]
    joints = pose.pose.astype(np.float64)
    joints[0] = Rotation.from_matrix(Rh).as_rotvec()
    now = EditedPose(joints, pose.Th + Rh @ pelvis - pelvis, np.asarray(pose.expression, np.float64))
    for limb, share in (("right_hand", 0.4), ("left_foot", 0.2)):
        at = world_joints(skeleton, now.pose, now.transl)[1]
        end = at[LIMBS[limb].end]
        target = end + share * (at[INDEX["neck"]] - end)
        now = now.with_pose(reach(skeleton, now.pose, now.transl, LIMBS[limb], target))
    now = curled(skeleton, now, "left", 0.8)
    expression = now.expression.copy()
    expression[:2] += (1.0, -1.0)
    now = replace(now, expression=expression)
    return pose_sequence.from_smplx(now.pose, now.transl, now.expression.astype(np.float32), pelvis)


if __name__ == "__main__":
    tyro.cli(Bench).main()
