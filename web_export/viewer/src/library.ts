/** Avatar files of the document: the same address is downloaded once, however many people it draws. */
import type { AvatarSource } from "./api";
import { AvatarFile } from "./avatar_file";
import { ViewerError } from "./errors";
import type { OnBytes } from "./load";

interface Entry {
  readonly file: AvatarFile;
  readonly listeners: Set<OnBytes>;
  readonly abort: AbortController;
  users: number;
}

export interface Lease {
  readonly file: AvatarFile;
  /** Forgets the file when nobody else uses it; stops a download. */
  readonly release: () => void;
}

const byAddress = new Map<string, Entry>();

export function borrow(source: AvatarSource, onBytes: OnBytes): Lease {
  if (typeof source === "string" && !URL.canParse(source, document.baseURI)) {
    throw new ViewerError("not-found", `"${source}" is no address; expected that of a .mobavatar file`);
  }
  const address = typeof source === "string" || source instanceof URL ? new URL(source, document.baseURI).href : undefined;
  let entry = address === undefined ? undefined : byAddress.get(address);
  if (!entry) {
    const listeners = new Set<OnBytes>();
    const abort = new AbortController();
    const file = new AvatarFile(source, (...bytes) => listeners.forEach((listener) => listener(...bytes)), abort.signal);
    entry = { file, listeners, abort, users: 0 };
    if (address !== undefined) {
      byAddress.set(address, entry);
      file.whole.catch(() => byAddress.delete(address)); // the next one may try again
    }
  }
  const found = entry;
  found.users++;
  found.listeners.add(onBytes);
  let isOpen = true;
  const release = () => {
    if (!isOpen) return;
    isOpen = false;
    found.listeners.delete(onBytes);
    if (--found.users > 0) return;
    if (address !== undefined && byAddress.get(address) === found) byAddress.delete(address);
    found.abort.abort(new DOMException("the avatar is not wanted any more", "AbortError"));
  };
  return { file: found.file, release };
}
