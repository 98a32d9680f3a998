// The page: reads the document, shows the view that the fragment asks for.

import { element, announce, replaceChildren, button, shown, count } from "./dom.js";
import { readDocument, answer, answerAtHand } from "./data.js";
import { state, onState, startState, back, adjust } from "./state.js";
import { header, keysDialog, introduction } from "./header.js";
import { exportMenu } from "./export.js";
import { uploadControl } from "./upload.js";
import { wallView } from "./wall.js";
import { imageView } from "./image_view.js";
import { reverseView } from "./reverse.js";
import { compareView } from "./compare.js";
import { verdictsView } from "./verdicts.js";
import { sourceOf, sourceIn } from "./walk.js";

const place = document.getElementById("view");
const walls = new Map(); // kept, so that going back finds the wall as it was
let opened = null;
let now = { key: "", view: null };
let topBar = null;
let scrolled = 0;

function fail(error) {
  replaceChildren(
    place,
    element(
      "section",
      { class: "panel failure", role: "alert" },
      element("h1", {}, "This cannot be shown"),
      element("p", {}, `${error.message}.`),
      button("Back to the images", () =>
        adjust({ view: "wall", kind: "", row: -1, m: opened?.memories[state().m] ? state().m : 0 }),
      ),
    ),
  );
  now = { key: "failed", view: null };
  place.dataset.view = "failed";
}

function memoryNow() {
  return opened.memories[state().m];
}

// Answers that the view needs: none for the wall, two for the comparison.
function needed(wanted) {
  const memory = memoryNow();
  if (wanted.view === "image") return [[memory, sourceOf(wanted)]];
  if (wanted.view !== "compare") return [];
  return opened.memories.map((other) => {
    const source = other === memory ? sourceOf(wanted) : sourceIn(memory, other, wanted);
    if (source === null) throw new Error("the other memory does not have this image");
    return [other, source];
  });
}

function make(wanted, answers) {
  if (wanted.view === "image") return imageView(answers[0]);
  if (wanted.view === "compare") return compareView(answers[0], answers[1]);
  if (wanted.view === "reverse") return reverseView(memoryNow());
  if (wanted.view === "verdicts") return verdictsView(opened.verdicts);
  const memory = memoryNow();
  if (!walls.has(memory)) walls.set(memory, wallView(memory));
  return walls.get(memory);
}

function checked(wanted) {
  if (!opened.memories[wanted.m]) throw new Error(`there is no memory ${wanted.m} in this page`);
  const memory = opened.memories[wanted.m];
  const image = wanted.view === "image" || wanted.view === "compare";
  if (image && !wanted.kind) throw new Error("no image is chosen");
  const limit = { q: memory.nQueries, i: memory.nImages, u: Infinity }[wanted.kind];
  if (image && !(wanted.row < limit))
    throw new Error(
      `there is no image ${wanted.row}; this page has ${count(memory.nQueries, "query image")}`,
    );
  if (wanted.view === "compare" && opened.memories.length < 2)
    throw new Error("this page has one memory; nothing to compare");
  if (wanted.view === "verdicts" && !opened.verdicts?.length)
    throw new Error("this page has no verdicts; make it with --results FOLDER");
}

async function show() {
  const wanted = state();
  try {
    checked(wanted);
    topBar.update();
    const parts = [wanted.view];
    if (wanted.view === "image" || wanted.view === "compare") parts.push(wanted.kind, wanted.row);
    if (wanted.view !== "compare" && wanted.view !== "verdicts") parts.push(wanted.m);
    const key = parts.join(" ");
    if (key !== now.key) {
      const asked = needed(wanted);
      let answers = asked.map(([memory, source]) => answerAtHand(memory, source));
      if (answers.includes(null)) {
        announce("Asking the memory …");
        place.setAttribute("aria-busy", "true");
        answers = await Promise.all(asked.map(([memory, source]) => answer(memory, source)));
        if (state() !== wanted) return show();
      }
      if (now.key.startsWith("wall")) scrolled = scrollY;
      now = { key, view: make(wanted, answers), answer: answers[0] ?? null };
      replaceChildren(place, now.view.root);
      await now.view.update();
      scrollTo(0, wanted.view === "wall" ? scrolled : 0);
      now.view.focus();
    } else await now.view.update();
    place.dataset.view = wanted.view;
    document.title = titleOf(wanted);
  } catch (error) {
    if (state() === wanted) fail(error);
  } finally {
    place.removeAttribute("aria-busy");
  }
  return undefined;
}

function titleOf(wanted) {
  const part = now.answer
    ? shown(now.answer.path)
    : { wall: "images", reverse: "reverse view", verdicts: "verdicts" }[wanted.view];
  return `${part} – ${shown(opened.title)} – hueprobe explore`;
}

// What can be saved: null where nothing is shown.
function screen() {
  const { view } = now;
  if (!view) return null;
  return {
    root: view.root,
    name: now.answer ? now.answer.path : opened.title,
    csv: view.csv,
    answer: now.answer,
    memory: memoryNow(),
    memories: opened.memories,
  };
}

function keys(dialog) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || dialog.open) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape") {
      if (typing?.value && typing.type === "search") return;
      back();
      event.preventDefault();
    } else if (typing) return;
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "g") place.querySelector(".board")?.focus();
    else if (event.key === "m") place.querySelector(".match-open")?.focus();
  });
}

function start() {
  try {
    opened = readDocument(document.getElementById("data").textContent);
  } catch (error) {
    fail(error);
    return;
  }
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    place.focus();
  });
  const dialog = keysDialog();
  document.body.append(dialog);
  topBar = header(
    opened,
    exportMenu(screen),
    opened.live ? uploadControl(opened.memories, opened.maxUpload) : null,
    dialog,
  );
  replaceChildren(document.getElementById("top"), topBar.bar);
  const line = introduction(opened.memories[0]);
  if (line) place.before(line);
  const foot = opened.live
    ? "Served from this computer."
    : "This file holds all of its data and asks nothing of the network.";
  replaceChildren(document.getElementById("foot"), `hueprobe ${shown(opened.hueprobe)} · ${foot}`);
  keys(dialog);
  startState();
  onState(show);
  show();
}

start();
