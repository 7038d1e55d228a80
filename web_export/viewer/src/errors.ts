/** Errors for people: a code for programs, a headline, and a message that says what to do. */
import type { AvatarError, ErrorCode } from "./api";

const TITLES: Readonly<Record<ErrorCode, string>> = {
  "opened-from-disk": "This page needs a web server",
  "insecure-origin": "This address is not secure",
  "no-webgpu": "This browser has no WebGPU",
  "no-adapter": "No graphics adapter",
  "no-device": "The graphics device could not be opened",
  "broken-gpu": "This graphics driver computes wrongly",
  "out-of-memory": "Not enough graphics memory",
  "device-lost": "The graphics device was lost",
  "not-found": "The avatar could not be loaded",
  network: "The avatar could not be loaded",
  "not-an-avatar": "The avatar could not be loaded",
  "newer-version": "The avatar could not be loaded",
  truncated: "The avatar could not be loaded",
  damaged: "The avatar could not be loaded",
  "bad-motion": "The motion could not be loaded",
  "bad-link": "The pose could not be loaded",
  internal: "The avatar cannot be drawn",
};

export class ViewerError extends Error implements AvatarError {
  override name = "AvatarError";
  readonly title: string;

  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
    this.title = TITLES[code];
  }
}

/** Whatever was thrown, as an error that can be shown; `subject` (a file's name) is put in front of a message about a file. */
export function asViewerError(error: unknown, subject?: string): ViewerError {
  if (error instanceof ViewerError) return error;
  const { code, message } = error as { code?: unknown; message?: unknown };
  const known = typeof code === "string" && code in TITLES ? (code as ErrorCode) : "internal";
  const text = typeof message === "string" ? message : String(error);
  const wrapped = new ViewerError(known, subject ? `${subject}: ${text}` : text);
  wrapped.cause = error;
  return wrapped;
}
