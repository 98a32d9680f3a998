// What is on screen, kept in the URL fragment: #m=0&q=12&c=24&r=3&view=image&off=3,4&no=2

const START = {
  m: 0, // memory
  kind: "", // "q" query image, "i" memory image, "u" upload; "" none
  row: -1,
  c: 0, // cell
  r: 1, // rank
  view: "wall",
  map: "picture", // whose p(x, y)
  v: -1, // memory vector of the reverse view
  off: [], // cells taken out
  no: [], // classes taken out
  brush: "", // "map:cells", such as "where:3,4"
  find: "",
  of: "", // class of the wall
  only: "", // "right" or "wrong"
  sort: "order",
};
const NUMBERS = new Set(["m", "c", "r", "v"]);
const LISTS = new Set(["off", "no"]);
const KINDS = ["q", "i", "u"];

export const VIEWS = ["wall", "image", "reverse", "compare", "verdicts"];

let current = { ...START };
let depth = 0; // pages of this explorer before the present one
const earlier = []; // where the browser allows no history: in some frames
const listeners = [];

export function state() {
  return current;
}

export function onState(listener) {
  listeners.push(listener);
}

export function readFragment(text) {
  const found = { ...START, off: [], no: [] };
  for (const [name, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    if (KINDS.includes(name)) Object.assign(found, { kind: name, row: whole(value, -1) });
    else if (NUMBERS.has(name)) found[name] = whole(value, START[name]);
    else if (LISTS.has(name)) found[name] = numbers(value);
    else if (name in START && name !== "kind" && name !== "row") found[name] = value;
  }
  if (!VIEWS.includes(found.view)) found.view = "wall";
  if (found.row < 0) found.kind = "";
  if (found.view === "wall" && found.kind && !/(^|[#&])view=/.test(text)) found.view = "image";
  return found;
}

export function writeFragment(wanted) {
  const parts = new URLSearchParams();
  if (wanted.kind) parts.set(wanted.kind, wanted.row);
  for (const [name, start] of Object.entries(START)) {
    if (name === "kind" || name === "row") continue;
    const value = LISTS.has(name) ? wanted[name].join(",") : String(wanted[name]);
    if (value !== String(start)) parts.set(name, value);
  }
  return parts.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
}

function whole(text, otherwise) {
  return /^\d{1,9}$/.test(text) ? Number(text) : otherwise;
}

function numbers(text) {
  return [
    ...new Set(
      text
        .split(",")
        .filter((part) => /^\d{1,9}$/.test(part))
        .map(Number),
    ),
  ];
}

// Change something in place: a chosen cell, a filter. The back button does not stop here.
export function adjust(changes) {
  commit({ ...current, ...changes }, false);
}

// Go somewhere: the back button returns to where one was.
export function go(changes) {
  commit({ ...current, off: [], no: [], brush: "", ...changes }, true);
}

function commit(wanted, push) {
  const before = current;
  current = wanted;
  if (push) depth += 1;
  const address = new URL(location.href);
  address.hash = writeFragment(wanted);
  try {
    history[push ? "pushState" : "replaceState"]({ depth }, "", address);
  } catch {
    if (push) earlier.push(before);
  }
  notify();
}

export function canGoBack() {
  return depth > 0;
}

export function back() {
  if (earlier.length) {
    depth -= 1;
    current = earlier.pop();
    notify();
  } else if (depth > 0) history.back();
  else if (current.view !== "wall") adjust({ view: "wall", kind: "", row: -1, off: [], no: [], brush: "" });
}

function notify() {
  for (const listener of listeners) listener(current);
}

export function startState() {
  current = readFragment(location.hash);
  depth = history.state?.depth ?? 0;
  const again = () => {
    current = readFragment(location.hash);
    depth = history.state?.depth ?? 0;
    notify();
  };
  addEventListener("popstate", again);
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== writeFragment(current)) again();
  });
}
