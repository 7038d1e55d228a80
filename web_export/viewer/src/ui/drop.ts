/** Files dropped onto the element. */
import { h } from "./dom";

export class DropZone {
  readonly root = h("div", { id: "drop", "aria-hidden": "true", hidden: true }, h("p", {}, "Drop an avatar (.mobavatar) or a motion (.pose.json, .pose.bin)"));

  constructor(target: HTMLElement, opened: (files: Iterable<File>) => void, signal: AbortSignal) {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    target.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.root.hidden = false;
    }, { signal });
    target.addEventListener("dragleave", (event) => {
      if (!(event.relatedTarget instanceof Node) || !target.contains(event.relatedTarget)) this.root.hidden = true;
    }, { signal });
    target.addEventListener("drop", (event) => {
      this.root.hidden = true;
      if (!hasFiles(event)) return;
      event.preventDefault();
      opened(event.dataTransfer!.files);
    }, { signal });
  }
}
