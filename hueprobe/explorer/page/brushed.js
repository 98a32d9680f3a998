// The matches behind brushed cells of a map.

import { element, button, count, fixed, percent, replaceChildren, shown, baseName } from "./dom.js";
import { NONE, answerAtHand, cellText, pictureOf, placeOf } from "./data.js";
import { analyzed, matchesOfCell } from "./analysis.js";
import { classLabel } from "./colors.js";
import { markedImage } from "./image_grid.js";
import { state, adjust, go } from "./state.js";
import { walkTo } from "./walk.js";

const PAIRS_AT_ONCE = 24; // matches shown at a time

// {matches, n, what, base} behind the brush, or null without one.
export function matchesBehind(answer) {
  const [map, listed] = state().brush.split(":");
  if (!listed) return null;
  const { memory } = answer;
  const cells = new Set(
    listed
      .split(",")
      .filter((part) => /^\d+$/.test(part))
      .map(Number)
      .filter((cell) => cell < memory.cells),
  );
  if (!cells.size) return null;
  if (map === "votes" || map === "energy") {
    const all = everyCell(answer);
    return behind(
      all.filter((match) => cells.has(match.queryCell)),
      all.length,
      "matches of the brushed cells, this image",
      cells.size / memory.cells,
    );
  }
  const base = (name) => [...cells].reduce((sum, cell) => sum + (name?.[cell] ?? NaN), 0);
  const whose = map === "where" ? state().map : "all";
  const queries = whose === "picture" ? [answer] : everyAnswer(memory);
  if (queries === null)
    return {
      matches: [],
      n: 0,
      what: "The server answers one image at a time, so only the matches of “this image” can be listed.",
      base: null,
    };
  const cell = map === "where" ? null : state().c;
  const ofClass = map === "where" && whose === "class" ? answer.classId : null;
  const side = map === "where" ? (ofClass === null ? null : "same") : map;
  const all = [];
  for (const query of queries) {
    if (ofClass !== null && query.classId !== ofClass) continue;
    all.push(...landed(query, cell, side));
  }
  const bases = { same: memory.conditional?.same_base, other: memory.conditional?.other_base };
  const what = {
    where: {
      picture: "matches of this image that land there",
      class: "same-class matches of this class that land there",
      all: "matches of all images that land there",
    }[whose],
    same: `same-class matches that land there, from ${cellText(memory, state().c)} of all images`,
    other: `matches in other classes that land there, from ${cellText(memory, state().c)} of all images`,
  }[map];
  if (!what) return null;
  return behind(
    all.filter((match) => cells.has(match.cell)),
    all.length,
    what,
    base(map === "where" ? memory.maps.base : bases[map]),
  );
}

function behind(matches, n, what, base) {
  matches.sort((a, b) => a.distance - b.distance);
  return { matches, n, what, base };
}

function everyCell(answer) {
  return Array.from({ length: answer.memory.cells }, (_, cell) => matchesOfCell(answer, cell)).flat();
}

function everyAnswer(memory) {
  if (memory.source.live) return null;
  return Array.from({ length: memory.n_asked ?? memory.nQueries }, (_, row) =>
    answerAtHand(memory, { kind: "query", row }),
  );
}

// Matches of one query, from one cell or all, of one side or both. Weights are computed only for what is shown.
function landed(query, cell, side) {
  const { memory, ids, distance } = query;
  const [from, to] = cell === null ? [0, ids.length] : [cell * memory.k, (cell + 1) * memory.k];
  const found = [];
  for (let j = from; j < to; j++) {
    if (ids[j] === NONE) continue;
    const place = placeOf(memory, ids[j]);
    const classId = memory.classOfImage(place.image);
    if (
      side !== null &&
      (classId < 0 || query.classId < 0 || (classId === query.classId) !== (side === "same"))
    )
      continue;
    const queryCell = Math.floor(j / memory.k);
    found.push({
      answer: query,
      queryCell,
      id: ids[j],
      image: place.image,
      cell: place.cell,
      classId,
      rank: j - queryCell * memory.k + 1,
      distance: distance[j],
      get weight() {
        return analyzed(query).weights[j];
      },
    });
  }
  return found;
}

