/** The mode in which people pose the person by hand: skeleton over the picture, a bar, a panel, keys. */
import type { EditedPose } from "../api";
import type { Header } from "../format";
import type { Member } from "../member";
import { fromPose, toPose } from "../posing/edited";
import { encodePose } from "../posing/link";
import { frameOf, type Pose } from "../pose";
import { h, type ICONS, iconButton } from "./dom";
import type { Host } from "./host";
import { PoseEditor } from "./pose_editor";
import { PoseOverlay } from "./pose_overlay";
import { PosePanel } from "./pose_panel";
import { Projection } from "./projection";
import { poseText } from "./statistics";

/** On a smaller element (pixels) the panel would hide the person: it opens when it is asked for. */
const WIDE = 720;

/** Standard deviations of the expression space, where the file does not say what training saw. */
const EXPRESSION = 3;
const TENTH = 10;

/** What the sliders of the expression reach: as far as training went, zero included, in whole tenths. */
export function expressionRanges(header: Pick<Header, "layer_sizes" | "num_pose_inputs" | "input_range">): (readonly [number, number])[] {
  const { layer_sizes, num_pose_inputs, input_range } = header;
  return Array.from({ length: layer_sizes[0]! - num_pose_inputs }, (_, i) => {
    const [low, high] = (input_range ?? [[], []]).map((row) => row[num_pose_inputs + i]) as [number?, number?];
    if (low === undefined || high === undefined) return [-EXPRESSION, EXPRESSION];
    return [Math.min(0, Math.floor(TENTH * low) / TENTH), Math.max(TENTH ** -1, Math.ceil(TENTH * high) / TENTH)];
  });
}

/** What there is while somebody poses. */
interface Work {
  readonly member: Member;
  readonly editor: PoseEditor;
  readonly overlay: PoseOverlay;
  readonly panel: PosePanel;
}

export class PoseMode {
  readonly bar = h("div", { id: "pose-bar", role: "toolbar", "aria-label": "Pose", hidden: true });
  private readonly file = h("input", { type: "file", accept: ".json,.bin", tabindex: -1, hidden: true });
  private readonly panelButton = this.button("pose-sliders", "menu", "Sliders", () => this.togglePanel());
  private readonly undoButton = this.button("pose-undo", "undo", "Undo (Ctrl+Z)", () => this.undo());
  private readonly redoButton = this.button("pose-redo", "redo", "Redo (Ctrl+Shift+Z)", () => this.redo());
  private work: Work | undefined;
  /** What this mode has shown last. */
  private ours: Pose | undefined;

  /** `changed`: the mode was entered or left. */
  constructor(
    private readonly host: Host,
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: () => void,
  ) {
    const done = h("button", { id: "pose-done", type: "button" }, "Done");
    done.addEventListener("click", () => this.toggle(false));
    this.bar.append(
      this.panelButton,
      this.undoButton,
      this.redoButton,
      this.button("pose-mirror", "mirror", "Mirror (X)", () => this.mirror()),
      this.button("pose-reset", "reset", "Reset", () => this.reset()),
      done,
      this.file,
    );
    this.file.addEventListener("change", () => {
      const [file] = this.file.files ?? [];
      if (file) host.openPose(file);
      this.file.value = "";
    });
  }

  private button(id: string, name: keyof typeof ICONS, label: string, run: () => void): HTMLButtonElement {
    const button = iconButton(id, name, label);
    button.addEventListener("click", run);
    return button;
  }

  get isOpen(): boolean {
    return this.work !== undefined;
  }

  toggle(open = !this.isOpen): void {
    if (open === this.isOpen) return;
    if (open) this.enter();
    else this.leave();
    this.changed();
  }

  /** Takes everything off the element. */
  remove(): void {
    this.toggle(false);
    this.bar.remove();
  }

  private enter(): void {
    const member = this.host.avatar;
    if (!member) return;
    const { skeleton } = member;
    const start = fromPose(skeleton, member.person.pose());
    const use = (pose: EditedPose) => {
      this.host.editPose(frameOf(toPose(skeleton, pose)));
      this.ours = member.person.pose();
      this.show();
    };
    const editor = new PoseEditor(skeleton, start, use);
    const choose = (joint: number) => {
      editor.joint = joint;
      panel.openJoint();
      this.show();
    };
    const panel = new PosePanel(editor, expressionRanges(member.avatar.header), this.actions(member), choose);
    const overlay = new PoseOverlay(editor, this.canvas, () => this.projection(member), choose);
    this.work = { member, editor, overlay, panel };
    this.host.holdView(true);
    this.bar.before(...overlay.parts, panel.root);
    this.bar.hidden = false;
    this.togglePanel(this.canvas.clientWidth >= WIDE);
    this.host.say("Pose: drag hands, feet, elbows, knees and pelvis; choose a joint to turn it. Escape ends.");
    use(start);
  }

  private leave(): void {
    const { overlay, panel } = this.work!;
    this.work = undefined;
    for (const part of [...overlay.parts, panel.root]) part.remove();
    this.bar.hidden = true;
    this.host.holdView(false);
    this.canvas.focus({ preventScroll: true });
  }

  private projection(member: Member): Projection | undefined {
    const camera = this.host.scene?.camera;
    return camera && new Projection(camera, member.person.T_world_avatar, this.canvas.clientWidth, this.canvas.clientHeight);
  }

  private actions(member: Member) {
    return {
      save: () => this.host.savePose(member.getPose()),
      open: () => this.file.click(),
      copyLink: this.host.hasPoseLink ? () => this.host.copyLink(encodePose(this.work!.editor.pose)) : undefined,
    };
  }

  private togglePanel(open = this.work?.panel.root.hidden ?? false): void {
    if (this.work) this.work.panel.root.hidden = !open;
    this.panelButton.setAttribute("aria-expanded", String(open));
  }

  private undo(): void {
    this.host.say(this.work?.editor.undo() ? "Undone" : "Nothing to undo");
  }

  private redo(): void {
    this.host.say(this.work?.editor.redo() ? "Done again" : "Nothing to do again");
  }

  private mirror(): void {
    this.work?.editor.mirror();
    this.host.say("Mirrored");
  }

  private reset(): void {
    this.work?.editor.reset();
    this.host.say("Reset");
  }

  /** Whether the key was one of this mode's. */
  onKey(event: KeyboardEvent): boolean {
    const key = event.key.toLowerCase();
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && key === "z") (event.shiftKey ? this.redo() : this.undo());
    else if (isCommand && key === "y") this.redo();
    else if (isCommand || event.altKey) return false;
    else if (key === "escape") this.toggle(false);
    else if (key === "x") this.mirror();
    else return false;
    event.preventDefault();
    return true;
  }

  /** After a picture or a change. A motion that plays, or another avatar, ends the mode; a pose set by a script joins it. */
  show(): void {
    const { work, host } = this;
    if (!work) return;
    const { member, editor, overlay, panel } = work;
    if (host.avatar !== member || !member.person.isHeld) return this.toggle(false);
    const shown = member.person.pose();
    if (shown !== this.ours) {
      this.ours = shown;
      editor.adopt(fromPose(member.skeleton, shown));
    }
    overlay.show();
    const { stats } = host;
    panel.show(stats && Object.keys(stats.poseDistance).length > 0 ? `Pose: ${poseText(stats)}` : "");
    // not `disabled`: the button would lose the focus
    this.undoButton.setAttribute("aria-disabled", String(!editor.history.canUndo));
    this.redoButton.setAttribute("aria-disabled", String(!editor.history.canRedo));
  }
}
