// One image: its grid, the chosen cell and its matches, class likelihoods and maps.

import { element, nameElement, announce, button, fixed } from "./dom.js";
import { number, shown, baseName, replaceChildren } from "./dom.js";
import { pictureOf, cellText } from "./data.js";
import { imageGrid } from "./image_grid.js";
import { analyzed, matchesOfCell, placeText, voteText, decidedWithout } from "./analysis.js";
import { classLabel, classText, colorClass, colorAt } from "./colors.js";
import { matchList } from "./matches.js";
import { likelihoodPanel, toggled } from "./likelihood.js";
import { imageMaps } from "./image_maps.js";
import { brushedPanel } from "./brushed.js";
import { saveCsv } from "./csv.js";
import { largest } from "./maps.js";
import { walkTo } from "./walk.js";
import { state, adjust, go } from "./state.js";
import { selected } from "./selection.js";

const OVERLAYS = { none: "nothing", votes: "votes", energy: "energy" };

export function imageView(answer) {
  const { memory } = answer;
  const found = analyzed(answer);
  const title = element("h1", { class: "image-title" }, nameElement(baseName(answer.path)));
  const facts = element("div", { class: "facts" });
  const told = element("div", { class: "cell-told" });
  const takeOut = button("", () => adjust({ off: toggled(state().off, state().c) }), {
    class: "quiet no-export",
  });
  const overlay = element(
    "select",
    { id: "overlay", onchange: () => paint() },
    Object.entries(OVERLAYS).map(([value, text]) => element("option", { value }, text)),
  );
  const matches = matchList(memory, "matches of the chosen cell");
  const heading = element("h2", {});
  const likelihoods = likelihoodPanel();
  const maps = imageMaps(memory);
  const brushed = brushedPanel(() => saveCsv(memory, brushed.matches(), "brushed"));
  let hovered = null;

  const grid = imageGrid(
    memory,
    "cells of the query image; arrow keys choose, Enter walks to the match of the chosen rank",
    {
      chosen: (cell) =>
        adjust({ c: cell, r: 1, brush: /^(same|other):/.test(state().brush) ? "" : state().brush }),
      hovered: (cell) => {
        if (cell === hovered) return;
        hovered = cell;
        showCell(cell ?? state().c);
        maps.cell(cell ?? state().c);
      },
      entered: (cell) => {
        const match = matchesOfCell(answer, cell)[Math.max(0, state().r - 1)];
        if (match) walkTo(memory, match);
        else announce("This cell has no matches.");
      },
      key: (event) => {
        if (event.key === "x") adjust({ off: toggled(state().off, state().c) });
        else if (/^\d$/.test(event.key)) chooseRank(event.key === "0" ? 10 : Number(event.key));
        else return false;
        return true;
      },
    },
  );

  const neighbors = element(
    "span",
    { class: "steps no-export" },
    button("‹", () => step(-1), { class: "icon", "aria-label": "previous image of the wall" }),
    button("›", () => step(1), { class: "icon", "aria-label": "next image of the wall" }),
  );
  const root = element(
    "div",
    { class: "image-view" },
    element(
      "section",
      { class: "panel query", "aria-label": "Query image" },
      element("div", { class: "panel-head" }, title, neighbors),
      facts,
      grid.root,
      memory.crop_known === false
        ? element(
            "p",
            { class: "note" },
            "This memory has a transform of its own, so where its cells lie in an image is not known. The grid only shows their order.",
          )
        : null,
      element(
        "div",
        { class: "under-grid" },
        element("label", { class: "field inline no-export" }, element("span", {}, "Overlay"), overlay),
        takeOut,
      ),
      told,
    ),
    element(
      "section",
      { class: "panel cell-matches", "aria-label": "Matches" },
      element(
        "div",
        { class: "panel-head" },
        heading,
        element(
          "span",
          { class: "actions no-export" },
          button("CSV", () => saveCsv(memory, matchesOfCell(answer, state().c), `cell-${state().c}`), {
            class: "quiet",
            "aria-label": "save the matches of this cell as CSV",
          }),
        ),
      ),
      matches.root,
    ),
    likelihoods.root,
    element(
      "section",
      { class: "maps", "aria-label": "Maps" },
      element("h2", {}, "Maps"),
      element(
        "p",
        { class: "note" },
        "Brush cells, with the mouse or with arrow keys and Space, to list the matches behind them.",
      ),
      maps.root,
    ),
    brushed.root,
  );

  grid.show(pictureOf(memory, answer.source.kind, answer.source.row), "");
  grid.label((cell) => `: ${voteText(answer, cell)}`);

  function step(by) {
    const rows = selected(memory, state());
    const at = rows.indexOf(answer.source.row);
    const to = rows[at + by];
    if (answer.source.kind !== "query" || at < 0 || to === undefined)
      announce("There is no further image in this direction.");
    else go({ kind: "q", row: to, r: 1 });
  }

  function chooseRank(rank) {
    if (rank <= matchesOfCell(answer, state().c).length) adjust({ r: rank });
  }

  function paint() {
    const { votes, colors, meanEnergy } = found;
    const high = largest(answer.energy, 1e-12);
    const paints = {
      none: () => null,
      votes: (cell) =>
        votes.leading[cell] < 0
          ? null
          : {
              class: `over ${colorClass(colors, votes.leading[cell])}`,
              side: 0.92 * Math.sqrt(votes.share[cell]),
            },
      energy: (cell) => ({
        class: "over",
        fill: meanEnergy > 0 ? colorAt("magma", answer.energy[cell] / high) : "none",
      }),
    };
    grid.overlay(paints[overlay.value]);
  }

  function showFacts() {
    const decision = decidedWithout(answer, state().off, state().no);
    const name = answer.className ?? memory.className(answer.classId);
    const verdict = answer.classId < 0 ? null : decision.predicted === answer.classId;
    replaceChildren(
      facts,
      element(
        "span",
        { class: "fact" },
        element("span", { class: "muted" }, "class "),
        answer.classId >= 0
          ? classLabel(memory, found.colors, answer.classId)
          : name === null
            ? "not given"
            : [nameElement(name), element("span", { class: "muted" }, " (not in the memory)")],
      ),
      element(
        "span",
        { class: "fact" },
        element("span", { class: "muted" }, "predicted "),
        classLabel(memory, found.colors, decision.predicted),
        verdict === null
          ? null
          : element(
              "span",
              { class: verdict ? "verdict-right" : "verdict-wrong" },
              verdict ? " ✓ right" : " ✗ wrong",
            ),
      ),
    );
  }

  function showCell(cell) {
    const list = matchesOfCell(answer, cell);
    matches.show(list, found.colors, cell === state().c ? state().r : -1);
    heading.textContent = `${list.length} nearest in the memory to ${cellText(memory, cell)}`;
    const energy = found.meanEnergy > 0 ? number(answer.energy[cell] / found.meanEnergy) : "0";
    replaceChildren(
      told,
      element("p", {}, element("strong", {}, placeText(memory, cell))),
      element(
        "p",
        {},
        found.votes.leading[cell] < 0
          ? "no vote"
          : [
              classLabel(memory, found.colors, found.votes.leading[cell]),
              ` ${fixed(100 * found.votes.share[cell], 0)} % of its kernel weight`,
            ],
      ),
      element(
        "p",
        { class: "muted" },
        `energy ${energy} × the image’s mean`,
        state().off.includes(cell) ? " · taken out" : "",
      ),
    );
  }

  return {
    root,
    answer,
    update() {
      const wanted = state();
      const cell = Math.min(wanted.c, memory.cells - 1);
      hovered = null;
      grid.choose(cell);
      grid.out(new Set(wanted.off));
      takeOut.textContent = wanted.off.includes(cell) ? "Put this cell back" : "Take this cell out";
      takeOut.setAttribute("aria-pressed", String(wanted.off.includes(cell)));
      showFacts();
      showCell(cell);
      paint();
      likelihoods.update(answer);
      maps.update(answer, cell);
      brushed.update(answer);
      const best = matchesOfCell(answer, cell)[0];
      const nearest =
        best && `nearest is ${classText(memory, best.classId)} at distance ${fixed(best.distance, 3)}`;
      announce(`${shown(baseName(answer.path))}, ${cellText(memory, cell)}: ${nearest ?? "no matches"}.`);
    },
    focus: () => grid.board.focus({ preventScroll: true }),
    csv: () =>
      saveCsv(
        memory,
        state().brush ? brushed.matches() : matchesOfCell(answer, state().c),
        state().brush ? "brushed" : `cell-${state().c}`,
      ),
  };
}
