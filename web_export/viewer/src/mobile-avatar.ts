/** Entry point for web pages: importing it makes `<mobile-avatar>` known to the browser; scenes without it are in `core`. */
import { define } from "./ui/element";

export { createScene, support } from "./core";
export type * from "./api";

define();

declare global {
  interface HTMLElementTagNameMap {
    "mobile-avatar": import("./api").MobileAvatarElement;
  }
}
