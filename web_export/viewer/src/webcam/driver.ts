/** From landmarks to what `<mobile-avatar>` shows: smoothed, retargeted, one after another. No document in here. */
import type { EditedPose, PoseFrame, PoseSkeleton } from "../api";
import { facing, flipped, type Landmarks, retargeted } from "../posing/landmarks";
import { fromFrame, toFrame } from "../posing/public";
import { Smoother } from "../posing/smoothing";
import type { Quaternion } from "../rotation";

export class Driver {
  private readonly smoother = new Smoother();
  private readonly stands: Quaternion;
  private pose: EditedPose;

  /** `start`: where the avatar stands, and which way it looks at the camera. */
  constructor(
    private readonly skeleton: PoseSkeleton,
    start: PoseFrame,
  ) {
    this.pose = fromFrame(skeleton, start);
    this.stands = facing(this.pose.pose[0]!);
  }

  /** The pose at a time. `isMirrored`: the avatar moves as a mirror image would. */
  next(marks: Landmarks, seconds: number, isMirrored: boolean): PoseFrame {
    const smooth = this.smoother.next(isMirrored ? flipped(marks) : marks, seconds);
    this.pose = retargeted(this.skeleton, smooth, this.pose, this.stands);
    return toFrame(this.skeleton, this.pose);
  }
}
