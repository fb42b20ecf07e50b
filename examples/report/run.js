'use strict';
/* The page of a run, as it is: run.html, opened in a browser, shows the example in its element "data". The program report
   carries it in one piece with the files that it names and puts a run's own data in the example's place (run_page.hpp).
   Texts of the data are set as text, never read as HTML. What depends on which scores are shown is drawn again when
   another fusion is chosen; what is wider than a screen is cut to it. */
const Run = (() => {
  const {find, set, element, svg, lanesOf, percent, stepPath} = Shared;
  const data = JSON.parse(document.getElementById('data').textContent);
  const state = {fusion: data.trained, cls: null, subset: '', search: '', video: null, round: 0};
  const nameOf = (fusion) => Scores.nameOf(fusion, data);
  const colourOf = (fusion) => fusion === 'cbp' || fusion === 'vlp' ? fusion : 'fused';
  /** Whether detections are by the method's own inference, which knows no θ. */
  const own = () => (data.own ?? []).includes(state.fusion);
  const per = (x, digits = 1) => (100 * x).toFixed(digits);
  const result = (fusion = state.fusion) => data.results[fusion];

  // ---- scores: the branches' are given, the fusions are made of them here as fuse() makes them

  const {bytes, floats, slices} = Scores;
  const fuse = (fusion, cbp, vlp, frames = true) => Scores.fuse(fusion, cbp, vlp, data.cbpWeight, frames);
  /** The branches' scores of each class that a video shows; of a training video those after a round. */
  let decoded = {};  // the last ones, since a long video's take a while
  const scoresOf = (video, round = state.round) => {
    if (decoded.video === video && decoded.round === round) return decoded.scores;
    const from = video.kind === 'test' ? video : video.rounds[Math.min(round, video.rounds.length - 1)] ?? {};
    const read = video.kind === 'test' ? floats : (text) => Float32Array.from(bytes(text), (q) => q / 255);
    const scores = {cbp: from.cbp ? slices(read(from.cbp), video.rows) : null,
      vlp: from.vlp ? slices(read(from.vlp), video.rows) : null};
    decoded = {video, round, scores};
    return scores;
  };
  /** [{frames, video}] of each class that a video shows. */
  const fused = (video, fusion = state.fusion, round = state.round) => {
    const {cbp, vlp} = scoresOf(video, round), one = (v) => v === undefined || v === null ? null : Float32Array.of(v);
    return video.shown.map((_, k) => ({cbp: cbp?.[k], vlp: vlp?.[k], frames: fuse(fusion, cbp?.[k], vlp?.[k]),
      video: fuse(fusion, one(video.videoScores?.cbp?.[k]), one(video.videoScores?.vlp?.[k]), false)?.[0]}));
  };

  const detectionsOf = (video, cls = state.cls) =>
    (video.detections?.[state.fusion] ?? []).filter((d) => cls === null || d[0] === cls);
  const listed = () => data.videos.filter((video) => (!state.subset || video.kind === state.subset) && viewer.matches(video));

  // ---- one video

  const chart = (video, cls, scores) => {
    const out = viewer.chart(video, cls);
    const rule = (at, kind) => out.append(svg('line', {class: kind, x1: 0, x2: video.duration, y1: 1 - at, y2: 1 - at}));
    for (const branch of ['vlp', 'cbp']) {
      if (scores[branch]) out.append(svg('path', {class: 'curve-line ' + branch, d: stepPath(scores[branch], video.secondsPerRow)}));
    }
    if (scores.frames && colourOf(state.fusion) === 'fused')
      out.append(svg('path', {class: 'curve-line fused', d: stepPath(scores.frames, video.secondsPerRow)}));
    if (video.kind === 'test' && own()) return viewer.chartBox(out);
    if (video.kind === 'test' && scores.frames) {
      let low = Infinity, high = -Infinity;
      for (const p of scores.frames) low = Math.min(low, p), high = Math.max(high, p);
      const stretched = data.normalize && high > low;
      for (const theta of data.thetaLoc) rule(stretched ? low + theta * (high - low) : theta, 'theta');
    } else if (data.rule === 'thresholds') {
      rule(data.high, 'theta');
      rule(data.low, 'theta');
    }
    return viewer.chartBox(out);
  };

  /** The video's score of the class in each branch and fused, against θ_cls. */
  const gauge = (video, k, scores) => {
    const out = own() ? element('div', {class: 'gauge', title: 'video scores'}) :
      element('div', {class: 'gauge', title: `video scores; the mark is θ_cls ${data.thetaCls}`},
        element('i', {class: 'mark', style: 'left:' + percent(data.thetaCls, 1)}));
    const said = [];
    for (const [key, value] of [['cbp', video.videoScores.cbp?.[k]], ['vlp', video.videoScores.vlp?.[k]],
      ...(colourOf(state.fusion) === 'fused' ? [['fused', scores.video]] : [])]) {
      if (value === undefined || value === null) continue;
      out.append(element('i', {class: 'dot ' + key, style: 'left:' + percent(value, 1)}));
      said.push(element('span', {class: key + '-ink'}, value.toFixed(2)), ' ');
    }
    return [out, element('small', {}, 'video ', ...said)];
  };

  /** Labels of a round: where a branch calls foreground and where background. */
  const strip = (video, codes, what) => {
    const out = svg('svg', {class: 'strip', viewBox: `0 0 ${video.duration.toFixed(3)} 1`, preserveAspectRatio: 'none',
      role: 'img', 'aria-label': what});
    const path = ['', ''];
    for (let t = 0; t < codes.length;) {
      let end = t;
      while (end < codes.length && codes[end] === codes[t]) ++end;
      if (codes[t] < 2) path[codes[t]] += `M${(t * video.secondsPerRow).toFixed(3)} 0H${(end * video.secondsPerRow).toFixed(3)}V1H${(t * video.secondsPerRow).toFixed(3)}Z`;
      t = end;
    }
    out.append(svg('path', {class: 'ground', d: path[0]}), svg('path', {class: 'front', d: path[1]}));
    return out;
  };
  const roundName = (round) => round === 0 ? 'the warm-up' : 'round ' + round;
  const strips = (video, k) => element('div', {class: 'strips'}, ...video.rounds.flatMap((r, at) => {
    const codes = bytes(r.labels).slice(k * video.rows, (k + 1) * video.rows), what = roundName(r.round);
    return element('div', {class: at === state.round ? 'round-row now' : 'round-row'},
      element('span', {class: 'round-tag'}, r.round === 0 ? 'warm-up' : String(r.round)),
      ...['cbp', 'vlp'].filter((branch) => r[branch]).map((branch) => element('div', {class: branch},
        strip(video, codes.map((c) => branch === 'cbp' ? c & 3 : c >> 2),
          `${nameOf(branch)}'s pseudo-labels of ${data.classes[video.shown[k]]} after ${what}`))));
  }));

  const track = (video, cls, k, scores) => {
    const lanes = element('div', {class: 'lanes'}), name = element('div', {class: 'name isolate'}, data.classes[cls]);
    if (k >= 0 && (scores.cbp || scores.vlp)) {
      if (video.kind === 'test') name.append(...gauge(video, k, scores));
      const now = element('small', {}, 'now ');
      for (const [key, frames] of [['cbp', scores.cbp], ['vlp', scores.vlp],
        ...(colourOf(state.fusion) === 'fused' ? [['fused', scores.frames]] : [])]) {
        if (frames) now.append(viewer.live(key + '-ink', frames, video.secondsPerRow), ' ');
      }
      name.append(now);
      lanes.append(chart(video, cls, scores));
    }
    lanes.append(...viewer.truthLane(video, cls));
    const found = detectionsOf(video, cls).sort((a, b) => b[3] - a[3]);
    const places = lanesOf(found.map((d) => ({start: d[1], end: d[2]})));
    for (let lane = 0; lane < 6 && places.includes(lane); ++lane) {
      lanes.append(element('div', {class: 'lane'}, ...found.filter((_, i) => places[i] === lane).map((d) =>
        viewer.bar(video, d, 'found k' + d[4], d[3].toFixed(2), `${data.kinds[d[4]]}, score ${d[3].toFixed(3)}`, {'data-score': d[3]}))));
    }
    const beyond = places.filter((lane) => lane >= 6).length;
    if (beyond > 0) lanes.append(element('p', {class: 'small'}, `${beyond} weaker overlapping detections`));
    if (video.kind !== 'test' && video.rounds.length > 0) lanes.append(strips(video, k));
    return viewer.row(name, lanes);
  };

  const rows = (video) => {
    const scores = fused(video);
    const classes = [...new Set([...video.shown, ...video.truth.map((s) => s[0])])]
      .filter((c) => state.cls === null || c === state.cls);
    return classes.map((c) => {
      const k = video.shown.indexOf(c);
      return track(video, c, k, k < 0 ? {} : scores[k]);
    });
  };
  /** What the signs of a video mean, and which round it shows. */
  const explain = (video) => {
    const kinds = [...new Set(detectionsOf(video).map((d) => d[4]))].sort((a, b) => a - b);
    const more = video.more?.[state.fusion] ?? 0;
    const thresholds = video.kind === 'test'
      ? (video.cbp || video.vlp) && !own() ? `θ_loc ${data.thetaLoc.join(', ')}${data.normalize ? ' of the range of the scores' : ''}; mark: θ_cls ${data.thetaCls}` : ''
      : data.rule === 'thresholds' ? `δ_h ${data.high}, δ_l ${data.low}` : '';
    find('#kinds').replaceChildren(...(thresholds ? [element('span', {}, element('i', {class: 'dots'}), thresholds)] : []),
      ...(kinds.length > 0 ? [result()?.errors ? `Detections at tIoU ${result().errors.tiou}: ` : 'Detections: '] : []),
      ...kinds.map((kind) => element('span', {}, element('i', {class: 'box k' + kind}), data.kinds[kind])),
      ...(more > 0 ? [`${more} more of other classes or weaker`] : []),
      ...(video.rounds.length > 0 ? ['Pseudo-labels: ', ...[['front', 'foreground'], ['ground', 'background'], ['open', 'undecided']]
        .map(([kind, text]) => element('span', {}, element('i', {class: 'box ' + kind}), text))] : []));
    find('#round-name').textContent = video.rounds.length > 0 ? roundName(video.rounds[state.round].round) : '';
  };

  const viewer = Viewer({data, state, listed, height: 10, found: (video) => detectionsOf(video), rows, after: explain,
    marks: (video) => detectionsOf(video).map((d) => [d, 5.5, 'fused']),
    chosen: (video) => {
      state.round = Math.max(0, (video?.rounds.length ?? 0) - 1);
      find('#round-pick').hidden = !(video?.rounds.length > 1);
      set(find('#round'), {max: state.round});
      find('#round').value = state.round;
    },
    facts: (video) => [`${video.kind} video (${video.subset})`, `${video.rows} rows of ${+video.secondsPerRow.toFixed(3)} s`,
      ...(video.note ? [video.note] : [])].join(' · '),
    seconds: (video) => video.secondsPerRow});

  return {data, state, nameOf, colourOf, per, result, fused, viewer, choose: viewer.choose};
})();
