/** Mouse and fingers -> orbit: one pointer turns, two fingers pinch and shift, wheel zooms, right or middle button shifts. */
import type { Orbit } from "./camera";

const WHEEL_ZOOM = 0.0015;

interface Spot {
  x: number;
  y: number;
}

/** Middle and spread of the pointers that are down. */
function summary(spots: readonly Spot[]): { x: number; y: number; spread: number } {
  if (spots.length === 0) return { x: 0, y: 0, spread: 0 };
  const x = spots.reduce((sum, s) => sum + s.x, 0) / spots.length;
  const y = spots.reduce((sum, s) => sum + s.y, 0) / spots.length;
  return { x, y, spread: spots.length < 2 ? 0 : Math.hypot(spots[0]!.x - spots[1]!.x, spots[0]!.y - spots[1]!.y) };
}

/** Lets pointers on the canvas move whatever orbit there is; `disconnect` ends it. */
export function steer(canvas: HTMLCanvasElement, current: () => Orbit | undefined, changed: () => void): { disconnect(): void } {
  const stop = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void) =>
    canvas.addEventListener(type, listener, { passive: false, signal: stop.signal });
  const down = new Map<number, Spot>();
  let before = summary([]);
  let isShifting = false;
  let isWaiting = false;

  /** Applies what moved since the last time. Once per frame: with two fingers, each comes as an event of its own. */
  const apply = () => {
    isWaiting = false;
    const orbit = current();
    if (down.size === 0 || !orbit) return;
    const after = summary([...down.values()]);
    const height = canvas.clientHeight;
    const [dx, dy] = [(after.x - before.x) / height, (after.y - before.y) / height];
    if (down.size > 1 || isShifting) orbit.shift(dx, dy, canvas.clientWidth, height);
    else orbit.turn(dx, dy);
    if (before.spread > 0 && after.spread > 0) orbit.scale(before.spread / after.spread);
    before = after;
    changed();
  };

  on("pointerdown", (event) => {
    apply();
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    isShifting = event.button !== 0 || event.shiftKey;
    before = summary([...down.values()]);
  });
  on("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!isWaiting) requestAnimationFrame(apply);
    isWaiting = true;
  });
  const release = (event: PointerEvent) => {
    apply();
    down.delete(event.pointerId);
    before = summary([...down.values()]);
  };
  on("pointerup", release);
  on("pointercancel", release);
  on("contextmenu", (event) => event.preventDefault());
  on("dblclick", () => {
    current()?.reset();
    changed();
  });
  on("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
    current()?.scale(Math.exp(pixels * WHEEL_ZOOM * (event.ctrlKey ? 4 : 1)));
    changed();
  });
  return { disconnect: () => stop.abort() };
}
