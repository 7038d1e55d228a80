/** Mouse and fingers -> orbit: one pointer turns, two fingers pinch and shift, wheel zooms, right or middle button shifts. */
import type { Orbit } from "./camera";

const WHEEL_ZOOM = 0.0015;

interface Spot {
  x: number;
  y: number;
}

/** Middle and spread of the pointers that are down. */
function summary(spots: readonly Spot[]): { x: number; y: number; spread: number } {
  const x = spots.reduce((sum, s) => sum + s.x, 0) / spots.length;
  const y = spots.reduce((sum, s) => sum + s.y, 0) / spots.length;
  return { x, y, spread: spots.length < 2 ? 0 : Math.hypot(spots[0]!.x - spots[1]!.x, spots[0]!.y - spots[1]!.y) };
}

export function steer(canvas: HTMLCanvasElement, orbit: Orbit, changed: () => void): void {
  const down = new Map<number, Spot>();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const spot = down.get(event.pointerId);
    if (!spot) return;
    const before = summary([...down.values()]);
    [spot.x, spot.y] = [event.clientX, event.clientY];
    const after = summary([...down.values()]);
    const height = canvas.clientHeight;
    const [dx, dy] = [(after.x - before.x) / height, (after.y - before.y) / height];
    const shifting = down.size > 1 || (event.buttons & 6) !== 0 || event.shiftKey;
    if (shifting) orbit.shift(dx, dy, canvas.clientWidth, height);
    else orbit.turn(dx, dy);
    if (before.spread > 0 && after.spread > 0) orbit.scale(before.spread / after.spread);
    changed();
  });
  const release = (event: PointerEvent) => down.delete(event.pointerId);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => {
    orbit.reset();
    changed();
  });
  const onWheel = (event: WheelEvent) => {
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
    orbit.scale(Math.exp(pixels * WHEEL_ZOOM * (event.ctrlKey ? 4 : 1)));
    changed();
  };
  canvas.addEventListener("wheel", onWheel, { passive: false });
}
