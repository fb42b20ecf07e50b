'use strict';
/* Scores of branches as run.html and pair.html carry them, and what fuse() makes of them (wtal/detect/inference.hpp). */
const Scores = (() => {
  const bytes = (text) => {
    const letters = atob(text), out = new Uint8Array(letters.length);
    for (let i = 0; i < out.length; ++i) out[i] = letters.charCodeAt(i);
    return out;
  };
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const f = Math.fround;
  const minMax = (x) => {
    let low = Infinity, high = -Infinity;
    for (const p of x) low = Math.min(low, p), high = Math.max(high, p);
    return x.map((p) => high > low ? (p - low) / (high - low) : 0);
  };
  const mix = (a, b, w) => a.map((p, i) => f(f(p * f(w)) + f(b[i] * f(1 - w))));
  /** Of one class in one video: the scores that a fusion makes of those of both branches, in single precision. */
  const fuse = (fusion, cbp, vlp, weight, frames = true) => {
    if (fusion === 'cbp') return cbp;
    if (fusion === 'vlp') return vlp;
    if (!cbp || !vlp) return null;
    if (fusion === 'geometric-mean') return cbp.map((p, i) => Math.sqrt(f(p * vlp[i])));
    if (fusion === 'normalized-mean' && frames) return mix(minMax(cbp), minMax(vlp), 0.5);
    return mix(cbp, vlp, fusion === 'weighted' ? weight : 0.5);
  };
  const slices = (values, rows) => values && Array.from({length: values.length / rows},
    (_, k) => values.slice(k * rows, k * rows + rows));
  const names = {cbp: 'CBP', vlp: 'VLP', mean: 'mean', 'geometric-mean': 'geometric mean', 'normalized-mean': 'normalised mean'};
  /** The name of scores in a run; `run.names` says what its branches are called, where it is not CBP and VLP. */
  const nameOf = (fusion, run) => fusion === 'weighted' ? `weighted ${run.cbpWeight}` : run.names?.[fusion] ?? names[fusion] ?? fusion;
  /** The average that papers report first, and the thresholds (their places in `tiou`) that it is over. */
  const primary = (result, tiou) => {
    const range = '0.3:0.7' in result.averages ? '0.3:0.7' : Object.keys(result.averages)[0];
    const [low, high] = range.includes(':') ? range.split(':').map(Number) : [0, 1];
    return {range, value: result.averages[range],
      over: tiou.map((t, i) => i).filter((i) => tiou[i] >= low - 1e-9 && tiou[i] <= high + 1e-9)};
  };
  return {bytes, floats, fuse, slices, nameOf, primary};
})();
