/** Fetches files that lie beside the page. */

/** A file that is not there or did not arrive; the message names it and says what to do. */
export class LoadError extends Error {
  override name = "LoadError";
}

/** Joins the chunks of a response, reporting how much of it has come (0..1, or NaN where the length is unknown). */
async function readBody(response: Response, onProgress: (share: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  // With a Content-Encoding the length is that of the compressed stream, so the share may pass 1 on the way
  const total = Number(response.headers.get("content-length") ?? Number.NaN);
  const chunks: Uint8Array[] = [];
  let received = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    received += value.length;
    onProgress(Math.min(1, received / total));
  }
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** The bytes of a file in the page's own folder. */
export async function loadFile(
  name: string,
  onProgress: (share: number) => void = () => undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(name, { credentials: "same-origin" });
  } catch (error) {
    throw new LoadError(`${name} could not be fetched (${(error as Error).message}): is the server still running?`);
  }
  if (!response.ok) {
    throw new LoadError(`${name}: the server answered ${response.status}, expected the file beside index.html; copy the whole exported folder`);
  }
  try {
    return await readBody(response, onProgress);
  } catch (error) {
    throw new LoadError(`${name} was cut off while loading (${(error as Error).message}); load the page again`);
  }
}
