/** One person of a scene: which avatar, which motion, where it stands, what it shows now. No GPU in here. */
import type { AvatarInfo, MotionInfo, Placement, PoseFrame } from "./api";
import type { Avatar, Meta } from "./format";
import { rawInputs, type Skeleton, skeletonOf, worldJoints } from "./kinematics";
import type { Motion } from "./motion";
import { Player } from "./player";
import { parsePose, type Pose } from "./pose";
import { rodrigues, type Vector } from "./rotation";
import { poseDistance } from "./trained_poses";
import type { Sphere } from "./visibility";

const DEFAULT_FPS = 30;
const FEET = [10, 11] as const;
/** Height of the ball of the foot above the sole, metres. */
const SOLE = 0.03;

const along = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const vector = (numbers: readonly number[] | undefined, fallback: Vector): Vector =>
  numbers?.length === 3 && numbers.every(Number.isFinite) ? (numbers as unknown as Vector) : fallback;

function translation(joints: ArrayLike<number>, index: number): Vector {
  return [joints[12 * index + 3]!, joints[12 * index + 7]!, joints[12 * index + 11]!];
}

/** A pose of an avatar without a motion: the rest pose where it was captured. */
function restPose(meta: Meta): Pose {
  const Th = Float32Array.from(vector(meta.center, [0, 0, 0]));
  return { pose: new Float32Array(165), Rh: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), Th, expression: new Float32Array(10) };
}

/** The pose at one moment and its joints, as long as the moment lasts. */
interface Shown {
  readonly player: Player;
  readonly position: number;
  readonly fixed: Pose | undefined;
  readonly pose: Pose;
  readonly joints: Float64Array;
}

export class Person {
  readonly skeleton: Skeleton;
  readonly up: Vector;
  visible = true;
  player: Player;
  private motionInfo: MotionInfo;
  private fixed: Pose | undefined;
  private at: Shown | undefined;
  private placement: Required<Placement> = { position: [0, 0, 0], yaw: 0 };
  private readonly home: Vector;
  private readonly radius: number;
  private firstPelvis: Vector;

  constructor(
    readonly avatar: Avatar,
    motion: Motion | undefined,
  ) {
    const { meta } = avatar.header;
    this.skeleton = skeletonOf(avatar);
    this.up = vector(meta.up, [0, 1, 0]);
    this.motionInfo = this.infoOf(motion);
    this.player = new Player(motion?.poses ?? [restPose(meta)], this.motionInfo.fps);
    this.firstPelvis = this.bodyJoint(this.player.frames[0]!, 0);
    this.home = vector(meta.center, this.firstPelvis);
    this.radius = meta.radius ?? 1;
  }

  /** Frames a second: the motion's own, else those of the capture. */
  private infoOf(motion: Motion | undefined): MotionInfo {
    const { fps: captured } = this.avatar.header.meta;
    const fallback = captured && captured > 0 ? captured : DEFAULT_FPS;
    if (!motion) return { name: "", frames: 1, fps: fallback };
    return { name: motion.name, frames: motion.frames, fps: motion.fps > 0 ? motion.fps : fallback };
  }

  info(adapter: string): AvatarInfo {
    const { num_gaussians, meta } = this.avatar.header;
    return {
      numGaussians: num_gaussians,
      frames: this.player.frames.length,
      fps: this.player.fps,
      adapter,
      body: meta.body ?? "",
      bodyLicense: meta.body_license ?? "",
      generator: meta.generator ?? "",
    };
  }

  get motion(): MotionInfo {
    return this.motionInfo;
  }

  /** Plays another motion from its start. */
  useMotion(motion: Motion): void {
    const { playing, loop, speed } = this.player;
    this.motionInfo = this.infoOf(motion);
    this.player = Object.assign(new Player(motion.poses, this.motionInfo.fps), { playing, loop, speed });
    this.fixed = undefined;
    this.firstPelvis = this.bodyJoint(motion.poses[0]!, 0);
  }

