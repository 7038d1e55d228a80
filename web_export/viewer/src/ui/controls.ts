/** The user interface of the element: bar, menu, statistics, dropped files, keys. */
import { Bar } from "./bar";
import { DropZone } from "./drop";
import type { Host } from "./host";
import { keyHandler } from "./keys";
import { Menu } from "./menu";
import { Statistics } from "./statistics";

const READOUT_MILLISECONDS = 1000;

export class Controls {
  /** Handles a keydown event, also one that happened elsewhere on the page. */
  readonly onKey: (event: KeyboardEvent) => void;
  private readonly bar: Bar;
  private readonly menu: Menu;
  private readonly statistics: Statistics;
  private readonly drop: DropZone;
  private readonly end = new AbortController();
  private lastReadout = Number.NEGATIVE_INFINITY;

  constructor(
    readonly host: Host,
    element: HTMLElement,
    root: ShadowRoot,
  ) {
    const { signal } = this.end;
    const toggleStatistics = () => this.openStatistics(!this.statistics.isOpen);
    this.statistics = new Statistics(toggleStatistics);
    this.bar = new Bar(host);
    this.menu = new Menu(host, this.bar.menuButton, toggleStatistics);
    this.drop = new DropZone(element, (files) => host.openFiles(files), signal);
    this.onKey = keyHandler(host, () => this.menu.toggle(), toggleStatistics);
    const handle = (event: KeyboardEvent) => {
      if (this.isShown) this.onKey(event);
    };
    element.addEventListener("keydown", handle, { signal });
    root.append(...this.parts);
  }

  private get parts(): HTMLElement[] {
    return [this.statistics.readout, this.statistics.root, this.menu.root, this.bar.root, this.drop.root];
  }

  /** Takes everything off the element again. */
  remove(): void {
    this.end.abort();
    for (const part of this.parts) part.remove();
  }

  get isShown(): boolean {
    return !this.bar.root.hidden;
  }

  set isShown(isShown: boolean) {
    this.bar.root.hidden = !isShown;
    this.statistics.readout.hidden = !isShown;
    if (isShown) return;
    if (this.menu.isOpen) this.menu.toggle(false);
    if (this.statistics.isOpen) this.openStatistics(false);
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
    if (this.menu.isOpen) this.menu.show();
    if (now - this.lastReadout < READOUT_MILLISECONDS || !this.host.stats) return;
    this.lastReadout = now;
    this.statistics.show(this.host.stats, this.host.details);
  }
}
