'use strict';
/* The page of a run, as it is: run.html, opened in a browser, shows the example in its element "data". The program report
   carries it in one piece with the files that it names and puts a run's own data in the example's place (run_page.hpp).
   Texts of the data are set as text, never read as HTML. What depends on which scores are shown is drawn again when
   another fusion is chosen; what is wider than a screen is cut to it. */
const Run = (() => {
  const {find, all, clock, set, element, svg, lanesOf, percent, stepPath, timeAxis, segmentBar, clamp, Player} = Shared;
  const data = JSON.parse(document.getElementById('data').textContent);
  const state = {fusion: data.trained, cls: null, subset: '', search: '', video: null, round: 0};
  const nameOf = (fusion) => Scores.nameOf(fusion, data.cbpWeight);
  const colourOf = (fusion) => fusion === 'cbp' || fusion === 'vlp' ? fusion : 'fused';
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

  // ---- the index

  const segmentsOf = (video, cls = state.cls) => video.truth.filter((s) => cls === null || s[0] === cls);
  const detectionsOf = (video, cls = state.cls) =>
    (video.detections?.[state.fusion] ?? []).filter((d) => cls === null || d[0] === cls);
  const classesOf = (video) => [...new Set([...video.labels, ...video.truth.map((s) => s[0])])];
  const matches = (video) => (!state.subset || video.kind === state.subset) &&
    (state.cls === null || classesOf(video).includes(state.cls) || detectionsOf(video).length > 0) &&
    (state.search === '' || [video.id, ...classesOf(video).map((c) => data.classes[c])]
      .some((text) => text.toLowerCase().includes(state.search)));
  const listed = () => data.videos.filter(matches);

  const thumb = (video) => {
    const mark = (s, y, kind) => svg('rect', {class: kind, x: s[1], y, height: 4,
      width: Math.max(0, Math.min(s[2], video.duration) - s[1])});
    return svg('svg', {class: 'thumb', viewBox: `0 0 ${video.duration} 10`, preserveAspectRatio: 'none', 'aria-hidden': 'true'},
      ...segmentsOf(video).map((s) => mark(s, 0.5, 'truth')), ...detectionsOf(video).map((d) => mark(d, 5.5, 'fused')));
  };
  const drawList = () => {
    const shown = listed();
    find('#list').replaceChildren(...shown.map((video) => {
      const now = video === state.video, where = classesOf(video).map((c) => data.classes[c]).join(', ');
      const button = element('button', {type: 'button', class: 'entry', tabindex: now ? 0 : -1, title: video.id,
        ...(now ? {'aria-current': 'true'} : {})},
      element('span', {class: 'entry-name isolate'}, video.id), element('span', {class: 'entry-classes isolate'}, where),
      thumb(video));
      button.addEventListener('click', () => choose(video));
      return element('li', {}, button);
    }));
    const first = find('.entry');
    if (first && !find('.entry[tabindex="0"]')) first.tabIndex = 0;
    const one = data.videos.length === 1;
    find('#count').textContent = `${shown.length} of ${data.videos.length} ${one ? 'video' : 'videos'}` +
      (data.hidden > 0 ? `; ${data.hidden} more are not on this page` : '');
  };
  find('#list').addEventListener('keydown', (event) => {
    const entries = all('.entry'), at = entries.indexOf(document.activeElement);
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1}[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const target = entries[clamp(to, 0, entries.length - 1)];
    entries.forEach((e) => { e.tabIndex = e === target ? 0 : -1; });
    target.focus();
  });

  // ---- one video

  let live = [], bars = [];
  const player = new Player(find('video'), (time) => {
    find('.head').style.left = 100 * time / player.duration + '%';
    find('#now').textContent = clock(time);
    set(find('.axis'), {'aria-valuenow': time.toFixed(1), 'aria-valuetext': `${clock(time)} of ${clock(player.duration)}`});
    const row = Math.floor(time / player.row);
    for (const [cell, frames] of live) cell.textContent = row < frames.length ? frames[row].toFixed(2) : '–';
    for (const bar of bars) bar.classList.toggle('playing', time >= +bar.dataset.start && time < +bar.dataset.end);
  });
  player.failed = () => { find('#unplayable').hidden = false; };

  const chart = (video, cls, scores) => {
    const out = svg('svg', {class: 'chart', preserveAspectRatio: 'none', role: 'img',
      viewBox: `0 -0.05 ${video.duration.toFixed(3)} 1.1`, 'aria-label': `Frame scores of ${data.classes[cls]}`});
    for (const s of segmentsOf(video, cls)) out.append(svg('rect', {class: 'truth', x: s[1], y: -0.05, height: 1.1,
      width: Math.max(0, Math.min(s[2], video.duration) - s[1])}));
    const rule = (at, kind) => out.append(svg('line', {class: kind, x1: 0, x2: video.duration, y1: 1 - at, y2: 1 - at}));
    for (const branch of ['vlp', 'cbp']) {
      if (scores[branch]) out.append(svg('path', {class: 'curve-line ' + branch, d: stepPath(scores[branch], video.secondsPerRow)}));
    }
    if (scores.frames && colourOf(state.fusion) === 'fused')
      out.append(svg('path', {class: 'curve-line fused', d: stepPath(scores.frames, video.secondsPerRow)}));
    if (video.kind === 'test' && scores.frames) {
      let low = Infinity, high = -Infinity;
      for (const p of scores.frames) low = Math.min(low, p), high = Math.max(high, p);
      const stretched = data.normalize && high > low;
      for (const theta of data.thetaLoc) rule(stretched ? low + theta * (high - low) : theta, 'theta');
    } else if (data.rule === 'thresholds') {
      rule(data.high, 'theta');
      rule(data.low, 'theta');
    }
    return element('div', {class: 'chart-box'}, out, element('span', {class: 'y top'}, '1'), element('span', {class: 'y'}, '0'));
  };

  /** The video's score of the class in each branch and fused, against θ_cls. */
  const gauge = (video, k, scores) => {
    const out = element('div', {class: 'gauge', title: `video scores; the mark is θ_cls ${data.thetaCls}`},
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
          `${branch.toUpperCase()}'s pseudo-labels of ${data.classes[video.shown[k]]} after ${what}`))));
  }));

  const bar = (video, s, kind, text, what, extra = {}) => {
    const out = segmentBar('segment ' + kind, {start: s[1], end: s[2]}, video.duration,
      `${data.classes[s[0]]}, ${what}, ${clock(s[1])} to ${clock(s[2])}`, text, '', extra);
    out.addEventListener('click', () => player.seek(s[1]));
    bars.push(out);
    return out;
  };

  const track = (video, cls, k, scores) => {
    const lanes = element('div', {class: 'lanes'}), name = element('div', {class: 'name isolate'}, data.classes[cls]);
    if (k >= 0 && (scores.cbp || scores.vlp)) {
      if (video.kind === 'test') name.append(...gauge(video, k, scores));
      const now = element('small', {}, 'now ');
      for (const [key, frames] of [['cbp', scores.cbp], ['vlp', scores.vlp],
        ...(colourOf(state.fusion) === 'fused' ? [['fused', scores.frames]] : [])]) {
        if (!frames) continue;
        const cell = element('span', {class: key + '-ink'}, '–');
        live.push([cell, frames]);
        now.append(cell, ' ');
      }
      name.append(now);
      lanes.append(chart(video, cls, scores));
    }
    const truth = segmentsOf(video, cls);
    if (truth.length > 0) lanes.append(element('div', {class: 'lane'}, ...truth.map((s) => bar(video, s, 'truth', '', 'annotated'))));
    const found = detectionsOf(video, cls).sort((a, b) => b[3] - a[3]);
    const places = lanesOf(found.map((d) => ({start: d[1], end: d[2]})));
    for (let lane = 0; lane < 6 && places.includes(lane); ++lane) {
      lanes.append(element('div', {class: 'lane'}, ...found.filter((_, i) => places[i] === lane).map((d) =>
        bar(video, d, 'found k' + d[4], d[3].toFixed(2), `${data.kinds[d[4]]}, score ${d[3].toFixed(3)}`, {'data-score': d[3]}))));
    }
    const beyond = places.filter((lane) => lane >= 6).length;
    if (beyond > 0) lanes.append(element('p', {class: 'small'}, `${beyond} weaker overlapping detections`));
    if (video.kind !== 'test' && video.rounds.length > 0) lanes.append(strips(video, k));
    player.seeksOn(lanes);
    return element('div', {class: 'row'}, name, lanes);
  };

  const drawVideo = () => {
    const video = state.video;
    live = [], bars = [];
    if (!video) {
      find('#tracks').replaceChildren(element('p', {class: 'small'}, 'There is no video to show.'));
      return;
    }
    const scores = fused(video);
    const classes = [...new Set([...video.shown, ...video.truth.map((s) => s[0])])]
      .filter((c) => state.cls === null || c === state.cls);
    find('#tracks').replaceChildren(...classes.map((c) => {
      const k = video.shown.indexOf(c);
      return track(video, c, k, k < 0 ? {} : scores[k]);
    }), ...(classes.length === 0 ? [element('p', {class: 'small'}, 'Nothing of this class is here.')] : []));
    const kinds = [...new Set(detectionsOf(video).map((d) => d[4]))].sort((a, b) => a - b);
    const more = video.more?.[state.fusion] ?? 0;
    const thresholds = video.kind === 'test'
      ? video.cbp || video.vlp ? `θ_loc ${data.thetaLoc.join(', ')}${data.normalize ? ' of the range of the scores' : ''}; mark: θ_cls ${data.thetaCls}` : ''
      : data.rule === 'thresholds' ? `δ_h ${data.high}, δ_l ${data.low}` : '';
    find('#kinds').replaceChildren(...(thresholds ? [element('span', {}, element('i', {class: 'dots'}), thresholds)] : []),
      ...(kinds.length > 0 ? [result()?.errors ? `Detections at tIoU ${result().errors.tiou}: ` : 'Detections: '] : []),
      ...kinds.map((kind) => element('span', {}, element('i', {class: 'box k' + kind}), data.kinds[kind])),
      ...(more > 0 ? [`${more} more of other classes or weaker`] : []),
      ...(video.rounds.length > 0 ? ['Pseudo-labels: ', ...[['front', 'foreground'], ['ground', 'background'], ['open', 'undecided']]
        .map(([kind, text]) => element('span', {}, element('i', {class: 'box ' + kind}), text))] : []));
    find('#round-name').textContent = video.rounds.length > 0 ? roundName(video.rounds[state.round].round) : '';
    player.show(player.time);
  };

  const choose = (video) => {
    state.video = video;
    state.round = Math.max(0, (video?.rounds.length ?? 0) - 1);
    const has = Boolean(video?.video);
    find('#stage').hidden = !has;
    find('#unplayable').hidden = true;
    find('#round-pick').hidden = !(video?.rounds.length > 1);
    set(find('#round'), {max: state.round});
    find('#round').value = state.round;
    find('#timeline').classList.toggle('empty', !video);
    find('#video-title').textContent = video?.id ?? '';
    if (video) {
      find('#video-facts').textContent = [`${video.kind} video (${video.subset})`, `${video.rows} rows of ${+video.secondsPerRow.toFixed(3)} s`,
        ...(video.note ? [video.note] : [])].join(' · ');
      find('#video-name').textContent = video.videoName || 'the video';
      find('#end').textContent = '/ ' + clock(video.duration);
      const source = video.video.startsWith('#') ? document.getElementById(video.video.slice(1)).textContent : video.video;
      timeAxis(find('.axis'), video.duration);
      player.load(source, video.duration, video.secondsPerRow);
      try { history.replaceState(null, '', '#video=' + encodeURIComponent(video.id)); } catch { /* a page without a place */ }
    }
    all('.entry').forEach((e) => {
      const now = e.title === video?.id;
      e.tabIndex = now ? 0 : -1;
      if (now) set(e, {'aria-current': 'true'}); else e.removeAttribute('aria-current');
      if (now) e.parentElement.parentElement.scrollTop = Math.max(0, e.offsetTop - e.parentElement.parentElement.offsetTop - 80);
    });
    drawVideo();
  };

  return {data, state, nameOf, colourOf, per, result, fuse, fused, listed, drawList, drawVideo, choose, player, bars: () => bars};
})();
