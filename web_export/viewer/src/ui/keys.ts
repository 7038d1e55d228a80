/** Keys -> the same things that buttons and pointers do. */
import type { Host } from "./host";
import { BACKGROUNDS, SPEEDS } from "./menu";

const TURN = Math.PI / 24;
const ZOOM = 1.12;

function next<T>(list: readonly T[], current: T, by = 1): T {
  return list[(list.indexOf(current) + by + list.length) % list.length]!;
}

/** What opens and closes. */
interface Toggles {
  menu(): void;
  statistics(): void;
  pose(): void;
}

/** Keys that leave the pose alone. */
const VIEW_KEYS = new Set(["a", "d", "w", "s", "+", "=", "-", "r", "b", "i", "p", "e", "f"]);

function actions(host: Host, { menu, statistics, pose }: Toggles): Record<string, () => void> {
  const go = (frame: number) => {
    host.pause();
    host.seek(frame);
  };
  const faster = (by: number) => {
    const at = SPEEDS.findIndex((speed) => speed >= host.speed);
    host.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))]!;
  };
  return {
    " ": () => host.toggle(),
    k: () => host.toggle(),
    arrowright: () => go(Math.floor(host.frame) + 1),
    arrowleft: () => go(Math.ceil(host.frame) - 1),
    "shift+arrowright": () => go(host.frame + host.fps),
    "shift+arrowleft": () => go(host.frame - host.fps),
    home: () => go(0),
    end: () => go(host.last),
    ".": () => faster(1),
    ",": () => faster(-1),
    a: () => host.turn(-TURN, 0),
    d: () => host.turn(TURN, 0),
    w: () => host.turn(0, TURN),
    s: () => host.turn(0, -TURN),
    "+": () => host.zoom(1 / ZOOM),
    "=": () => host.zoom(1 / ZOOM),
    "-": () => host.zoom(ZOOM),
    r: () => host.resetView(),
    m: () => host.chooseMotion((host.motionIndex + 1) % Math.max(1, host.motionList.length)),
    b: () => {
      host.background = next(BACKGROUNDS.map(([, value]) => value), host.background);
    },
    i: statistics,
    p: () => host.takePicture(),
    e: pose,
    f: () => host.toggleFullscreen(),
    "?": menu,
    o: menu,
  };
}

/** A handler of keydown events; leaves alone what belongs to the button or field that has the focus. */
export function keyHandler(host: Host, toggles: Toggles, isPosing: () => boolean): (event: KeyboardEvent) => void {
  const table = actions(host, toggles);
  return (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    const isButton = target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
    const isField = target instanceof HTMLInputElement && (target.type !== "range" || /^(Arrow|Home|End|Page)/.test(event.key));
    if (isButton || (isField && event.key !== "Escape" && event.key.length !== 1)) return;
    if (target instanceof HTMLInputElement && target.type === "radio" && event.key === " ") return;
    if (target instanceof HTMLSelectElement) return;
    const key = event.key.toLowerCase();
    if (isPosing() && !VIEW_KEYS.has(key)) return;
    const run = (event.shiftKey ? table[`shift+${key}`] : undefined) ?? table[key];
    if (!run) return;
    run();
    event.preventDefault();
  };
}
