/** Radio buttons that look like one row of buttons. */
import { h } from "./dom";

export function choice(name: string, label: string, options: readonly (readonly [text: string, value: string])[], chosen: (value: string) => void): HTMLFieldSetElement {
  const set = h("fieldset", { class: `choice ${name}` }, ...(label === "" ? [] : [h("legend", {}, label)]));
  for (const [text, value] of options) {
    const input = h("input", { type: "radio", name, value });
    input.addEventListener("change", () => chosen(value));
    set.append(h("label", { title: text }, input, h("span", {}, text)));
  }
  return set;
}

export function check(set: HTMLElement, value: string): void {
  for (const input of set.querySelectorAll("input")) input.checked = input.value === value;
}
