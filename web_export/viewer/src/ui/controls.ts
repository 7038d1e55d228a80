/** The user interface of the element: bar, menu, statistics, dropped files, keys. */
import { Bar } from "./bar";
import { DropZone } from "./drop";
import type { Host } from "./host";
import { keyHandler } from "./keys";
import { Menu } from "./menu";
import { PoseMode } from "./pose_mode";
import { Statistics } from "./statistics";

const READOUT_MILLISECONDS = 1000;

export class Controls {
  /** Handles a keydown event, also one that happened elsewhere on the page. */
  readonly onKey: (event: KeyboardEvent) => void;
  private readonly bar: Bar;
  private readonly menu: Menu;
  private readonly statistics: Statistics;
  private readonly drop: DropZone;
  private readonly pose: PoseMode;
  private isOn = false;
  private readonly end = new AbortController();
  private lastReadout = Number.NEGATIVE_INFINITY;
  private later = 0;

  constructor(
    readonly host: Host,
    element: HTMLElement,
    root: ShadowRoot,
    canvas: HTMLCanvasElement,
  ) {
    const { signal } = this.end;
    const toggleStatistics = () => this.openStatistics(!this.statistics.isOpen);
    this.statistics = new Statistics(toggleStatistics);
    const togglePose = () => this.pose.toggle();
    this.pose = new PoseMode(host, canvas, () => this.arrange());
    this.bar = new Bar(host, togglePose);
    this.menu = new Menu(host, this.bar.menuButton, toggleStatistics);
    this.drop = new DropZone(element, (files) => host.openFiles(files), signal);
    const player = keyHandler(host, { menu: () => this.menu.toggle(), statistics: toggleStatistics, pose: togglePose }, () => this.pose.isOpen);
    this.onKey = (event) => {
      if (!event.defaultPrevented && !(this.pose.isOpen && this.pose.onKey(event))) player(event);
    };
    const handle = (event: KeyboardEvent) => {
      if (this.isShown) this.onKey(event);
    };
    element.addEventListener("keydown", handle, { signal });
    root.append(...this.parts);
  }

  private get parts(): HTMLElement[] {
    return [this.statistics.readout, this.statistics.root, this.menu.root, this.bar.root, this.pose.bar, this.drop.root];
  }

  /** Takes everything off the element again. */
  remove(): void {
    this.end.abort();
    this.pose.remove();
    for (const part of this.parts) part.remove();
  }

  get isShown(): boolean {
    return this.isOn;
  }

  set isShown(isShown: boolean) {
    this.isOn = isShown;
    this.arrange();
    this.statistics.readout.hidden = !isShown;
    if (isShown) return;
    this.pose.toggle(false);
    if (this.menu.isOpen) this.menu.toggle(false);
    if (this.statistics.isOpen) this.openStatistics(false);
  }

  /** One bar at a time. */
  private arrange(): void {
    this.bar.root.hidden = !this.isOn || this.pose.isOpen;
    if (this.pose.isOpen) this.menu.toggle(false);
  }

  private openStatistics(isOpen: boolean): void {
    this.statistics.isOpen = isOpen;
    this.host.timePasses(isOpen);
    this.lastReadout = Number.NEGATIVE_INFINITY;
    this.show();
  }

  /** After a picture or a change: what the player and the choices are now. */
  show(now = performance.now()): void {
    if (!this.isShown) return;
    this.bar.show();
    this.pose.show();
    if (this.menu.isOpen) this.menu.show();
    clearTimeout(this.later);
    this.later = window.setTimeout(() => this.readOut(), READOUT_MILLISECONDS); // this may be the last picture for long
    if (now - this.lastReadout >= READOUT_MILLISECONDS) this.readOut(now);
  }

  private readOut(now = performance.now()): void {
    const { stats, details } = this.host;
    if (!stats) return;
    this.lastReadout = now;
    this.statistics.show(stats, details);
  }
}
