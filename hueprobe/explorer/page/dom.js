// Elements, names and numbers. Text only ever enters the page as text: no markup is parsed anywhere.

const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function replaceChildren(node, ...children) {
  node.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
}

// Characters that Python's str.isprintable refuses: controls, bidi marks, line separators, unusual spaces.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

// As hueprobe.escapes.escape_controls shows names.
export function shown(name) {
  return String(name).replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0);
    const short = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
    if (short) return short;
    const hex = code.toString(16);
    if (code < 256) return `\\x${hex.padStart(2, "0")}`;
    return code < 65536 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
}

// A name that may be long: one line, cut with an ellipsis, whole in the tooltip.
export function nameElement(name, className = "") {
  const text = shown(name);
  return element("bdi", { class: `name ${className}`.trim(), title: text }, text);
}

export function baseName(path) {
  const parts = String(path).split(/[/\\]/);
  return parts[parts.length - 1] || String(path);
}

export function fixed(value, digits = 2) {
  return Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";
}

// Three significant digits, without exponents for what a person compares.
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replace("-", "−");
  const size = Math.abs(value);
  if (size < 0.0005) return value.toExponential(1).replace("-", "−");
  const digits = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(size))));
  return value.toFixed(digits).replace("-", "−");
}

export function count(value, one, several = `${one}s`) {
  return `${value.toLocaleString("en-US")} ${value === 1 ? one : several}`;
}

export function percent(share, digits = 1) {
  if (!Number.isFinite(share)) return "–";
  const least = 0.5 * 10 ** (-digits - 2);
  return share > 0 && share < least
    ? `< ${(2 * 100 * least).toFixed(digits)} %`
    : `${(100 * share).toFixed(digits)} %`;
}

export function button(label, action, attributes = {}) {
  return element("button", { type: "button", onclick: action, ...attributes }, label);
}

export function announce(text) {
  document.getElementById("status").textContent = text;
}