export function brushedPanel(exportCsv) {
  const heading = element("h2", {}, "Matches behind the brushed cells");
  const note = element("p", { class: "note", "aria-live": "polite" });
  const list = element("ul", { class: "pairs" });
  const more = button("", () => append(), { class: "quiet no-export" });
  const root = element(
    "section",
    { class: "panel brushed", hidden: true, "aria-label": "Matches behind the brushed cells" },
    element(
      "div",
      { class: "panel-head" },
      heading,
      element(
        "span",
        { class: "actions no-export" },
        button("CSV", () => exportCsv(), { class: "quiet", "aria-label": "save these matches as CSV" }),
        button("clear", () => adjust({ brush: "" }), { class: "quiet" }),
      ),
    ),
    note,
    list,
    more,
  );
  let found = null;
  let colors = null;
  let drawn = 0;
  let key = "";
  function append() {
    const upTo = Math.min(found.matches.length, drawn + PAIRS_AT_ONCE);
    for (; drawn < upTo; drawn++) list.append(pair(found.matches[drawn], colors));
    more.hidden = drawn >= found.matches.length;
    more.textContent = `${(found.matches.length - drawn).toLocaleString("en-US")} more`;
  }
  return {
    root,
    matches: () => (found ? found.matches : null),
    update(answer) {
      const wanted = [
        answer.source.kind,
        answer.source.row,
        state().brush,
        state().map,
        /^(same|other):/.test(state().brush) ? state().c : "",
      ].join();
      if (wanted === key) return;
      key = wanted;
      found = matchesBehind(answer);
      root.hidden = found === null;
      if (!found) return;
      colors = analyzed(answer).colors;
      drawn = 0;
      list.replaceChildren();
      replaceChildren(
        note,
        found.base === null
          ? found.what
          : `${count(found.matches.length, "match", "matches")} of ${found.n.toLocaleString("en-US")}: ` +
              `${percent(found.matches.length / found.n)} (base rate ${percent(found.base)}) · ${found.what}`,
      );
      append();
    },
  };
}

// A query cell, an arrow, a memory cell.
export function pair(match, colors) {
  const { answer, image, cell, classId } = match;
  const { memory } = answer;
  const [from, to] = [markedImage(memory), markedImage(memory)];
  from.show(pictureOf(memory, answer.source.kind, answer.source.row), "");
  from.mark(match.queryCell);
  to.show(pictureOf(memory, "memory", image), "");
  to.mark(cell);
  const open = element(
    "button",
    {
      type: "button",
      class: "pair-side",
      onclick: () =>
        go({
          kind: { query: "q", memory: "i", upload: "u" }[answer.source.kind],
          row: answer.source.row,
          view: "image",
          c: match.queryCell,
          r: match.rank,
        }),
      "aria-label": `query ${shown(baseName(answer.path))}, ${cellText(memory, match.queryCell)}; open`,
    },
    from.root,
  );
  const walk = element(
    "button",
    {
      type: "button",
      class: "pair-side",
      onclick: () => walkTo(memory, match),
      "aria-label": `match ${shown(baseName(memory.images.paths[image]))}, ${cellText(memory, cell)}; make it the query`,
    },
    to.root,
  );
  return element(
    "li",
    { class: "pair", "data-id": match.id, "data-row": answer.source.row, "data-cell": match.queryCell },
    open,
    element("span", { class: "arrow", "aria-hidden": "true" }, "→"),
    walk,
    element(
      "span",
      { class: "pair-text" },
      classLabel(memory, colors, classId),
      element("span", { class: "figure" }, `d ${fixed(match.distance, 3)}  w ${fixed(match.weight, 3)}`),
      element("span", { class: "muted" }, `rank ${match.rank}`),
    ),
  );
}
