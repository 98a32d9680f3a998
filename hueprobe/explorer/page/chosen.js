// The inverted index: which query cells chose a memory cell. Made when it is first needed, in file mode.

import { NONE } from "./data.js";

// Counts by vector id, and the matches sorted by vector id; null in server mode.
export function chosenIndex(memory) {
  if (memory.source.live) return null;
  if (!memory.chosen) memory.chosen = inverted(memory);
  return memory.chosen;
}

function inverted(memory) {
  const { cells, k, nImages } = memory;
  const n = memory.n_asked ?? memory.nQueries;
  const ids = memory.queries.ids.subarray(0, n * cells * k);
  const starts = new Uint32Array(nImages * cells + 1);
  let total = 0;
  for (const id of ids) {
    if (id === NONE) continue;
    starts[id + 1] += 1;
    total += 1;
  }
  for (let id = 0; id < nImages * cells; id++) starts[id + 1] += starts[id];
  const next = starts.slice();
  const matches = new Uint32Array(total);
  ids.forEach((id, match) => {
    if (id !== NONE) matches[next[id]++] = match;
  });
  return { starts, matches, total, queries: n };
}

export function chosenTimes(memory, id) {
  const index = chosenIndex(memory);
  return index ? index.starts[id + 1] - index.starts[id] : null;
}

// The query cells that chose a memory cell, nearest first: {row, cell, rank, distance}.
export function chosenBy(memory, id) {
  const index = chosenIndex(memory);
  const { k, cells } = memory;
  const found = [];
  for (const match of index.matches.subarray(index.starts[id], index.starts[id + 1])) {
    const query = Math.floor(match / k);
    const row = Math.floor(query / cells);
    found.push({
      row,
      cell: query - row * cells,
      rank: (match % k) + 1,
      distance: memory.queries.distance[match],
    });
  }
  return found.sort((a, b) => a.distance - b.distance || a.row - b.row || a.cell - b.cell);
}

// The most-chosen memory cells: {id, times}, and how many were never chosen.
export function mostChosen(memory, n) {
  const { starts } = chosenIndex(memory);
  const found = [];
  let never = 0;
  for (let id = 0; id + 1 < starts.length; id++) {
    const times = starts[id + 1] - starts[id];
    if (times > 0) found.push({ id, times });
    else never += 1;
  }
  found.sort((a, b) => b.times - a.times || a.id - b.id);
  return { most: found.slice(0, n), chosen: found.length, never };
}
