// Matches as CSV, with the columns of hueprobe's match tables.

import { saveText } from "./saving.js";
import { baseName } from "./dom.js";

export const CSV_COLUMNS = [
  "query_image",
  "query_path",
  "query_y",
  "query_x",
  "query_class",
  "rank",
  "image",
  "path",
  "y",
  "x",
  "class",
  "distance",
  "weight",
];

export function csvText(memory, matches) {
  const quoted = (text) =>
    text === null || text === undefined ? "" : `"${String(text).replaceAll('"', '""')}"`;
  const lines = [CSV_COLUMNS.map(quoted).join(",")];
  for (const match of matches) {
    const { answer } = match;
    const row = (cell) => Math.floor(cell / memory.width);
    const column = (cell) => cell % memory.width;
    lines.push(
      [
        answer.source.row,
        quoted(answer.path),
        row(match.queryCell),
        column(match.queryCell),
        quoted(memory.className(answer.classId)),
        match.rank,
        match.image,
        quoted(memory.images.paths[match.image]),
        row(match.cell),
        column(match.cell),
        quoted(memory.className(match.classId)),
        match.distance,
        match.weight,
      ].join(","),
    );
  }
  return `${lines.join("\n")}\n`;
}

export function saveCsv(memory, matches, what) {
  if (!matches?.length) return;
  saveText(csvText(memory, matches), "text/csv", `${baseName(matches[0].answer.path)}-${what}.csv`);
}
