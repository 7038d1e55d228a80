/** Elements made by hand: text is always text, so that nothing in a file can become markup. */

type Attributes = Readonly<Record<string, string | number | boolean>>;

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`true` sets an empty one, `false` leaves it out) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** The same for drawings. */
export function s<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Node[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Outlines on a 24 x 24 grid. */
export const ICONS = {
  play: "M8 5.2v13.6a1 1 0 0 0 1.5.9l11-6.8a1 1 0 0 0 0-1.8l-11-6.8A1 1 0 0 0 8 5.2z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.500z",
  menu: "M4 7h9v2H4zm13 0h3v2h-3zM13 5h2v6h-2zM4 15h3v2H4zm7 0h9v2h-9zM7 13h2v6H7z",
  camera: "M9 5 7.500 7H4a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h16a1 1 0 0 0 1-1V8a1 1 0 0 0-1-1h-3.500L15 5zm3 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zm0 2a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  open: "M4 5h5.500l2 2H20a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zm1 4v8h14V9z",
  expand: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
  reset: "M12 5a7 7 0 1 1-6.700 9h2.100A5 5 0 1 0 12 7c-1.300 0-2.500.5-3.400 1.400L11 11H4V4l3.200 3.100A7 7 0 0 1 12 5z",
  figure: "M12 2a2.300 2.300 0 1 1 0 4.600A2.300 2.300 0 0 1 12 2zM3 8h18v2h-6.500v12h-2v-6h-1v6h-2V10H3z",
  undo: "M9 7.500v-4L4 8.500l5 5v-4h4.500a4.250 4.250 0 0 1 0 8.500H8v2h5.500a6.250 6.250 0 0 0 0-12.500z",
  redo: "M15 7.500v-4l5 5-5 5v-4h-4.500a4.250 4.250 0 0 0 0 8.500H16v2h-5.500a6.250 6.250 0 0 1 0-12.500z",
  mirror: "M11 3h2v18h-2zM9 7v10H3zm6 0v10h6z",
  save: "M11 4h2v8h3.500L12 16.500 7.500 12H11zM5 18h14v2H5z",
  link: "M10 7H7a5 5 0 0 0 0 10h3v-2H7a3 3 0 0 1 0-6h3zm4 0h3a5 5 0 0 1 0 10h-3v-2h3a3 3 0 0 0 0-6h-3zM8 11h8v2H8z",
} as const;

export function icon(name: keyof typeof ICONS): SVGSVGElement {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name], "fill-rule": "evenodd" }));
}

/** A button with a picture; its name is for screen readers and the tooltip. */
export function iconButton(id: string, name: keyof typeof ICONS, label: string): HTMLButtonElement {
  return h("button", { id, type: "button", class: "icon", "aria-label": label, title: label }, icon(name));
}

export function setIcon(button: HTMLButtonElement, name: keyof typeof ICONS, label: string): void {
  button.querySelector("path")?.setAttribute("d", ICONS[name]);
  button.setAttribute("aria-label", label);
  button.title = label;
}
