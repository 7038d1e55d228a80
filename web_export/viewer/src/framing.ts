/** Where the orbit looks: at the middle of the people, following them softly. */
import { flattened, Orbit } from "./camera";
import type { Person } from "./person";
import type { Vector } from "./rotation";

const FOLLOW_SECONDS = 0.25;
/** People that jump this far (metres) were moved by the scrub bar or the loop: the view jumps along. */
const JUMP = 0.5;

const plus = (a: Vector, b: Vector, share = 1): Vector => [a[0] + share * b[0], a[1] + share * b[1], a[2] + share * b[2]];
const mean = (points: readonly Vector[]): Vector => points.reduce<Vector>((sum, p) => plus(sum, p, 1 / points.length), [0, 0, 0]);
const distance = (a: Vector, b: Vector) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

/** An orbit that shows everybody. */
export function orbitAround(people: readonly Person[]): Orbit {
  const first = people[0]!;
  const orbit = new Orbit(first.start, first.sphere().radius, first.up, first.facing);
  reframe(orbit, people);
  return orbit;
}

function middle(people: readonly Person[]): Vector {
  return mean(people.map((person) => person.start));
}

/** After somebody came, went or was placed elsewhere. */
export function reframe(orbit: Orbit, people: readonly Person[]): void {
  if (people.length === 0) return;
  orbit.target = middle(people);
  orbit.radius = Math.max(...people.map((person) => distance(person.start, orbit.target) + person.sphere().radius));
}

/** Moves the orbit's target with the people, over the ground. Returns whether it moved. */
export function follow(orbit: Orbit, people: readonly Person[], seconds: number): boolean {
  if (people.length === 0) return false;
  const walked = flattened(mean(people.map((person) => person.walked())), orbit.up);
  const goal = plus(middle(people), walked);
  const rest = distance(goal, orbit.target);
  if (rest < 1e-4) return false;
  const share = rest > JUMP ? 1 : 1 - Math.exp(-seconds / FOLLOW_SECONDS);
  orbit.target = plus(orbit.target, plus(goal, orbit.target, -1), share);
  return true;
}
