// From a match to its image as the next query, and to the reverse view of its cell.

import { announce, baseName, shown } from "./dom.js";
import { queryOfImage } from "./data.js";
import { go } from "./state.js";

// Where a memory image can be a query: {kind, row}, or null if this file does not have it.
export function queryPlace(memory, image) {
  const row = memory.queries.memory_row ? queryOfImage(memory, image) : -1;
  if (row >= 0) return { kind: "q", row };
  return memory.source.live ? { kind: "i", row: image } : null;
}

export function walkTo(memory, match) {
  const to = queryPlace(memory, match.image);
  if (to) go({ ...to, view: "image", m: memory.number, c: match.cell, r: 1 });
  else
    announce(
      `${shown(baseName(memory.images.paths[match.image]))} is not in this file as a query; the server has every image.`,
    );
}

export function reverseOf(memory, id) {
  go({ view: "reverse", m: memory.number, v: id });
}

export function sourceOf(wanted) {
  const kinds = { q: "query", i: "memory", u: "upload" };
  return { kind: kinds[wanted.kind], row: wanted.row };
}

// The same image in another memory: queries and uploads have the same row, memory images the same path.
export function sourceIn(memory, other, wanted) {
  if (wanted.kind !== "i") return sourceOf(wanted);
  const row = other.images.paths.indexOf(memory.images.paths[wanted.row]);
  return row < 0 ? null : { kind: "memory", row };
}
