/** Landmarks out of the results of MediaPipe Tasks Vision: of its pose, hand and face landmarkers for one picture. */
import type { Vector } from "../rotation";
import type { Landmarks } from "./landmarks";
import { MARKS } from "./table";

/** What is used of MediaPipe's own types; `x` and `y` of a picture are shares of its width and height. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly visibility?: number;
}
export interface PoseResult {
  readonly landmarks: readonly (readonly Place[])[];
  readonly worldLandmarks: readonly (readonly Place[])[];
}
export type HandResult = PoseResult;
export interface FaceResult {
  readonly faceLandmarks: readonly (readonly Place[])[];
  readonly faceBlendshapes?: readonly { readonly categories: readonly { readonly categoryName: string; readonly score: number }[] }[];
}

/** Of the face's 478: beside the left ear, beside the right ear, top of the forehead, chin. */
const FACE = [454, 234, 10, 152] as const;

const vector = ({ x, y, z }: Place): Vector => [x, y, z];

/** Null where there is nobody. `aspect`: width over height of the picture. */
export function marksOf(pose: PoseResult, hand: HandResult | undefined, face: FaceResult | undefined, aspect: number): Landmarks | null {
  const [places] = pose.landmarks;
  const [world] = pose.worldLandmarks;
  if (!places || !world) return null;
  const hands = handsOf(hand, places, aspect);
  const outline = face?.faceLandmarks[0];
  const shapes = face?.faceBlendshapes?.[0]?.categories;
  const score = (name: string) => shapes?.find(({ categoryName }) => categoryName === name)?.score ?? 0;
  return {
    body: world.map(vector),
    visibility: world.map(({ visibility }) => visibility ?? 0),
    leftHand: hands.left,
    rightHand: hands.right,
    // depth is in the unit of the width
    face: outline ? FACE.map((i): Vector => [aspect * outline[i]!.x, outline[i]!.y, aspect * outline[i]!.z]) : null,
    jaw: shapes ? score("jawOpen") : null,
    eyes: shapes
      ? [
          [score("eyeLookOutLeft") - score("eyeLookInLeft"), score("eyeLookDownLeft") - score("eyeLookUpLeft")],
          [score("eyeLookInRight") - score("eyeLookOutRight"), score("eyeLookDownRight") - score("eyeLookUpRight")],
        ]
      : null,
  };
}

/** Hands belong to the nearer of the body's wrists: MediaPipe's own left and right depend on whether pictures are mirrored. */
function handsOf(hand: HandResult | undefined, body: readonly Place[], aspect: number) {
  const found: { left: readonly Vector[] | null; right: readonly Vector[] | null } = { left: null, right: null };
  const pairs = (hand?.landmarks ?? []).flatMap((places, i) =>
    (["left", "right"] as const).map((side) => {
      const [wrist, root] = [body[MARKS[`${side}_wrist`]]!, places[0]!];
      return { side, i, distance: Math.hypot(aspect * (wrist.x - root.x), wrist.y - root.y) };
    }),
  );
  const taken = new Set<number>();
  for (const { side, i } of pairs.sort((a, b) => a.distance - b.distance)) {
    if (found[side] || taken.has(i)) continue;
    taken.add(i);
    found[side] = hand!.worldLandmarks[i]!.map(vector);
  }
  return found;
}
