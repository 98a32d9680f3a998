// Colors of classes and of maps. Classes have CSS classes, so that light and dark have their own shades.

import { element, nameElement, shown } from "./dom.js";

export const N_CLASS_COLORS = 7; // as hueprobe/plots/style.py; further classes are gray and named

// Samples of matplotlib's maps of these names, from 0 to 1.
const STOPS = {
  viridis:
    "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  magma:
    "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf",
  ratio:
    "2d004b4518715f3a917b6aa89990bfb7b1d5cfcfe5e4e5f0f7f7f6fce8cdfed59ffdbc6bee9b39d97b12bd61099e4c077f3b08",
};
const PARSED = new Map();

export function colorAt(map, share) {
  if (!PARSED.has(map)) {
    PARSED.set(
      map,
      STOPS[map].match(/../g).map((pair) => Number.parseInt(pair, 16)),
    );
  }
  const stops = PARSED.get(map);
  const last = stops.length / 3 - 1;
  const place = Math.max(0, Math.min(1, share)) * last;
  const low = Math.min(last - 1, Math.floor(place));
  const mixed = [0, 1, 2].map((i) => {
    const [from, to] = [stops[3 * low + i], stops[3 * low + 3 + i]];
    return Math.round(from + (to - from) * (place - low));
  });
  return `rgb(${mixed.join(",")})`;
}

// The likeliest classes of an image have a color each, in the order of their likelihood.
export function classColors(likelihood) {
  const colors = new Map();
  ranked(likelihood)
    .slice(0, N_CLASS_COLORS)
    .forEach((c, slot) => {
      if (likelihood[c] > 0) colors.set(c, slot);
    });
  return colors;
}

// Colors of classes in two memories: a class of the same name has the same color in both.
export function sharedColors(memories, normalized) {
  const best = new Map();
  memories.forEach((memory, i) => {
    memory.classes.forEach((name, c) => best.set(name, Math.max(best.get(name) ?? 0, normalized[i][c])));
  });
  const names = [...best.keys()]
    .filter((name) => best.get(name) > 0)
    .sort((a, b) => best.get(b) - best.get(a));
  const slots = new Map(names.slice(0, N_CLASS_COLORS).map((name, slot) => [name, slot]));
  return memories.map((memory) => {
    const known = Array.from(memory.classes.entries()).filter(([, name]) => slots.has(name));
    return new Map(known.map(([c, name]) => [c, slots.get(name)]));
  });
}

// Class ids, likeliest first, the lower id first in ties.
export function ranked(likelihood) {
  return Array.from(likelihood.keys()).sort((a, b) => likelihood[b] - likelihood[a] || a - b);
}

export function colorClass(colors, c) {
  return colors.has(c) ? `class-${colors.get(c)}` : "class-other";
}

// A square of the class's color and its name; "no class" without one.
export function classLabel(memory, colors, c) {
  const name = memory.className(c);
  return element(
    "span",
    { class: "class-label" },
    element("span", { class: `swatch ${colorClass(colors, c)}`, "aria-hidden": "true" }),
    name === null ? element("span", { class: "muted" }, "no class") : nameElement(name),
  );
}

export function classText(memory, c) {
  const name = memory.className(c);
  return name === null ? "no class" : shown(name);
}
