// What is known of every query image: prediction, margin, right or wrong.

import { margin } from "./equations.js";
import { decoded } from "./data.js";
import { fetchJson } from "./requests.js";

export const PENDING = -2; // not classified yet, in server mode

export function standing(memory) {
  if (!memory.standing) {
    memory.standing = memory.source.live ? unknown(memory) : measured(memory);
  }
  return memory.standing;
}

function measured(memory) {
  const { likelihood, predicted, counts } = memory.queries;
  const n = memory.nQueries;
  const wide = memory.classes.length;
  const margins = new Float32Array(n);
  for (let row = 0; row < n; row++) margins[row] = margin(likelihood.subarray(row * wide, (row + 1) * wide));
  const lone = (row) => counts[row * wide + memory.queries.class[row]] === 0;
  return { predicted, margins, lone, done: n, total: n, error: null };
}

function unknown(memory) {
  const n = memory.nQueries;
  return {
    predicted: new Int32Array(n).fill(PENDING),
    margins: new Float32Array(n),
    lone: () => false,
    done: 0,
    total: n,
    error: null,
  };
}

// Ask the server until all images are classified; `changed` is called after each answer.
export async function follow(memory, changed) {
  if (!memory.source.live || memory.following) return;
  memory.following = true;
  const known = standing(memory);
  let wait = 700;
  while (known.done < known.total && !known.error) {
    try {
      const reply = await fetchJson(`predictions?memory=${memory.number}`);
      known.predicted = decoded(reply.predicted);
      known.margins = decoded(reply.margin);
      Object.assign(known, { done: reply.done, total: reply.total, error: reply.error ?? null });
    } catch (error) {
      known.error = error.message;
    }
    changed();
    wait = Math.min(5000, wait * 1.3);
    if (known.done < known.total) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// "right", "wrong", "pending", or "" for images that do not count for accuracy.
export function verdictOf(memory, row) {
  const known = standing(memory);
  const trueClass = memory.queries.class[row];
  if (known.predicted[row] === PENDING) return "pending";
  if (trueClass < 0 || known.lone(row)) return "";
  return known.predicted[row] === trueClass ? "right" : "wrong";
}