  /** A frame (index) or a pose to stand still at; null goes back to the motion. */
  hold(pose: number | PoseFrame | null): void {
    if (typeof pose !== "number") {
      this.fixed = pose === null ? undefined : parsePose(pose);
      return;
    }
    const { frames, last } = this.player;
    if (!frames[pose]) throw new RangeError(`there is no frame ${pose}; the motion has frames 0..${last}`);
    this.fixed = frames[pose];
  }

  /** By region of the body: radians by which the pose that is shown is beyond those of training. */
  distance(): Map<string, number> {
    const { header } = this.avatar;
    return poseDistance(rawInputs(this.pose(), header.layer_sizes[0]!, header.num_pose_inputs), header);
  }

  get isHeld(): boolean {
    return this.fixed !== undefined;
  }

  place({ position, yaw }: Placement): void {
    this.placement = { position: position ?? this.placement.position, yaw: yaw ?? this.placement.yaw };
  }

  /** The pose that is shown, in the avatar's own world; the same object until it changes. */
  pose(): Pose {
    const { player, fixed } = this;
    if (this.at?.player !== player || this.at.position !== player.position || this.at.fixed !== fixed) {
      const pose = fixed ?? player.pose();
      this.at = { player, position: player.position, fixed, pose, joints: worldJoints(this.skeleton, pose) };
    }
    return this.at.pose;
  }

  /** Where the avatar's own world lies in the scene, 16 numbers row by row: turned about the person, then moved. */
  get T_world_avatar(): readonly number[] {
    const { position, yaw } = this.placement;
    const R = new Float64Array(9);
    rodrigues(this.up[0] * yaw, this.up[1] * yaw, this.up[2] * yaw, R);
    const rows = [0, 1, 2].map((r) => {
      const turned = this.home.reduce((sum, h, c) => sum + R[3 * r + c]! * h, 0);
      return [R[3 * r]!, R[3 * r + 1]!, R[3 * r + 2]!, this.home[r]! - turned + position[r]!];
    });
    return [...rows.flat(), 0, 0, 0, 1];
  }

  private inScene(p: Vector): Vector {
    const T = this.T_world_avatar;
    return [0, 4, 8].map((r) => T[r]! * p[0] + T[r + 1]! * p[1] + T[r + 2]! * p[2] + T[r + 3]!) as unknown as Vector;
  }

  /** A joint of the pose that is shown, in the scene. */
  joint(index: number): Vector {
    this.pose();
    return this.inScene(translation(this.at!.joints, index));
  }

  private bodyJoint(pose: Pose, index: number): Vector {
    return translation(worldJoints(this.skeleton, pose), index);
  }

  /** Sphere around the person; it moves with the pelvis. */
  sphere(): Sphere {
    const walked = this.walked();
    return { center: this.start.map((x, i) => x + walked[i]!) as unknown as Vector, radius: this.radius };
  }

  /** Where the middle of the person was in the first frame, as placed; the camera's first target. */
  get start(): Vector {
    return this.home.map((h, i) => h + this.placement.position[i]!) as unknown as Vector;
  }

  /** How far the person has walked from its first frame, metres, scene axes. */
  walked(): Vector {
    const first = this.inScene(this.firstPelvis);
    return this.joint(0).map((x, i) => x - first[i]!) as unknown as Vector;
  }

  /** The direction that a body at rest looks to (+z) in the first frame. */
  get facing(): Vector {
    const { Rh } = this.player.frames[0]!;
    return vector(this.avatar.header.meta.front, [Rh[2]!, Rh[5]!, Rh[8]!]);
  }

  /** Where the soles are in most of the motion, along the up axis; single frames may be fitted too low. */
  floorHeight(): number {
    const { frames } = this.player;
    const stride = Math.max(1, Math.floor(frames.length / 200));
    const heights = frames
      .filter((_, i) => i % stride === 0)
      .map((pose) => Math.min(...FEET.map((foot) => along(this.bodyJoint(pose, foot), this.up))))
      .sort((a, b) => a - b);
    return heights[Math.floor(0.05 * heights.length)]! - SOLE + along(this.placement.position, this.up);
  }
}
