/** Reads an avatar file and fills buffers as the page does, without a picture (tests/bench/bundle.py). */
import { AvatarFile } from "../../web_export/viewer/src/avatar_file";
import { GpuContext } from "../../web_export/viewer/src/context";
import { AvatarModel } from "../../web_export/viewer/src/model";

/** Device and pipelines: there before the file is. */
export async function prepare(): Promise<GpuContext> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  return GpuContext.create(await adapter.requestDevice(), "rgba8unorm");
}

/** Milliseconds from the file's bytes to the neutral avatar, to the whole one, and to filled buffers. */
export async function read(context: GpuContext, bytes: ArrayBuffer): Promise<Record<string, number>> {
  const started = performance.now();
  const since = () => performance.now() - started;
  const file = new AvatarFile(bytes);
  let neutral = 0;
  file.neutral.then(() => (neutral = since()));
  const avatar = await file.whole;
  const decoded = since();
  const model = await AvatarModel.upload(context, avatar);
  await context.device.queue.onSubmittedWorkDone();
  const filled = since();
  model.dispose();
  return { neutral, decoded, filled };
}

/** What is wrong with each of some files in base64, null where nothing is (tests/test_readers_agree.py). */
export async function verdicts(files: Record<string, string>): Promise<Record<string, string | null>> {
  const found: Record<string, string | null> = {};
  for (const [name, text] of Object.entries(files)) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    found[name] = await new AvatarFile(bytes.buffer).whole.then(() => null, (error: Error) => error.message);
  }
  return found;
}
