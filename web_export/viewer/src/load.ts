/** Bytes from an address or a file, as they arrive. */
import type { AvatarSource } from "./api";
import { ViewerError } from "./errors";

/** Bytes received so far, and in all (NaN where that is not known). */
export type OnBytes = (loaded: number, total: number) => void;

/** The last part of an address, for messages. */
export function nameOf(source: unknown): string {
  if (source instanceof File) return source.name;
  if (typeof source !== "string" && !(source instanceof URL)) return "the file";
  if (!URL.canParse(source, location.href)) return String(source);
  const name = new URL(source, location.href).pathname.split("/").pop() || String(source);
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a percent sign that stands for itself
  }
}

/** Bytes in memory as a stream; a Blob would send them to another process and back. */
export function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

async function open(source: AvatarSource, signal?: AbortSignal): Promise<{ stream: ReadableStream<Uint8Array<ArrayBuffer>>; total: number }> {
  if (source instanceof Blob) return { stream: source.stream(), total: source.size };
  if (source instanceof ArrayBuffer) return { stream: streamOf(new Uint8Array(source)), total: source.byteLength };
  let response: Response;
  try {
    response = await fetch(source, { credentials: "same-origin", signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ViewerError("network", `${nameOf(source)} could not be fetched (${(error as Error).message}): is the server still running?`);
  }
  if (!response.ok || !response.body) {
    throw new ViewerError(
      "not-found",
      `${nameOf(source)}: the server answered ${response.status}, expected the file; copy the whole exported folder`,
    );
  }
  // with a Content-Encoding the length is that of the compressed stream, so the share may pass 1 on the way
  return { stream: response.body, total: Number(response.headers.get("content-length") ?? Number.NaN) };
}

/** Reads a stream in pieces of exactly the size that is asked for. */
export class ByteStream {
  /** Bytes handed out. */
  position = 0;
  private loaded = 0;
  private chunks: Uint8Array<ArrayBuffer>[] = [];
  private waiting = 0;

  private constructor(
    private readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
    private readonly total: number,
    private readonly onBytes: OnBytes,
    readonly name: string,
  ) {}

  static async open(source: AvatarSource, onBytes: OnBytes = () => undefined, signal?: AbortSignal): Promise<ByteStream> {
    const { stream, total } = await open(source, signal);
    return new ByteStream(stream.getReader(), total, onBytes, nameOf(source));
  }

  /** The next `size` bytes, or fewer where the stream ends; a view of what arrived where that came in one piece. */
  async take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.waiting < size && (await this.pull()));
    const [next] = this.chunks;
    if (next && next.length > size) {
      this.chunks[0] = next.subarray(size);
      this.waiting -= size;
      this.position += size;
      return next.subarray(0, size);
    }
    const out = new Uint8Array(Math.min(size, this.waiting));
    let filled = 0;
    while (filled < out.length) {
      const chunk = this.chunks[0]!;
      const part = chunk.subarray(0, out.length - filled);
      out.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.chunks.shift();
      else this.chunks[0] = chunk.subarray(part.length);
    }
    this.waiting -= filled;
    this.position += filled;
    return out;
  }

  /** Everything that is left. */
  async rest(): Promise<Uint8Array<ArrayBuffer>> {
    while (await this.pull());
    return this.take(this.waiting);
  }

  /** Stops the download. */
  cancel(): void {
    this.reader.cancel().catch(() => undefined);
  }

  private async pull(): Promise<boolean> {
    let result;
    try {
      result = await this.reader.read();
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
      throw new ViewerError("network", `${this.name} was cut off while loading (${(error as Error).message}); load the page again`);
    }
    if (result.done) return false;
    this.chunks.push(result.value);
    this.waiting += result.value.length;
    this.loaded += result.value.length;
    this.onBytes(this.loaded, this.total);
    return true;
  }
}

/** A whole file. */
export async function loadBytes(source: string | URL | Blob, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  return (await ByteStream.open(source, undefined, signal)).rest();
}

/** A whole text file. */
export async function loadText(source: string | URL | Blob, signal?: AbortSignal): Promise<string> {
  return new TextDecoder().decode(await loadBytes(source, signal));
}
