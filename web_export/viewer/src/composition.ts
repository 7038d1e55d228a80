/** What one picture shows: through which camera, whom in which pose and detail, in front of what. */
import type { Background, CameraView, OrbitView } from "./api";
import { parseBackground, SHADOWS, stageValues } from "./backdrop";
import type { Camera, Orbit } from "./camera";
import { chooseLevel } from "./detail";
import { follow, orbitAround, reframe } from "./framing";
import type { Member } from "./member";
import type { Shown } from "./painter";
import type { Person } from "./person";
import { checkedCamera, isOrbit } from "./view";
import { isVisible, pixelsPerMetre } from "./visibility";

export interface Picture {
  readonly camera: Camera;
  readonly shown: readonly Shown[];
  readonly stage: Float32Array<ArrayBuffer>;
}

export class Composition {
  readonly members: Member[] = [];
  orbit: Orbit | undefined;
  /** People outside of the last picture. */
  culled = 0;
  /** Gaussians of the others, at their levels of detail. */
  splats = 0;
  /** The view stays where it is, whoever walks: while somebody is posed by hand. */
  isViewHeld = false;
  private fixedCamera: Camera | undefined;
  private name: Background = "stage";
  private color: ReturnType<typeof parseBackground>;
  private floor = 0;

  get people(): readonly Person[] {
    return this.members.map(({ person }) => person);
  }

  get background(): Background {
    return this.name;
  }

  set background(background: Background) {
    this.color = parseBackground(background);
    this.name = background;
  }

  /** Somebody came, went, was placed elsewhere or moves differently. */
  reframe(): void {
    const { people } = this;
    if (people.length === 0) return;
    this.floor = Math.min(...people.map((person) => person.floorHeight()));
    if (this.orbit) reframe(this.orbit, people);
    else this.orbit = orbitAround(people);
  }

  setCamera(view: CameraView | OrbitView | null): void {
    this.fixedCamera = view === null || isOrbit(view) ? undefined : checkedCamera(view);
    if (view === null) this.orbit?.reset();
    else if (isOrbit(view)) this.orbit?.set(view);
  }

  /** Lets the orbit follow the people for `seconds`. Returns whether it moved. */
  follow(seconds: number): boolean {
    if (this.isViewHeld || this.fixedCamera) return false;
    return this.orbit !== undefined && follow(this.orbit, this.people, seconds);
  }

  get view(): Required<OrbitView> | undefined {
    return this.fixedCamera ? undefined : this.orbit?.view;
  }

  /** Of a picture of this size; undefined while nobody is there. */
  camera(width: number, height: number): Camera | undefined {
    return this.fixedCamera ?? this.orbit?.camera(width, height);
  }

  /** The next picture; undefined while nobody is there. Gaussians need only be enough for `detail` times its pixels per metre. */
  compose(width: number, height: number, detail: number): Picture | undefined {
    const camera = this.camera(width, height);
    if (!camera) return undefined;
    const present = this.members.filter(({ visible }) => visible);
    const shown = present.filter(({ person }) => isVisible(camera, person.sphere()));
    this.culled = present.length - shown.length;
    this.splats = 0;
    for (const member of shown) {
      const { levels, level, person } = member;
      member.level = chooseLevel(levels, detail * pixelsPerMetre(camera, person.sphere()), level);
      this.splats += levels.at(-1 - member.level)!.count;
    }
    return {
      camera,
      shown: shown.map((member) => ({ member, level: member.level, pose: member.person.pose(), T_world_avatar: member.person.T_world_avatar })),
      stage: this.stage(shown.map(({ person }) => person)),
    };
  }

  /** By region of the body: degrees by which the visible people's poses are beyond those of training, the furthest counts. */
  poseDistance(): Record<string, number> {
    const furthest: Record<string, number> = {};
    for (const { person } of this.members.filter(({ visible }) => visible)) {
      for (const [region, radians] of person.distance()) {
        furthest[region] = Math.max(furthest[region] ?? 0, (radians * 180) / Math.PI);
      }
    }
    return furthest;
  }

  private stage(people: readonly Person[]): Float32Array<ArrayBuffer> {
    const { up, target } = this.orbit!;
    // feet and pelvis of one person; of several, who is in front: the pelvis of each
    const [pelvis] = SHADOWS.slice(-1);
    const joints = people.length > 1 ? [pelvis!] : SHADOWS;
    const casters = people.flatMap((person) => joints.map(([joint, radius]) => [person.joint(joint), radius] as const));
    return stageValues({ up, floor: this.floor, center: target, casters }, this.color);
  }
}
