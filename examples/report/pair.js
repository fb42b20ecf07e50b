'use strict';
/* Two runs side by side: pair.html, opened in a browser, shows the example in its element "data"; the program report puts
   two runs' data in its place (pair_page.hpp). The first run is a, blue, the second b, orange, in every plot. */
const Pair = (() => {
  const {find, element, svg, lanesOf, stepPath} = Shared;
  const {table, lines, bars: barPlot} = Plots;
  const data = JSON.parse(document.getElementById('data').textContent);
  const sides = [0, 1], colours = ['run-a', 'run-b'];
  const state = {fusion: data.runs.map((r) => r.trained), cls: null, search: '', order: '', video: null};
  const per = (x) => (100 * x).toFixed(1);
  const signed = (x) => (x >= 0 ? '+' : '−') + Math.abs(100 * x).toFixed(1);
  const runName = (r) => data.runs[r].name;
  const scoreName = (r, fusion = state.fusion[r]) => Scores.nameOf(fusion, data.runs[r]);
  const result = (r) => data.runs[r].results[state.fusion[r]];
  const both = () => sides.every((r) => result(r));

  // ---- scores and detections of a video by one of the runs

  let decoded = {};
  /** [{frames, video}] of each class that a run shows of a video. */
  const scoresOf = (video, r) => {
    if (decoded.video !== video) decoded = {video, of: []};
    const of = video.runs[r], fusion = state.fusion[r], weight = data.runs[r].cbpWeight;
    const frames = decoded.of[r] ??= {cbp: of.cbp ? Scores.slices(Scores.floats(of.cbp), of.rows) : null,
      vlp: of.vlp ? Scores.slices(Scores.floats(of.vlp), of.rows) : null};
    const one = (v) => v === undefined || v === null ? null : Float32Array.of(v);
    return of.shown.map((_, k) => ({frames: Scores.fuse(fusion, frames.cbp?.[k], frames.vlp?.[k], weight),
      video: Scores.fuse(fusion, one(of.videoScores.cbp?.[k]), one(of.videoScores.vlp?.[k]), weight, false)?.[0]}));
  };
  const detectionsOf = (video, r, cls = state.cls) =>
    (video.runs[r].detections[state.fusion[r]] ?? []).filter((d) => cls === null || d[0] === cls);

  // ---- the index

  /** How much more of the annotation a run finds than it says wrong: the scores of its true positives, less those of others. */
  const worth = (video, r) => detectionsOf(video, r).reduce((sum, d) => sum + (d[4] === 0 ? d[3] : -d[3] / 4), 0);
  const listed = () => {
    const shown = data.videos.filter(viewer.matches);
    if (state.order === '') return shown;
    const sign = state.order === 'a' ? 1 : -1;
    return shown.map((video) => [sign * (worth(video, 1) - worth(video, 0)), video]).sort((x, y) => x[0] - y[0]).map((x) => x[1]);
  };

  // ---- one video

  const lanesOfRun = (video, cls, r) => {
    const found = detectionsOf(video, r, cls).sort((a, b) => b[3] - a[3]);
    const places = lanesOf(found.map((d) => ({start: d[1], end: d[2]})));
    const out = element('div', {class: 'of-run ' + colours[r], role: 'group', 'aria-label': `Detections of ${runName(r)}`});
    for (let lane = 0; lane < 3 && places.includes(lane); ++lane) {
      out.append(element('div', {class: 'lane'}, ...found.filter((_, i) => places[i] === lane).map((d) =>
        viewer.bar(video, d, d[4] === 0 ? 'found' : 'found false', d[3].toFixed(2),
          `${runName(r)}: ${data.kinds[d[4]]}, score ${d[3].toFixed(3)}`, {'data-score': d[3], 'data-run': r}))));
    }
    const beyond = places.filter((lane) => lane >= 3).length;
    if (found.length === 0) out.append(element('p', {class: 'none'}, 'nothing found'));
    if (beyond > 0) out.append(element('p', {class: 'none'}, `${beyond} weaker overlapping detections`));
    return out;
  };
  const track = (video, cls, scores) => {
    const lanes = element('div', {class: 'lanes'}), name = element('div', {class: 'name isolate'}, data.classes[cls]);
    const known = sides.map((r) => scores[r][video.runs[r].shown.indexOf(cls)]);
    if (known.some((s) => s?.frames)) {
      const out = viewer.chart(video, cls);
      const of = element('small', {}, 'video '), now = element('small', {}, 'now ');
      for (const r of sides) {
        if (!known[r]?.frames) continue;
        const {frames, video: score} = known[r], step = video.runs[r].secondsPerRow, ink = colours[r] + '-ink';
        out.append(svg('path', {class: 'series ' + colours[r], d: stepPath(frames, step)}));
        of.append(element('span', {class: ink}, score.toFixed(2)), ' ');
        now.append(viewer.live(ink, frames, step), ' ');
      }
      name.append(of, now);
      lanes.append(viewer.chartBox(out));
    }
    lanes.append(...viewer.truthLane(video, cls), ...sides.map((r) => lanesOfRun(video, cls, r)));
    return viewer.row(name, lanes);
  };
  const viewer = Viewer({data, state, listed, height: 15, found: (video) => sides.flatMap((r) => detectionsOf(video, r)),
    marks: (video) => sides.flatMap((r) => detectionsOf(video, r).map((d) => [d, 5.5 + 5 * r, colours[r]])),
    chosen: () => {},
    facts: (video) => `test video (${video.subset}) · ` +
      [...new Set(video.runs.map((of) => `${of.rows} rows of ${+of.secondsPerRow.toFixed(3)} s`))].join(' and '),
    seconds: (video) => Math.min(...video.runs.map((of) => of.secondsPerRow)),
    rows: (video) => {
      const scores = sides.map((r) => scoresOf(video, r));
      return [...new Set([...viewer.classesOf(video), ...sides.flatMap((r) => detectionsOf(video, r).map((d) => d[0]))])]
        .filter((c) => state.cls === null || c === state.cls).map((c) => track(video, c, scores));
    }});

  // ---- the whole runs

  const keys = () => sides.map((r) => ({name: runName(r), colour: colours[r]}));
  const summary = () => {
    const parts = sides.flatMap((r) => {
      const of = result(r), {range, value} = of ? Scores.primary(of, data.tiou) : {};
      return [...(r > 0 ? [' · '] : []), element('span', {class: `${colours[r]}-ink isolate`}, runName(r)), ' ',
        ...(of ? [element('b', {}, `${per(value)} %`), ` (${scoreName(r)}${range === 'mean' ? '' : ', tIoU ' + range})`] : ['no mAP'])];
    });
    if (both()) {
      const [a, b] = sides.map((r) => Scores.primary(result(r), data.tiou).value);
      parts.push(' · difference ', element('b', {}, signed(b - a)), ' points mAP');
    }
    find('#summary').replaceChildren(...parts, ` · protocol ${data.protocol}, ${data.testVideos} test videos, ${data.instances} instances`);
  };
  const mapTable = () => {
    if (!both()) return null;
    const ranges = Object.keys(result(0).averages);
    const row = (r, fusion) => {
      const of = data.runs[r].results[fusion];
      return [`${runName(r)}: ${scoreName(r, fusion)}`, ...of.map.map(per), ...ranges.map((range) => per(of.averages[range])), String(of.detections)];
    };
    const [a, b] = sides.map(result);
    const rows = [...sides.map((r) => row(r, state.fusion[r])), ['difference', ...data.tiou.map((_, i) => signed(b.map[i] - a.map[i])),
      ...ranges.map((range) => signed(b.averages[range] - a.averages[range])), '']];
    for (const r of sides) {
      for (const fusion of data.runs[r].fusions) {
        if (fusion !== state.fusion[r] && data.runs[r].results[fusion]) rows.push(row(r, fusion));
      }
    }
    return table('mAP in %', ['scores', ...data.tiou.map((t) => '@' + t), ...ranges, 'detections'], rows, 2);
  };
  const mapPlot = () => both() && lines('mAP by tIoU', '', {x: 'tIoU', y: 'mAP in %', digits: 1, xTicks: data.tiou,
    series: sides.map((r) => ({name: `${runName(r)}: ${scoreName(r)}`, colour: colours[r],
      points: data.tiou.map((t, i) => [t, 100 * result(r).map[i]])}))});
  const classPlot = () => {
    if (!both()) return null;
    const {range, over} = Scores.primary(result(0), data.tiou);
    const mean = (c) => over.reduce((sum, i) => sum + c.ap[i], 0) / over.length;
    const other = new Map(result(1).classes.map((c) => [c.name, c]));
    const rows = result(0).classes.map((c) => ({c, ap: [mean(c), other.has(c.name) ? mean(other.get(c.name)) : 0]}));
    rows.sort((x, y) => (y.ap[1] - y.ap[0]) - (x.ap[1] - x.ap[0]));
    return barPlot('AP by class', `mean over tIoU ${range === 'mean' ? data.tiou.join(', ') : range}, in %; the classes that the second run gains most on come first`,
      rows.flatMap(({c, ap}) => sides.map((r) => ({name: r === 0 ? c.name : '', parts: [{value: ap[r], colour: colours[r], name: `${c.name}, ${runName(r)}`}],
        text: r === 0 ? per(ap[0]) : `${per(ap[1])} (${signed(ap[1] - ap[0])})`}))), {most: 1, limit: 40, keys: keys()});
  };
  const errorPlots = () => {
    const of = sides.map((r) => result(r)?.errors);
    if (!of[0] || !of[1]) return [];
    const kinds = data.kinds.slice(0, 6).map((kind, k) => ({kind, k}));
    return [
      barPlot('Detections by kind', `at tIoU ${of[0].tiou}: how many (DETAD, Alwassel et al. 2018)`, kinds.flatMap(({kind, k}) =>
        sides.map((r) => ({name: r === 0 ? kind : '', parts: [{value: of[r].counts[k], colour: colours[r], name: runName(r)}], text: String(of[r].counts[k])}))),
      {keys: keys(), limit: 40}),
      barPlot('What false positives cost', `points of mAP@${of[0].tiou} gained if those of one kind were removed`, kinds.slice(1).flatMap(({kind, k}) =>
        sides.map((r) => ({name: r === 0 ? kind : '', parts: [{value: Math.max(0, of[r].impact[k]), colour: colours[r], name: runName(r)}],
          text: signed(of[r].impact[k])}))), {keys: keys(), limit: 40})];
  };
  const trainingPlots = () => {
    const of = data.runs.map((r) => r.training), out = [];
    const names = {loss: 'Total loss', loss_cls: 'L_cls', loss_kd: 'L_kd', loss_fb: 'L_fb'};
    for (const [key, name] of Object.entries(names)) {
      out.push(lines(name, sides.some((r) => of[r].bucket > 1) ? 'means of neighbouring steps' : '', {x: 'step', y: 'loss', digits: 4,
        series: sides.map((r) => ({name: runName(r), colour: colours[r], points: of[r].losses?.find((l) => l.name === key)?.points ?? []}))}));
    }
    const byRound = {x: 'round', whole: true, xName: (r) => r === 0 ? 'warm-up' : String(r), digits: 1};
    if (of.some((t) => t.evaluations.length > 1)) {
      out.push(lines('mAP over rounds', 'on the test videos, by the scores as trained', {...byRound, y: 'mAP in %', series: sides.map((r) => ({
        name: runName(r), colour: colours[r], points: of[r].evaluations.map((e) => [e.round, 100 * Scores.primary(e, data.tiou).value])}))}));
    }
    for (const branch of ['cbp', 'vlp']) {
      const points = (r, key) => of[r].labels.filter((l) => typeof l[branch]?.[key] === 'number').map((l) => [l.round, 100 * l[branch][key]]);
      out.push(lines(`Pseudo-labels of ${branch.toUpperCase()}`, 'mIoU with the annotation of the training videos, after each round', {...byRound, y: 'mIoU in %',
        series: sides.flatMap((r) => [{name: `${runName(r)}, foreground`, colour: colours[r], points: points(r, 'foreground_miou')},
          {name: `${runName(r)}, background`, colour: colours[r], dash: true, points: points(r, 'background_miou')}])}));
    }
    return out.filter(Boolean);
  };

  const training = trainingPlots();
  const drawPlots = () => {
    summary();
    find('#plots').replaceChildren(...[mapTable(), mapPlot(), classPlot(), ...errorPlots()].filter(Boolean), ...training);
  };

  const header = ['', ...sides.map(runName)];
  find('#tables').append(...(data.differences.length > 0 ? [table('Options that differ', header, data.differences)] : [
    element('section', {class: 'card'}, element('h2', {}, 'Options that differ'), element('p', {class: 'small'}, 'None.'))]));
  const facts = [...new Set(data.runs.flatMap((r) => r.facts.map(([name]) => name)))];
  find('#tables').append(table('The runs', header, facts.map((name) => [name, ...data.runs.map((r) => r.facts.find((f) => f[0] === name)?.[1] ?? '')])));
  for (const r of sides) {
    const key = r === 0 ? 'a' : 'b', pick = find('#fusion-' + key);
    find('#name-' + key).textContent = runName(r);
    pick.append(...data.runs[r].fusions.map((fusion) => element('option', {value: fusion}, scoreName(r, fusion))));
    pick.value = state.fusion[r];
    pick.addEventListener('change', () => {
      state.fusion[r] = pick.value;
      viewer.drawList();
      viewer.drawVideo();
      drawPlots();
    });
  }
  find('#order').addEventListener('change', (event) => {
    state.order = event.target.value;
    viewer.drawList();
  });
  drawPlots();
  const methods = [...new Set(data.runs.map((r) => r.method ?? 'DCL'))];
  viewer.start('two runs of ' + methods.join(' and '));
  return {data, state, scoresOf, choose: viewer.choose};
})();
