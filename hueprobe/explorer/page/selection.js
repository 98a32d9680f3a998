// Which images the wall shows, and in which order.

import { standing, verdictOf } from "./standing.js";

export function selected(memory, wanted) {
  const known = standing(memory);
  const n = memory.n_asked ?? memory.nQueries;
  const needle = wanted.find.trim().toLowerCase();
  const classOf = memory.queries.class;
  const rows = [];
  for (let row = 0; row < n; row++) {
    if (wanted.of !== "" && classOf[row] !== Number(wanted.of)) continue;
    const verdict = verdictOf(memory, row);
    if (wanted.only === "unjudged" ? verdict !== "" : wanted.only && verdict !== wanted.only) continue;
    if (
      needle &&
      !`${memory.queries.paths[row]} ${trueName(memory, row) ?? ""}`.toLowerCase().includes(needle)
    )
      continue;
    rows.push(row);
  }
  const by = (value) => rows.sort((a, b) => value(a) - value(b) || a - b);
  if (wanted.sort === "margin-up") by((row) => known.margins[row]);
  if (wanted.sort === "margin-down") by((row) => -known.margins[row]);
  if (wanted.sort === "class")
    by((row) => (classOf[row] < 0 ? memory.classes.length : classOf[row]) - known.margins[row] / 2);
  return rows;
}

export function trueName(memory, row) {
  return memory.queries.class_names?.[row] ?? memory.className(memory.queries.class[row]);
}
