// The maps beside an image: votes, energy, p(x, y), and p(x, y | x_i) of the chosen cell.

import { element, number, percent, fixed, count } from "./dom.js";
import { NONE } from "./data.js";
import { analyzed, voteText } from "./analysis.js";
import { classText, colorClass } from "./colors.js";
import { mapPanel, largest } from "./maps.js";
import { state, adjust } from "./state.js";

function notMeasured(memory) {
  if (memory.cells === 1) return "A grid of one cell has no such map.";
  return memory.source.live
    ? "Over all images only in a file: hueprobe explore -o page.html."
    : "Not measured for this memory.";
}

export function imageMaps(memory) {
  const brushed = (name) => (cells) => adjust({ brush: cells.length ? `${name}:${cells.join(",")}` : "" });
  const whose = element(
    "select",
    { id: "whose", "aria-label": "whose matches", onchange: () => adjust({ map: whose.value, brush: "" }) },
    [
      ["picture", "this image"],
      ["class", "its class"],
      ["all", "all images"],
    ].map(([value, text]) => element("option", { value }, text)),
  );
  const of = element(
    "select",
    { "aria-label": "whose energy", onchange: () => drawEnergy() },
    [
      ["picture", "this image"],
      ["class", "its class"],
      ["all", "all images"],
    ].map(([value, text]) => element("option", { value }, text)),
  );
  const votes = mapPanel(memory, {
    title: "Votes",
    scale: null,
    unit: "",
    brushed: brushed("votes"),
    second: "leading class of each cell",
  });
  const energy = mapPanel(memory, {
    title: "Energy",
    scale: "magma",
    unit: "‖I‖², multiple of the image’s mean",
    brushed: brushed("energy"),
    second: of,
  });
  const where = mapPanel(memory, {
    title: "Where matches land",
    scale: "ratio",
    unit: "p(x, y), multiple of the base rate",
    brushed: brushed("where"),
    second: whose,
  });
  const same = mapPanel(memory, {
    title: "From this cell, all images",
    scale: "viridis",
    unit: "p(x, y | x_i)",
    brushed: brushed("same"),
    second: "matches of the same class",
  });
  const other = mapPanel(memory, {
    title: "From this cell, all images",
    scale: "viridis",
    unit: "p(x, y | x_i)",
    brushed: brushed("other"),
    second: "matches of other classes",
  });
  const root = element(
    "div",
    { class: "map-row" },
    [votes, energy, where, same, other].map((panel) => panel.root),
  );
  let answer = null;
  let cell = 0;

  function drawVotes() {
    const found = analyzed(answer);
    votes.update({
      values: null,
      summary: "Color: the class with most kernel weight. Area: its share.",
      describe: (at) => voteText(answer, at),
      tell: (cells) => (cells.length === 1 ? voteText(answer, cells[0]) : `${cells.length} cells brushed`),
      paint: (at) =>
        found.votes.leading[at] < 0
          ? null
          : {
              class: colorClass(found.colors, found.votes.leading[at]),
              side: 0.95 * Math.sqrt(found.votes.share[at]),
            },
      outline: cell,
      selection: selectionOf("votes"),
    });
  }

  function drawEnergy() {
    const own = Float64Array.from(answer.energy, (value) => value / analyzed(answer).meanEnergy);
    const all = memory.maps.energy;
    const ofClass = answer.classId < 0 ? null : rowOf(memory.maps.class_energy, answer.classId, memory.cells);
    const values = { picture: own, class: ofClass, all }[of.value];
    if (!values)
      return energy.update({ blank: of.value === "class" ? noClass(answer) : notMeasured(memory) });
    return energy.update({
      title: "Energy",
      values,
      high: largest(values, 1),
      summary: `From ${number(Math.min(...values))} to ${number(Math.max(...values))} × the mean.`,
      describe: (at) => `${number(values[at])} times the mean`,
      tell: (cells, name) =>
        `${name}: ${number(mean(values, cells))} ×${all && of.value !== "all" ? ` (all images: ${number(mean(all, cells))} ×)` : ""}`,
      outline: cell,
      selection: selectionOf("energy"),
    });
  }

  function drawWhere() {
    whose.value = ["picture", "class", "all"].includes(state().map) ? state().map : "picture";
    const found = whereOf(answer, whose.value);
    if (found.blank) return where.update(found);
    const base = memory.maps.base;
    const ratio = Float64Array.from(found.density, (value, at) => value / base[at]);
    return where.update({
      title: "p(x, y)",
      values: ratio,
      high: largest(ratio, 2),
      summary: found.summary,
      describe: (at) => `p = ${number(found.density[at])}, base rate ${number(base[at])}`,
      tell: (cells, name) => told(found.density, base, cells, name),
      outline: -1,
      selection: selectionOf("where"),
    });
  }

  function drawGiven(panel, side) {
    const given = memory.conditional;
    const name = side === "same" ? "same class" : "other classes";
    if (!given?.[side]) return panel.update({ blank: notMeasured(memory) });
    const density = rowOf(given[side], cell, memory.cells);
    const base = given[`${side}_base`];
    if (!density.some((value) => Number.isFinite(value)))
      return panel.update({ blank: `No match in ${name} from this cell.` });
    return panel.update({
      title: `p(x, y | x_i), ${name}`,
      values: density,
      high: Math.max(
        largest(rowOf(given.same, cell, memory.cells), 1e-9),
        largest(rowOf(given.other, cell, memory.cells), 1e-9),
      ),
      summary: `In the cell itself: ${percent(density[cell])} (base rate ${percent(base[cell])}).`,
      describe: (at) => `p = ${number(density[at])}, base rate ${number(base[at])}`,
      tell: (cells, place) => told(density, base, cells, place),
      outline: cell,
      selection: selectionOf(side),
    });
  }

  return {
    root,
    update(shownAnswer, shownCell) {
      answer = shownAnswer;
      cell = shownCell;
      drawVotes();
      drawEnergy();
      drawWhere();
      drawGiven(same, "same");
      drawGiven(other, "other");
    },
    // For a hovered cell: only what depends on it.
    cell(shownCell) {
      cell = shownCell;
      drawVotes();
      drawGiven(same, "same");
      drawGiven(other, "other");
    },
  };
}

