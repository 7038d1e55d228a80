"""The capture that `tests.bench.pose_safety` measures on: training motion with gaps, and motion unlike it.

    python -m tests.bench.pose_safety_capture DIR/capture --motion cmu_02_05_smplx.npz
    ns-train mobavatar-tiny --data DIR/capture --output-dir DIR --machine.device-type cpu --vis tensorboard \
        --max-num-iterations 900 --steps-per-eval-image 0 avatarrex --test-frames 40:46 80:86 120:168

Frames 0..119: procedural motion, of which 40..45 and 80..85 are held out; 120..143: another procedural motion, all its
angles times 1.5; 144..167: a stretch of a recorded motion (a file with the arrays of `smpl_params.npz`).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.demo.motion import Motion, load_motion, procedural_motion

TRAINING, FAR, RECORDED = 120, 24, 24
EXAGGERATION = 1.5


def motions(recorded: Path) -> Motion:
    """All 168 frames, one motion after the other."""
    training, far = procedural_motion(TRAINING, 3, 0), procedural_motion(FAR, 9, 11)
    parts = [training, Motion(EXAGGERATION * far.pose, far.transl, far.expression), load_motion(recorded, RECORDED, 5)]
    return Motion(*(np.concatenate([getattr(part, k) for part in parts]) for k in ("pose", "transl", "expression")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--motion", type=Path, required=True)
    args = parser.parse_args()
    motion = motions(args.motion)
    frames = len(motion.pose)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "motion.npz"
        np.savez(
            file,
            global_orient=motion.pose[:, 0],
            body_pose=motion.pose[:, 1:22].reshape(frames, -1),
            jaw_pose=motion.pose[:, 22],
            left_hand_pose=motion.pose[:, 25:40].reshape(frames, -1),
            right_hand_pose=motion.pose[:, 40:55].reshape(frames, -1),
            transl=motion.transl,
            expression=motion.expression,
        )
        DemoData(args.output, frames, 6, 144, 192, motion=file, device="cpu", workers=1, overwrite=True).main()


if __name__ == "__main__":
    main()
