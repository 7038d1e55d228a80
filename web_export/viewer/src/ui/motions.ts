/** The motions that a person may choose from: those of an index (`motions.json`), and those that came as files. */
import type { MotionInfo, MotionSource } from "../api";
import { ViewerError } from "../errors";
import { loadText, nameOf } from "../load";

export interface Choice extends MotionInfo {
  readonly source: MotionSource;
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;

/** One row of the index; `base` is the address of the index, which `file` is relative to. */
function choice(row: unknown, base: string): Choice | undefined {
  if (typeof row !== "object" || row === null) return undefined;
  const { name, file, frames, fps } = row as Record<string, unknown>;
  if (typeof name !== "string" || typeof file !== "string" || !isCount(frames) || !isCount(fps)) return undefined;
  return URL.canParse(file, base) ? { name, frames, fps, source: new URL(file, base).href } : undefined;
}

/** Throws ViewerError naming the file and the row. */
export async function loadChoices(address: string): Promise<Choice[]> {
  const base = new URL(address, document.baseURI).href;
  const refuse = (found: string) =>
    new ViewerError("bad-motion", `${nameOf(base)}: expected a list of {name, file, frames, fps}, found ${found}; export it again`);
  let rows: unknown;
  try {
    rows = JSON.parse(await loadText(base));
  } catch (error) {
    if (error instanceof ViewerError) throw error;
    throw refuse("what is not JSON");
  }
  if (!Array.isArray(rows) || rows.length === 0) throw refuse("no list");
  return rows.map((row, i) => {
    const found = choice(row, base);
    if (!found) throw refuse(`row ${i} without them`);
    return found;
  });
}

const address = (source: MotionSource) => (typeof source === "string" || source instanceof URL ? new URL(source, document.baseURI).href : source);

export class MotionList {
  index = -1;
  private choices: Choice[] = [];

  get all(): readonly Choice[] {
    return this.choices;
  }

  /** Puts the motions of an index first; those that came otherwise stay. */
  fill(choices: readonly Choice[]): void {
    const current = this.choices[this.index];
    const known = new Set(choices.map(({ source }) => source));
    this.choices = [...choices, ...this.choices.filter(({ source }) => !known.has(source as string))];
    this.index = current ? this.find(current.source) : -1;
  }

  /** The motion that is played now; it joins the list if it is new. */
  choose(source: MotionSource, { name, frames, fps }: MotionInfo): void {
    this.index = this.find(source);
    if (this.index >= 0) return;
    this.choices.push({ name, frames, fps, source: address(source) });
    this.index = this.choices.length - 1;
  }

  private find(source: MotionSource): number {
    return this.choices.findIndex((known) => known.source === address(source));
  }
}