function told(density, base, cells, name) {
  const [p, b] = [sum(density, cells), sum(base, cells)];
  return `${name}: p = ${number(p)} (base rate ${number(b)}; ${fixed(p / b)} ×)`;
}

// p(x, y): of this image from its matches, of its class and of all images as the library measured them.
function whereOf(answer, whose) {
  const { memory } = answer;
  if (!memory.maps.base) return { blank: notMeasured(memory) };
  if (whose === "picture") {
    const density = new Float64Array(memory.cells);
    let n = 0;
    for (const id of answer.ids) {
      if (id === NONE) continue;
      density[id % memory.cells] += 1;
      n += 1;
    }
    if (!n) return { blank: "This image has no matches." };
    return {
      density: density.map((value) => value / n),
      summary: `${count(n, "match", "matches")} of this image.`,
    };
  }
  if (whose === "class") {
    if (answer.classId < 0 || !memory.maps.class_locations) return { blank: noClass(answer) };
    const density = rowOf(memory.maps.class_locations, answer.classId, memory.cells);
    if (!density.some((value) => Number.isFinite(value)))
      return { blank: "No same-class match of this class." };
    return { density, summary: `Same-class matches of ${classText(memory, answer.classId)}.` };
  }
  const { maps } = memory;
  if (!maps.locations) return { blank: notMeasured(memory) };
  return {
    density: maps.locations,
    summary: `All matches of ${count(maps.n_images ?? memory.nQueries, "image")}.`,
  };
}

function noClass(answer) {
  return answer.classId < 0 ? "This image has no class of the memory." : notMeasured(answer.memory);
}

export function selectionOf(name) {
  const [map, cells] = state().brush.split(":");
  if (map !== name || !cells) return [];
  return cells
    .split(",")
    .filter((part) => /^\d+$/.test(part))
    .map(Number);
}

function rowOf(array, row, width) {
  return array ? array.subarray(row * width, (row + 1) * width) : null;
}

function sum(values, cells) {
  return cells.reduce((total, cell) => total + values[cell], 0);
}

function mean(values, cells) {
  return sum(values, cells) / cells.length;
}
