/** An avatar on its way from the network: first what stands still, then what follows the pose. */
import type { AvatarSource } from "./api";
import { asViewerError } from "./errors";
import type { Avatar, Header } from "./format";
import { ARRAYS, type ArrayName } from "./generated";
import { readHeader } from "./header";
import { ByteStream, nameOf, type OnBytes } from "./load";
import { arrayBytes } from "./schema";
import { readSections } from "./sections";

type Sections = Partial<Record<ArrayName, Uint8Array<ArrayBuffer>>>;

/** What the neutral avatar consists of: the Gaussians and the skeleton that carries them. */
const NEUTRAL: readonly ArrayName[] = ["joint_rest", "inverse_bind", "joint_parent", "gaussians"];
/** Lists of what keeps a corrective: empty until the correctives are there. */
const LISTS: readonly string[] = ["rotation_index", "scale_index", "color_index", "rotation_basis", "scale_basis", "color_basis"];

/**
 * The avatar without its pose-dependent correctives: absent sections become zeros, with which every network gives zero
 * and every node stays where it is. It is the correct picture of the neutral Gaussians, not an approximation of the whole.
 */
export function neutralAvatar(header: Header, sections: Sections): Avatar {
  const sizes = arrayBytes(header);
  const zeros = (name: ArrayName) => new Uint8Array(LISTS.includes(name) ? 0 : sizes[name]);
  const all = (Object.keys(ARRAYS) as ArrayName[]).map((name) => [name, (NEUTRAL.includes(name) && sections[name]) || zeros(name)]);
  return { header, sections: Object.fromEntries(all) };
}

export class AvatarFile {
  /** Without correctives, as soon as that much has arrived. */
  readonly neutral: Promise<Avatar>;
  /** The whole avatar. */
  readonly whole: Promise<Avatar>;
  readonly name: string;
  loadedBytes = 0;

  constructor(source: AvatarSource, onBytes: OnBytes = () => undefined, signal?: AbortSignal) {
    this.name = nameOf(source);
    let found: (avatar: Avatar) => void = () => undefined;
    const early = new Promise<Avatar>((resolve) => {
      found = resolve;
    });
    const onLoaded: OnBytes = (loaded, total) => {
      this.loadedBytes = loaded;
      onBytes(loaded, total);
    };
    this.whole = this.read(source, onLoaded, signal, (avatar) => found(avatar));
    this.neutral = Promise.race([early, this.whole]);
    for (const promise of [this.whole, this.neutral]) promise.catch(() => undefined); // whoever waits for it reports it
  }

  private async read(source: AvatarSource, onBytes: OnBytes, signal: AbortSignal | undefined, early: (avatar: Avatar) => void): Promise<Avatar> {
    let bytes: ByteStream | undefined;
    try {
      bytes = await ByteStream.open(source, onBytes, signal);
      const header = await readHeader(bytes);
      const sections: Sections = {};
      for await (const [name, raw] of readSections(bytes, header)) {
        sections[name] = raw;
        if (NEUTRAL.includes(name) && NEUTRAL.every((needed) => needed in sections)) early(neutralAvatar(header, sections));
      }
      return { header, sections: sections as Avatar["sections"] };
    } catch (error) {
      bytes?.cancel();
      throw signal?.aborted ? signal.reason : asViewerError(error, this.name);
    }
  }
}
