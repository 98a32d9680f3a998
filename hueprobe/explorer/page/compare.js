// The same image in two memories, side by side, with the overlap of their matched images per cell.

import { element, nameElement, baseName, fixed, number, percent, announce, shown } from "./dom.js";
import { NONE, cellText, pictureOf } from "./data.js";
import { imageGrid } from "./image_grid.js";
import { analyzed, matchesOfCell } from "./analysis.js";
import { classLabel, classText, ranked, colorClass, sharedColors } from "./colors.js";
import { matchList } from "./matches.js";
import { mapPanel } from "./maps.js";
import { margin } from "./equations.js";
import { state, adjust } from "./state.js";
import { walkTo } from "./walk.js";

const TOP = 5; // classes shown

// The cell of another grid at the same place of the image.
export function sameCell(memory, other, cell) {
  const along = (at, n, m) => Math.min(m - 1, Math.floor(((at + 0.5) * m) / n));
  const [y, x] = [Math.floor(cell / memory.width), cell % memory.width];
  return along(y, memory.height, other.height) * other.width + along(x, memory.width, other.width);
}

// Paths of the images that a cell's matches are in.
function imagesOfCell(answer, cell) {
  const { memory, ids } = answer;
  const found = new Set();
  for (const id of ids.subarray(cell * memory.k, (cell + 1) * memory.k)) {
    if (id !== NONE) found.add(memory.images.paths[Math.floor(id / memory.cells)]);
  }
  return found;
}

// Matched images that two cells share, over all that they have (Jaccard); NaN without matches.
export function jaccard(one, two) {
  let shared = 0;
  for (const item of one) shared += two.has(item);
  return shared / (one.size + two.size - shared);
}

// Overlap for each cell of the first memory, and two base rates.
export function overlaps(first, second) {
  const [a, b] = [first.memory, second.memory];
  const own = Array.from({ length: a.cells }, (_, cell) => imagesOfCell(first, cell));
  const theirs = Array.from({ length: b.cells }, (_, cell) => imagesOfCell(second, cell));
  const values = Float64Array.from(own, (images, cell) => jaccard(images, theirs[sameCell(a, b, cell)]));
  let [elsewhere, pairs, random] = [0, 0, 0];
  const n = new Set([...a.images.paths, ...b.images.paths]).size;
  own.forEach((images, cell) => {
    const there = sameCell(a, b, cell);
    const shared = (images.size * theirs[there].size) / n;
    random += shared / (images.size + theirs[there].size - shared) || 0;
    theirs.forEach((others, at) => {
      const value = at === there ? NaN : jaccard(images, others);
      if (!Number.isFinite(value)) return;
      elsewhere += value;
      pairs += 1;
    });
  });
  const known = Array.from(values).filter(Number.isFinite);
  return {
    values,
    mean: known.reduce((sum, value) => sum + value, 0) / known.length,
    elsewhere: elsewhere / pairs,
    random: random / a.cells,
  };
}

