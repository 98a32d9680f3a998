// The reverse view: which query cells chose a memory cell, and the most-chosen cells of the memory.

import { element, count, fixed, number, percent, announce } from "./dom.js";
import { nameElement, baseName, shown, replaceChildren, button } from "./dom.js";
import { cellText, decoded, pictureOf, placeOf, storedVectors } from "./data.js";
import { imageGrid, markedImage } from "./image_grid.js";
import { classLabel, classText, colorAt } from "./colors.js";
import { colorBar } from "./maps.js";
import { chosenBy, chosenIndex, chosenTimes, mostChosen } from "./chosen.js";
import { fetchJson } from "./requests.js";
import { queryPlace } from "./walk.js";
import { state, adjust, go } from "./state.js";

const HUBS = 24; // most-chosen cells shown
const FIRST_CHOSEN = 40; // query cells shown at first
const NO_COLORS = new Map();

export function reverseView(memory) {
  const title = element("h1", { class: "image-title" });
  const facts = element("div", { class: "facts" });
  const asQuery = button(
    "Make this cell the query",
    () => {
      const { image, cell } = placeOf(memory, state().v);
      const to = queryPlace(memory, image);
      if (to) go({ ...to, view: "image", c: cell, r: 1 });
      else announce("This memory image is not in this file as a query; the server has every image.");
    },
    { class: "quiet no-export" },
  );
  const bar = element("div", { class: "color-bar" });
  const heading = element("h2", {});
  const note = element("p", { class: "note" });
  const list = element("ul", { class: "choosers" });
  const more = button("", () => {}, { class: "quiet no-export", hidden: true });
  const hubs = element("ol", { class: "hubs" });
  const hubNote = element("p", { class: "note" });
  const grid = imageGrid(memory, "cells of the memory image; arrow keys choose", {
    chosen: (cell) => adjust({ v: placeOf(memory, state().v).image * memory.cells + cell }),
    hovered: () => {},
    entered: () => asQuery.click(),
  });
  const root = element(
    "div",
    { class: "reverse-view" },
    element(
      "section",
      { class: "panel query", "aria-label": "Memory image" },
      title,
      facts,
      grid.root,
      bar,
      asQuery,
    ),
    element(
      "section",
      { class: "panel", "aria-label": "Query cells that chose it" },
      heading,
      note,
      list,
      more,
    ),
    element(
      "section",
      { class: "panel", "aria-label": "Most chosen" },
      element("h2", {}, "Most-chosen cells of the memory"),
      hubNote,
      hubs,
    ),
  );
  let hubsDrawn = false;
  let labeled = -1;

  async function drawHubs() {
    hubsDrawn = true;
    const found = await hubsOf(memory);
    const mean = found.total / storedVectors(memory);
    replaceChildren(
      hubNote,
      `A cell is chosen ${number(mean)} times on average (${count(found.total, "match", "matches")} of ` +
        `${count(found.queries, "image")} over ${count(storedVectors(memory), "vector")}).`,
      found.never === null
        ? ""
        : ` ${percent(found.never / storedVectors(memory))} are never chosen ` +
            `(base rate, were choices random: ${percent(Math.exp(-mean))}).`,
    );
    replaceChildren(
      hubs,
      found.most.map(({ id, times }) => hubItem(memory, id, times, mean)),
    );
    if (state().v < 0 && found.most.length) adjust({ v: found.most[0].id });
  }

  async function draw() {
    const id = state().v;
    if (id < 0 || id >= memory.nImages * memory.cells) return;
    const { image, cell } = placeOf(memory, id);
    const classId = memory.classOfImage(image);
    replaceChildren(title, nameElement(baseName(memory.images.paths[image])));
    replaceChildren(
      facts,
      element(
        "span",
        { class: "fact" },
        element("span", { class: "muted" }, "class "),
        classLabel(memory, NO_COLORS, classId),
      ),
      element("span", { class: "fact" }, cellText(memory, cell)),
    );
    grid.show(pictureOf(memory, "memory", image), "");
    grid.choose(cell);
    const index = chosenIndex(memory);
    if (index) {
      const times = Array.from({ length: memory.cells }, (_, at) =>
        chosenTimes(memory, image * memory.cells + at),
      );
      const high = Math.max(1, ...times);
      replaceChildren(
        bar,
        colorBar("viridis", (value) => value / high, high, "times chosen by query cells"),
      );
      grid.overlay((at) => ({ class: "over", fill: colorAt("viridis", times[at] / high) }));
      if (labeled !== image) grid.label((at) => `: chosen ${times[at]} times`);
    } else if (labeled !== image) grid.label(() => "");
    labeled = image;
    const found = await choosersOf(memory, id);
    if (state().v !== id) return;
    const mean = found.total === null ? null : found.total / storedVectors(memory);
    heading.textContent = `Chosen by ${count(found.cells.length, "query cell")}`;
    note.textContent =
      (mean === null ? "" : `Base rate: ${number(mean)} per memory cell. `) +
      `Counted over ${count(found.queries, "query image")}.`;
    root.dataset.chosen = String(found.cells.length);
    list.replaceChildren();
    let drawn = 0;
    const append = () => {
      const upTo = Math.min(found.cells.length, drawn + FIRST_CHOSEN);
      for (; drawn < upTo; drawn++) list.append(chooser(memory, found.cells[drawn]));
      more.hidden = drawn >= found.cells.length;
      more.textContent = `${(found.cells.length - drawn).toLocaleString("en-US")} more`;
    };
    more.onclick = append;
    append();
    if (!found.cells.length)
      list.append(element("li", { class: "muted" }, "No query cell has this memory cell among its matches."));
    announce(
      `${shown(baseName(memory.images.paths[image]))}, ${cellText(memory, cell)}: chosen by ${count(found.cells.length, "query cell")}.`,
    );
  }

  return {
    root,
    update: async () => {
      try {
        if (!hubsDrawn) await drawHubs();
        await draw();
      } catch (error) {
        announce(`Error: ${error.message}`);
      }
    },
    focus: () => grid.board.focus({ preventScroll: true }),
  };
}

