// What the equations give for one answer; kept with the answer.

import { NONE, cellText, placeOf } from "./data.js";
import { kernelWeights, matchClasses, likelihoods, decide, cellVotes } from "./equations.js";
import { classColors } from "./colors.js";

export function analyzed(answer) {
  if (!answer.analysis) {
    const { memory, ids, distance, counts } = answer;
    const { k, eps, cells } = memory;
    const weights = kernelWeights(distance, ids, k, eps, NONE);
    const classes = matchClasses(ids, cells, memory.classOfImage, NONE);
    const whole = decide(likelihoods(weights, classes, k, counts, new Set(), new Set()));
    answer.analysis = {
      weights,
      classes,
      whole,
      votes: cellVotes(weights, classes, k, memory.classes.length),
      colors: classColors(whole.normalized),
      meanEnergy: answer.energy.reduce((sum, value) => sum + value, 0) / cells,
    };
  }
  return answer.analysis;
}

// Likelihoods and decision without some cells and classes.
export function decidedWithout(answer, off, no) {
  const { weights, classes } = analyzed(answer);
  return decide(likelihoods(weights, classes, answer.memory.k, answer.counts, new Set(off), new Set(no)));
}

// The matches of a query cell, nearest first; missing ones are left out.
export function matchesOfCell(answer, cell) {
  const { memory, ids, distance } = answer;
  const { weights, classes } = analyzed(answer);
  const found = [];
  for (let j = cell * memory.k; j < (cell + 1) * memory.k; j++) {
    if (ids[j] === NONE) continue;
    const place = placeOf(memory, ids[j]);
    found.push({
      answer,
      queryCell: cell,
      id: ids[j],
      image: place.image,
      cell: place.cell,
      classId: classes[j],
      rank: j - cell * memory.k + 1,
      distance: distance[j],
      weight: weights[j],
    });
  }
  return found;
}

export function voteText(answer, cell) {
  const { votes } = analyzed(answer);
  const c = votes.leading[cell];
  if (c < 0) return "no vote";
  return `${answer.memory.classes[c]} has ${(100 * votes.share[cell]).toFixed(0)} % of the kernel weight`;
}

// Centered coordinates, right and up, as hueprobe.Grid has them.
export function placeText(memory, cell) {
  const [y, x] = [Math.floor(cell / memory.width), cell % memory.width];
  const u = x - (memory.width - 1) / 2;
  const v = (memory.height - 1) / 2 - y;
  const signed = (value) => `${value < 0 ? "−" : ""}${Math.abs(value)}`;
  return `${cellText(memory, cell)} (u = ${signed(u)}, v = ${signed(v)})`;
}
