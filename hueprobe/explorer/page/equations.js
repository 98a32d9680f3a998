// Eq. 1-3 on the matches of one image, as hueprobe/density.py has them.

const TIE_TOLERANCE = 1e-12; // as there: what the order of summation alone can change

// Eq. 3: one weight per match, 0 where a match is missing (`none`). Distances ascend within a cell.
export function kernelWeights(distance, ids, k, eps, none) {
  const weights = new Float64Array(distance.length);
  for (let start = 0; start < distance.length; start += k) {
    const nearest = distance[start];
    const bandwidth = nearest * nearest + eps;
    for (let j = start; j < start + k; j++) {
      if (ids[j] === none) continue;
      const squared = distance[j] * distance[j];
      if (bandwidth > 0) weights[j] = Math.exp(-squared / bandwidth);
      else weights[j] = squared > 0 ? 0 : 1; // eps = 0 and a duplicate
    }
  }
  return weights;
}

// The class of each match; -1 for a missing or unlabeled one, which casts no vote.
export function matchClasses(ids, cells, classOfImage, none) {
  const classes = new Int32Array(ids.length);
  for (let j = 0; j < ids.length; j++) {
    classes[j] = ids[j] === none ? -1 : classOfImage(Math.floor(ids[j] / cells));
  }
  return classes;
}

// Eq. 2, not normalized; `off` are the cells and `no` the classes that are taken out.
export function likelihoods(weights, classes, k, counts, off, no) {
  const likelihood = new Float64Array(counts.length);
  for (let j = 0; j < weights.length; j++) {
    if (classes[j] >= 0 && !off.has(Math.floor(j / k)) && !no.has(classes[j]))
      likelihood[classes[j]] += weights[j];
  }
  for (let c = 0; c < likelihood.length; c++) likelihood[c] = counts[c] > 0 ? likelihood[c] / counts[c] : 0;
  return likelihood;
}

// Eq. 1: the largest likelihood, the lower class id in a tie, -1 without a vote.
export function decide(likelihood) {
  const best = likelihood.reduce((most, value) => Math.max(most, value), 0);
  const total = likelihood.reduce((sum, value) => sum + value, 0);
  const reached = [];
  likelihood.forEach((value, c) => {
    if (best > 0 && value >= best * (1 - TIE_TOLERANCE)) reached.push(c);
  });
  return {
    predicted: reached.length ? reached[0] : -1,
    tie: reached.length > 1,
    normalized: likelihood.map((value) => (total > 0 ? value / total : 0)),
  };
}

// Likelihood of the best class less that of the second best.
export function margin(normalized) {
  let [best, second] = [0, 0];
  for (const value of normalized) {
    if (value > best) [best, second] = [value, best];
    else if (value > second) second = value;
  }
  return best - second;
}

// For each cell the class with most kernel weight, the lower id in ties, and its share of the weight.
export function cellVotes(weights, classes, k, nClasses) {
  const cells = weights.length / k;
  const leading = new Int32Array(cells).fill(-1);
  const share = new Float64Array(cells);
  const sums = new Float64Array(nClasses);
  for (let cell = 0; cell < cells; cell++) {
    sums.fill(0);
    let total = 0;
    for (let j = cell * k; j < (cell + 1) * k; j++) {
      if (classes[j] < 0) continue;
      sums[classes[j]] += weights[j];
      total += weights[j];
    }
    if (!(total > 0)) continue;
    for (let c = 0; c < nClasses; c++)
      if (leading[cell] < 0 || sums[c] > sums[leading[cell]]) leading[cell] = c;
    share[cell] = sums[leading[cell]] / total;
  }
  return { leading, share };
}
