/** What drawing costs, as a table; and the one-line readout that opens it. */
import type { Stats } from "../api";
import { h } from "./dom";

const count = (n: number) => Math.round(n).toLocaleString("en");
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const milliseconds = (ms: number) => `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
const drawn = ({ drawnSplats, splats }: Stats) => `${drawnSplats === splats ? "" : `${count(drawnSplats)} of `}${count(splats)}`;
const rate = (fps: number) => fps.toFixed(fps < 10 ? 1 : 0);

/** Degrees beyond training from which a pose counts as outside; trained_poses.py has the same. */
const TOLERANCE = 5;

/** Regions of the body whose pose is unlike any of training, the furthest first, with the degrees. */
export function outside({ poseDistance }: Pick<Stats, "poseDistance">): (readonly [string, number])[] {
  return Object.entries(poseDistance).filter(([, degrees]) => degrees > TOLERANCE).sort(([, a], [, b]) => b - a);
}

/** Rows of the table: what, how much. */
export function rows(stats: Stats): (readonly [string, string])[] {
  const passes = Object.entries(stats.passMilliseconds).map(([name, ms]) => [`· ${name}`, milliseconds(ms)] as const);
  const refresh = `${stats.refreshHz} Hz${stats.isRefreshCapped && stats.refreshHz <= 60 ? " (limit of iOS)" : ""}`;
  return [
    ["Pictures a second", rate(stats.fps)],
    ["Animation frames", refresh],
    ["GPU", stats.gpuMilliseconds === null ? "no timestamps" : milliseconds(stats.gpuMilliseconds)],
    ...passes,
    ["Splats drawn", drawn(stats)],
    ...(stats.visibleSplats === null ? [] : [["Of these seen", count(stats.visibleSplats)] as const]),
    ...(stats.fragments === null ? [] : [["Fragments", `${(stats.fragments / 1e6).toFixed(2)} M (estimate)`] as const]),
    ["Picture", `${stats.width} × ${stats.height}, ratio ${stats.pixelRatio.toFixed(2)}`],
    ["Governor", `${stats.governor}, ${Math.round(100 * stats.scale)} %, level ${stats.level}`],
    ["Downloaded", megabytes(stats.downloadedBytes)],
    ["On the GPU", megabytes(stats.gpuBytes)],
    ...(stats.avatars > 1 ? [["Avatars", `${stats.avatars}, ${stats.culledAvatars} out of view`] as const] : []),
    ...(Object.keys(stats.poseDistance).length > 0 ? [["Pose", poseText(stats)] as const] : []),
    ["Adapter", stats.adapter || "hidden by the browser"],
  ];
}

/** Where the pose is beyond those of training, in words. */
export function poseText(stats: Pick<Stats, "poseDistance">): string {
  const regions = outside(stats).map(([region, degrees]) => `${region} ${Math.round(degrees)}°`);
  return regions.length > 0 ? `outside of training: ${regions.join(", ")}` : "as in training";
}

export class Statistics {
  readonly readout = h("button", { id: "readout", type: "button", title: "Statistics", "aria-expanded": "false", hidden: true });
  readonly root = h("div", { id: "stats", role: "region", "aria-label": "Statistics", hidden: true });
  private readonly table = h("dl");
  private readonly details = h("p", { class: "keys" });

  /** `toggle`: what a click on the readout does. */
  constructor(toggle: () => void) {
    this.root.append(this.table, this.details);
    this.readout.addEventListener("click", toggle);
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  set isOpen(isOpen: boolean) {
    this.root.hidden = !isOpen;
    this.readout.setAttribute("aria-expanded", String(isOpen));
  }

  show(stats: Stats, details: string): void {
    const splats = `${drawn(stats)} splats`;
    this.readout.textContent = stats.fps > 0 ? `${rate(stats.fps)} fps · ${splats}` : splats;
    const regions = outside(stats).map(([region]) => region);
    const named = regions.slice(0, 2).join(", ") + (regions.length > 2 ? ` and ${regions.length - 2} more` : "");
    if (named) this.readout.append(h("span", { class: "warning" }, `pose outside of training: ${named}`));
    if (this.root.hidden) return;
    this.table.replaceChildren(...rows(stats).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    this.details.textContent = details;
  }
}
