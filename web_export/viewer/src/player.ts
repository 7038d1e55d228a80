/** Plays a motion: which pose to show at which time. */
import type { Pose } from "./pose";
import { matrixToQuaternion, mixAxisAngle, quaternionToMatrix, slerp, type Vector } from "./rotation";

function mixNumbers(p: Float32Array, q: Float32Array, t: number): Float32Array {
  return Float32Array.from({ length: Math.max(p.length, q.length) }, (_, i) => (1 - t) * (p[i] ?? 0) + t * (q[i] ?? 0));
}

/** Pose between two neighbouring frames, `t` in 0..1; exactly the frame itself at 0 and 1. */
export function mixPoses(p: Pose, q: Pose, t: number): Pose {
  if (t <= 0 || p === q) return p;
  if (t >= 1) return q;
  const pose = new Float32Array(p.pose.length);
  for (let i = 0; i < pose.length; i += 3) {
    const from = p.pose.subarray(i, i + 3) as unknown as Vector;
    const to = q.pose.subarray(i, i + 3) as unknown as Vector;
    pose.set(mixAxisAngle(from, to, t), i);
  }
  return {
    pose,
    Rh: quaternionToMatrix(slerp(matrixToQuaternion(p.Rh), matrixToQuaternion(q.Rh), t)),
    Th: mixNumbers(p.Th, q.Th, t),
    expression: mixNumbers(p.expression, q.expression, t),
  };
}

/** A jump over more than this (seconds) was no drawing: a hidden tab, a dialogue. */
const LONGEST_STEP = 0.25;

/** Time is counted in frames: 0 is the first one, `frames.length - 1` the last. */
export class Player {
  playing = true;
  /** Start over after the last frame; else stop there. */
  loop = true;
  speed = 1;
  private time = 0;

  constructor(
    readonly frames: readonly Pose[],
    readonly fps: number,
  ) {}

  get position(): number {
    return this.time;
  }

  get last(): number {
    return this.frames.length - 1;
  }

  seek(frame: number): void {
    this.time = Math.min(this.last, Math.max(0, frame));
  }

  play(): void {
    if (!this.loop && this.time >= this.last) this.time = 0;
    this.playing = true;
  }

  /** Lets `seconds` pass; a long gap counts as a short one. Returns whether the motion came to its end now. */
  advance(seconds: number): boolean {
    if (!this.playing || this.last === 0) return false;
    this.time += Math.min(seconds, LONGEST_STEP) * this.fps * this.speed;
    if (this.time <= this.last) return false;
    if (this.loop) this.time %= this.last;
    else {
      this.time = this.last;
      this.playing = false;
    }
    return !this.loop;
  }

  pose(): Pose {
    const frame = Math.floor(this.time);
    return mixPoses(this.frames[frame]!, this.frames[Math.min(frame + 1, this.last)]!, this.time - frame);
  }
}
