// The document: memories, queries and pictures. Arrays are decoded when they are first asked for.

import { fetchJson } from "./requests.js";

export const NONE = 0xffffffff; // id of a missing match

const TYPES = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
};

export function decoded(array) {
  if (array === null || array === undefined) return null;
  const Type = TYPES[array.dtype];
  if (!Type) throw new Error(`the page cannot read arrays of type ${array.dtype}`);
  const text = atob(array.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Type(bytes.buffer);
}

// The fields of a record; an encoded array is decoded at its first use.
function lazily(record) {
  const fields = {};
  for (const [name, value] of Object.entries(record ?? {})) {
    const encoded = value !== null && typeof value === "object" && "dtype" in value;
    Object.defineProperty(fields, name, {
      enumerable: true,
      configurable: true,
      get() {
        const found = encoded ? decoded(value) : value;
        Object.defineProperty(fields, name, { value: found, enumerable: true });
        return found;
      },
    });
  }
  return fields;
}

export function readDocument(text) {
  const raw = JSON.parse(text);
  if (raw.format !== "hueprobe-explorer" || raw.version !== 1) {
    throw new Error("the data in this page are not those of a hueprobe explorer, version 1");
  }
  const pictures = raw.pictures ?? [];
  const live = raw.mode === "server";
  const source = { live, pictures, urls: new Map(), mime: `image/${raw.thumbnails?.format ?? "webp"}` };
  const memories = raw.memories.map((memory, number) => readMemory(memory, number, source));
  return {
    title: raw.title,
    hueprobe: raw.hueprobe,
    live,
    memories,
    verdicts: raw.verdicts ?? null,
    maxUpload: raw.max_upload_bytes ?? null,
  };
}

function readMemory(raw, number, source) {
  const [height, width] = raw.grid;
  const memory = {
    ...raw,
    number,
    source,
    height,
    width,
    cells: height * width,
    images: lazily(raw.images),
    queries: lazily(raw.queries),
    maps: lazily(raw.maps),
    conditional: raw.maps?.conditional ? lazily(raw.maps.conditional) : null,
    classVectors: decoded(raw.class_vectors),
    answers: new Map(),
    uploads: [],
  };
  memory.nImages = raw.images.paths.length;
  memory.nQueries = raw.queries.paths.length;
  memory.classOfImage = (row) => memory.images.class[row];
  memory.className = (id) => (id >= 0 ? memory.classes[id] : null);
  return memory;
}

// Where a vector id lies: memory row, and cell y*W + x.
export function placeOf(memory, id) {
  const image = Math.floor(id / memory.cells);
  return { image, cell: id - image * memory.cells };
}

export function cellText(memory, cell) {
  return `row ${Math.floor(cell / memory.width)}, column ${cell % memory.width}`;
}

// The cell in the middle of the grid: where an image opens.
export function middle(memory) {
  return Math.floor(memory.height / 2) * memory.width + Math.floor(memory.width / 2);
}

// Address of a thumbnail, or null where the file has none.
export function pictureOf(memory, kind, row) {
  const { source } = memory;
  if (source.live) return `thumbnail?memory=${memory.number}&kind=${kind}&row=${row}`;
  const table = kind === "memory" ? memory.images.thumbnail : memory.queries.thumbnail;
  const number = table ? table[row] : -1;
  if (number === undefined || number < 0 || !source.pictures[number]) return null;
  if (!source.urls.has(number)) {
    source.urls.set(number, `data:${source.mime};base64,${source.pictures[number]}`);
  }
  return source.urls.get(number);
}

// Queries by the memory row that they are (leave-one-out); built at the first walk.
export function queryOfImage(memory, image) {
  if (!memory.rowOfImage) {
    memory.rowOfImage = new Map();
    memory.queries.memory_row.forEach((row, query) => {
      if (row >= 0) memory.rowOfImage.set(row, query);
    });
  }
  return memory.rowOfImage.get(image) ?? -1;
}

// The number of vectors that queries can match, for base rates.
export function storedVectors(memory) {
  const labeled = memory.classVectors.reduce((sum, value) => sum + value, 0);
  return memory.vectors ?? (labeled || memory.nImages * memory.cells);
}

export function hasAnswers(memory) {
  return !memory.source.live;
}

// One query with its matches. `source` is {kind: "query" | "memory" | "upload", row}.
export function answerAtHand(memory, source) {
  const key = `${source.kind} ${source.row}`;
  if (!memory.answers.has(key) && hasAnswers(memory) && source.kind === "query") {
    memory.answers.set(key, oneQuery(memory, memory.queries, source.row, source));
  }
  return memory.answers.get(key) ?? null;
}

export async function answer(memory, source) {
  const found = answerAtHand(memory, source);
  if (found) return found;
  if (!memory.source.live) throw new Error("this image is not in this file");
  const what = {
    query: `query?memory=${memory.number}&row=${source.row}`,
    memory: `memory-image?memory=${memory.number}&row=${source.row}`,
    upload: `query?memory=${memory.number}&kind=upload&row=${source.row}`,
  };
  const reply = await fetchJson(what[source.kind]);
  return keepAnswer(memory, source, reply.queries);
}

export function keepAnswer(memory, source, queries) {
  const kept = oneQuery(memory, lazily(queries), 0, source);
  memory.answers.set(`${source.kind} ${source.row}`, kept);
  if (memory.answers.size > 400) memory.answers.delete(memory.answers.keys().next().value);
  return kept;
}

function oneQuery(memory, table, row, source) {
  const { cells, k, classes } = memory;
  const part = (array, width) => array.subarray(row * width, (row + 1) * width);
  return {
    memory,
    source,
    path: table.paths[row],
    root: (table.memory_row[row] >= 0 ? memory.images.root : table.root) ?? null,
    className: table.class_names?.[row] ?? null,
    classId: table.class[row],
    memoryRow: table.memory_row[row],
    predicted: table.predicted[row],
    tie: table.tie[row] === 1,
    likelihood: part(table.likelihood, classes.length),
    counts: part(table.counts, classes.length),
    energy: part(table.energy, cells),
    ids: part(table.ids, cells * k),
    distance: part(table.distance, cells * k),
  };
}