async function hubsOf(memory) {
  const index = chosenIndex(memory);
  if (index) {
    const { most, chosen } = mostChosen(memory, HUBS);
    return { most, never: storedVectors(memory) - chosen, total: index.total, queries: index.queries };
  }
  const reply = await fetchJson(`hubs?memory=${memory.number}`);
  const [ids, times] = [decoded(reply.ids), decoded(reply.count)];
  const most = Array.from(ids.slice(0, HUBS), (id, i) => ({ id, times: times[i] }));
  return {
    most,
    never: null,
    total: reply.matches ?? reply.queries * memory.cells * memory.k,
    queries: reply.queries,
  };
}

async function choosersOf(memory, id) {
  const index = chosenIndex(memory);
  if (index) return { cells: chosenBy(memory, id), total: index.total, queries: index.queries };
  const reply = await fetchJson(`reverse?memory=${memory.number}&id=${id}`);
  const [pairs, distance] = [decoded(reply.cells), decoded(reply.distance)];
  const cells = Array.from(distance, (d, i) => ({
    row: pairs[2 * i],
    cell: pairs[2 * i + 1],
    rank: null,
    distance: d,
  }));
  cells.sort((a, b) => a.distance - b.distance);
  return { cells, total: reply.queries * memory.cells * memory.k, queries: reply.queries };
}

function chooser(memory, { row, cell, rank, distance }) {
  const picture = markedImage(memory);
  picture.show(pictureOf(memory, "query", row), "");
  picture.mark(cell);
  const classId = memory.queries.class[row];
  const open = element(
    "button",
    {
      type: "button",
      class: "match-open",
      onclick: () => go({ view: "image", kind: "q", row, c: cell, r: rank ?? 1 }),
      title: `${shown(memory.queries.paths[row])}\n${cellText(memory, cell)}`,
      "aria-label": `${classText(memory, classId)}, ${cellText(memory, cell)} of ${shown(baseName(memory.queries.paths[row]))}, distance ${fixed(distance, 3)}; open`,
    },
    element("span", { class: "match-picture" }, picture.root),
    element("span", { class: "match-class" }, nameElement(memory.className(classId) ?? "no class")),
    element(
      "span",
      { class: "match-numbers" },
      element("span", {}, `d ${fixed(distance, 3)}`),
      rank === null ? null : element("span", {}, `rank ${rank}`),
    ),
  );
  return element("li", { class: "match", "data-row": row, "data-cell": cell }, open);
}

function hubItem(memory, id, times, mean) {
  const { image, cell } = placeOf(memory, id);
  const picture = markedImage(memory);
  picture.show(pictureOf(memory, "memory", image), "");
  picture.mark(cell);
  const classId = memory.classOfImage(image);
  const open = element(
    "button",
    {
      type: "button",
      class: "hub-open",
      onclick: () => adjust({ v: id }),
      "aria-label": `${classText(memory, classId)}, ${cellText(memory, cell)} of ${shown(baseName(memory.images.paths[image]))}: chosen ${times} times`,
    },
    picture.root,
    element(
      "span",
      { class: "hub-text" },
      nameElement(memory.className(classId) ?? "no class"),
      element("span", { class: "figure" }, `${times}×, ${number(times / mean)} × the mean`),
    ),
  );
  return element("li", { "data-id": id, "data-times": times }, open);
}
