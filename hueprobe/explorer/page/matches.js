// The K matches of a cell: crops of memory images with the matched cell marked.

import { element, fixed, shown, baseName, button, count } from "./dom.js";
import { pictureOf, cellText } from "./data.js";
import { markedImage } from "./image_grid.js";
import { colorClass, classText } from "./colors.js";
import { chosenTimes } from "./chosen.js";
import { walkTo, reverseOf, queryPlace } from "./walk.js";

// A list of K cards that are made once and filled for each cell.
export function matchList(memory, label) {
  const cards = Array.from({ length: memory.k }, () => matchCard(memory));
  const empty = element(
    "p",
    { class: "muted empty", hidden: true },
    "This cell has no matches: its activation vector is zero, or nothing may be matched.",
  );
  const list = element(
    "ol",
    { class: "matches", "aria-label": label },
    cards.map((card) => card.root),
  );
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll(".match-open")].filter((found) => found.offsetParent);
    const at = buttons.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    buttons[to].focus();
    event.preventDefault();
  });
  return {
    root: element("div", { class: "match-list" }, list, empty),
    show(matches, colors, rank) {
      empty.hidden = matches.length > 0;
      cards.forEach((card, i) => card.show(matches[i] ?? null, colors, rank));
    },
    focus(rank) {
      cards[Math.max(0, rank - 1)]?.focus();
    },
  };
}

function matchCard(memory) {
  const picture = markedImage(memory);
  const rank = element("span", { class: "rank" });
  const swatch = element("span", { "aria-hidden": "true" });
  const name = element("bdi", { class: "name" });
  const distance = element("span", {});
  const weight = element("span", {});
  const reverse = button("", () => shownMatch && reverseOf(memory, shownMatch.id), {
    class: "quiet small no-export",
  });
  let shownMatch = null;
  const open = element(
    "button",
    { type: "button", class: "match-open", onclick: () => shownMatch && walkTo(memory, shownMatch) },
    element("span", { class: "match-picture" }, picture.root, rank),
    element("span", { class: "match-class" }, swatch, name),
    element("span", { class: "match-numbers" }, distance, weight),
  );
  const root = element("li", { class: "match" }, open, reverse);
  return {
    root,
    focus: () => open.focus(),
    show(match, colors, chosenRank) {
      shownMatch = match;
      root.hidden = match === null;
      if (match === null) return;
      const path = memory.images.paths[match.image];
      picture.show(pictureOf(memory, "memory", match.image), "");
      picture.mark(match.cell);
      picture.root.dataset.color = colorClass(colors, match.classId);
      rank.textContent = String(match.rank);
      rank.classList.toggle("right", match.cell % memory.width < memory.width / 2); // away from the marked cell
      swatch.className = `swatch ${colorClass(colors, match.classId)}`;
      name.textContent = classText(memory, match.classId);
      distance.textContent = `d ${fixed(match.distance, 3)}`;
      weight.textContent = `w ${fixed(match.weight, 3)}`;
      const times = chosenTimes(memory, match.id);
      reverse.textContent = times === null ? "who chose it" : `chosen ${times.toLocaleString("en-US")}×`;
      reverse.setAttribute(
        "aria-label",
        times === null
          ? "show which query cells chose this memory cell"
          : `chosen by ${count(times, "query cell")}; show them`,
      );
      const walkable = queryPlace(memory, match.image) !== null;
      open.classList.toggle("current", match.rank === chosenRank);
      open.classList.toggle("not-here", !walkable);
      open.title = `${shown(path)}\n${cellText(memory, match.cell)}`;
      open.setAttribute(
        "aria-label",
        `rank ${match.rank}: ${name.textContent}, distance ${fixed(match.distance, 3)}, kernel weight ${fixed(match.weight, 3)}, ` +
          `${cellText(memory, match.cell)} of ${shown(baseName(path))}; ${walkable ? "make it the query" : "not in this file as a query"}`,
      );
      Object.assign(open.dataset, {
        rank: match.rank,
        id: match.id,
        image: match.image,
        cell: match.cell,
        class: match.classId,
        distance: match.distance,
        weight: match.weight,
      });
    },
  };
}