export function compareView(first, second) {
  const answers = [first, second];
  const { values, mean, elsewhere, random } = overlaps(first, second);
  const colors = sharedColors(
    answers.map((answer) => answer.memory),
    answers.map((answer) => analyzed(answer).whole.normalized),
  );
  const sides = answers.map((answer, place) => side(answer, place, colors[place]));
  const overlap = mapPanel(first.memory, {
    title: "Neighbor overlap",
    scale: "viridis",
    unit: "share of a cell’s matched images",
    second: "images matched in both",
    brushed: (cells) => adjust({ c: cells.at(-1) ?? state().c, m: first.memory.number }),
  });
  const summary = element(
    "dl",
    { class: "numbers" },
    [
      ["mean of the cells", percent(mean)],
      ["base rate, other cells of this image", percent(elsewhere)],
      ["base rate, random memory images", percent(random)],
    ].map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
  const root = element(
    "div",
    { class: "compare-view" },
    element(
      "div",
      { class: "compare-head" },
      element("h1", { class: "image-title" }, nameElement(baseName(first.path))),
      element(
        "p",
        { class: "note" },
        "The same image in two memories. The chosen cell lies at the same place in both grids.",
      ),
    ),
    element(
      "div",
      { class: "sides" },
      sides.map((part) => part.root),
      element("section", { class: "panel overlap", "aria-label": "Overlap" }, overlap.root, summary),
    ),
  );
  root.dataset.overlap = String(mean);

  return {
    root,
    update() {
      const from = state().m === second.memory.number ? second.memory : first.memory;
      const c = Math.min(state().c, from.cells - 1);
      const cells = answers.map(({ memory }) => (memory === from ? c : sameCell(from, memory, c)));
      sides.forEach((part, place) => part.update(cells[place]));
      overlap.update({
        title: "overlap",
        values,
        high: 1,
        summary: `${cellText(first.memory, cells[0])}: ${percent(values[cells[0]])}`,
        describe: (cell) => `${percent(values[cell])} of the matched images are shared`,
        tell: (list, name) =>
          `${name}: ${list.map((cell) => percent(values[cell])).join(", ")} (mean ${percent(mean)})`,
        outline: cells[0],
        selection: [],
      });
      announce(`${cellText(first.memory, cells[0])}: overlap ${percent(values[cells[0]])}.`);
    },
    focus: () => sides[0].focus(),
  };
}

function side(answer, place, colors) {
  const { memory } = answer;
  const found = analyzed(answer);
  const matches = matchList(memory, `matches in memory ${place + 1}`);
  const heading = element("h3", {});
  const grid = imageGrid(memory, `cells of the image in memory ${place + 1}; arrow keys choose`, {
    chosen: (cell) => adjust({ c: cell, m: memory.number, r: 1 }),
    hovered: () => {},
    entered: (cell) => {
      const match = matchesOfCell(answer, cell)[0];
      if (match) walkTo(memory, match);
    },
  });
  grid.show(pictureOf(memory, answer.source.kind, answer.source.row), "");
  grid.label(() => "");
  grid.overlay((cell) =>
    found.votes.leading[cell] < 0
      ? null
      : {
          class: `over ${colorClass(colors, found.votes.leading[cell])}`,
          side: 0.92 * Math.sqrt(found.votes.share[cell]),
        },
  );
  const { whole } = found;
  const bars = element(
    "ul",
    { class: "bars compact", "aria-label": "class likelihoods" },
    ranked(whole.normalized)
      .slice(0, TOP)
      .map((c) => {
        const fill = element("span", { class: `bar-fill ${colorClass(colors, c)}` });
        fill.style.width = `${(100 * whole.normalized[c]) / Math.max(...whole.normalized, 1e-12)}%`;
        return element(
          "li",
          { class: "bar" },
          element(
            "span",
            { class: "bar-row" },
            classLabel(memory, colors, c),
            element("span", { class: "bar-track" }, fill),
            element("span", { class: "figure" }, fixed(whole.normalized[c], 3)),
          ),
        );
      }),
  );
  const root = element(
    "section",
    { class: "panel side", "aria-label": `memory ${place + 1}` },
    element("h2", {}, nameElement(memory.name)),
    element(
      "p",
      { class: "note" },
      `${shown(memory.network)}, layer ${shown(memory.layer)}, ${memory.height} × ${memory.width} cells, K = ${memory.k}`,
    ),
    element(
      "p",
      { class: "decision" },
      element("strong", {}, classText(memory, whole.predicted)),
      ` by a margin of ${number(margin(whole.normalized))} (chance 1/${memory.classes.length})`,
    ),
    element("div", { class: "side-top" }, grid.root, bars),
    heading,
    matches.root,
  );
  return {
    root,
    update(cell) {
      grid.choose(cell);
      heading.textContent = `Matches of ${cellText(memory, cell)}`;
      matches.show(matchesOfCell(answer, cell), colors, -1);
    },
    focus: () => grid.board.focus({ preventScroll: true }),
  };
}
