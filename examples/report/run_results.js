'use strict';
/* What run.html shows of the whole run: the summary, the switches, plots and tables. */
(() => {
  const {data, state, nameOf, colourOf, per, result, viewer} = Run;
  const {find, all, set, element} = Shared;
  const {table} = Plots;

  const primary = (of) => Scores.primary(of, data.tiou);
  const kindColours = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5'];

  const summary = () => {
    const trained = data.results[data.trained], parts = [];
    if (trained) {
      const {range, value} = primary(trained), half = data.tiou.indexOf(0.5);
      parts.push(element('b', {}, `${per(value)} % mAP`), ` average over tIoU ${range === 'mean' ? data.tiou.join(', ') : range}`);
      if (half >= 0) parts.push(', ', element('b', {}, `${per(trained.map[half])} %`), ' at 0.5');
      const count = (n, one, many) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
      parts.push(` · scores ${nameOf(data.trained)}${data.fusions.length > 1 ? ', as trained' : ''} · protocol ${data.protocol} · ` +
        `${count(data.testVideos, 'test video', 'test videos')}, ${count(data.instances, 'instance', 'instances')}, ` +
        count(trained.classes.length, 'class', 'classes'));
    } else {
      parts.push('No mAP: see the notes.');
    }
    if (data.training.steps > 0) parts.push(` · ${data.training.steps.toLocaleString('en')} steps`);
    find('#summary').replaceChildren(...parts);
  };

  const mapTable = () => {
    const shown = data.fusions.filter((one) => data.results[one]);
    if (shown.length === 0) return null;
    const ranges = Object.keys(data.results[shown[0]].averages);
    return table('mAP in %, by scores', ['scores', ...data.tiou.map((t) => '@' + t), ...ranges, 'detections'],
      shown.map((one) => {
        const r = data.results[one];
        return [nameOf(one) + (one === data.trained && data.fusions.length > 1 ? ' (as trained)' : ''), ...r.map.map((m) => per(m)),
          ...ranges.map((range) => per(r.averages[range])), String(r.detections)];
      }), shown.indexOf(state.fusion));
  };
  const mapPlot = () => {
    const shown = [...new Set(['cbp', 'vlp', state.fusion])].filter((one) => data.results[one]);
    return Plots.lines('mAP by tIoU', '', {x: 'tIoU', y: 'mAP in %', digits: 1, xTicks: data.tiou,
      series: shown.map((one) => ({name: nameOf(one), colour: colourOf(one),
        points: data.tiou.map((t, i) => [t, 100 * data.results[one].map[i]])}))});
  };
  const classPlot = () => {
    const r = result();
    if (!r) return null;
    const {range, over} = primary(r);
    const rows = r.classes.map((c) => ({c, ap: over.reduce((sum, i) => sum + c.ap[i], 0) / over.length}));
    rows.sort((a, b) => b.ap - a.ap);
    return Plots.bars('AP by class', `${nameOf(state.fusion)}, mean over tIoU ${range === 'mean' ? data.tiou.join(', ') : range}, in %; instances of each class behind it`,
      rows.map(({c, ap}) => ({name: c.name, parts: [{value: ap, colour: colourOf(state.fusion)}],
        text: `${per(ap)} · ${c.instances}`})), {most: 1, limit: 20});
  };
  const errorPlots = () => {
    const e = result()?.errors;
    if (!e) return [];
    const keys = data.kinds.slice(0, 6).map((name, k) => ({name, colour: kindColours[k]}));
    const groups = e.byRank.map((counts, g) => ({counts, g, all: counts.reduce((a, b) => a + b, 0)})).filter((row) => row.all > 0);
    return [
      Plots.bars('Detections by kind and rank', `${nameOf(state.fusion)} at tIoU ${e.tiou}: of each class as many detections a row as it has instances (G), ` +
        'the highest scores first (DETAD, Alwassel et al. 2018)', groups.map(({counts, g, all: sum}) => ({name: `${g + 1}G`, text: String(sum),
        parts: counts.map((n, k) => ({value: n / sum, colour: kindColours[k], name: `${data.kinds[k]}: ${n}`}))})), {most: 1, keys}),
      Plots.bars('False positives', `how many, and mAP@${e.tiou} points gained if those of one kind were removed (${per(e.map)} % with all)`,
        e.counts.slice(1).map((n, i) => ({name: data.kinds[i + 1], text: `${n} · +${per(e.impact[i + 1])}`,
          parts: [{value: n, colour: kindColours[i + 1]}]})), {})];
  };

  const trainingPlots = () => {
    const t = data.training, out = [], last = Math.max(0, ...t.labels.map((l) => l.round), ...t.evaluations.map((e) => e.round));
    const byRound = {x: 'round', whole: true, xName: (r) => r === 0 ? 'warm-up' : String(r), digits: 1, y: '%'};
    const names = {loss: ['total', 'ink'], loss_cls: ['L_cls', 'loss-a'], loss_kd: ['L_kd', 'loss-b'], loss_fb: ['L_fb', 'loss-c']};
    const teach = [['B', 'B phases teach VLP'], ['F', 'F phases teach CBP']].filter(([kind]) => t.phases.some((p) => p.kind === kind));
    const said = [...(t.bucket > 1 ? [`means of ${t.bucket} steps`] : []), ...teach.map(([, text]) => text)].join('; ');
    out.push(Plots.lines('Losses', said, {x: 'step', y: 'loss', digits: 4,
      bands: t.phases.map((p) => ({...p, colour: p.kind === 'B' ? 'vlp' : p.kind === 'F' ? 'cbp' : 'soft'})),
      series: t.losses.map((l) => ({name: names[l.name]?.[0] ?? l.name, colour: names[l.name]?.[1] ?? 'ink', points: l.points}))}));
    if (t.evaluations.length > 1) {
      const ranges = Object.keys(t.evaluations[0].averages), colours = ['loss-a', 'fused', 'loss-c'];
      out.push(Plots.lines('mAP over rounds', 'on the test videos, by the scores as trained', {...byRound, y: 'mAP in %',
        series: ranges.map((range, i) => ({name: range, colour: colours[i] ?? 'ink',
          points: t.evaluations.filter((e) => range in e.averages).map((e) => [e.round, 100 * e.averages[range]])}))}));
    }
    const of = (branch, key) => t.labels.filter((l) => typeof l[branch]?.[key] === 'number').map((l) => [l.round, 100 * l[branch][key]]);
    const pairs = (a, nameA, b, nameB) => ['cbp', 'vlp'].flatMap((branch) => [
      {name: `${nameOf(branch)} ${nameA}`, colour: branch, points: of(branch, a)},
      {name: `${nameOf(branch)} ${nameB}`, colour: branch, dash: true, points: of(branch, b)}]);
    out.push(Plots.lines('Pseudo-labels: mIoU with the annotation', 'of the training videos, after each round', {...byRound, y: 'mIoU in %',
      series: pairs('foreground_miou', 'foreground', 'background_miou', 'background')}),
    Plots.lines('Called foreground', 'share of frames; videos of which all or nothing is', {...byRound, y: 'share in %', high: 100,
      series: [...pairs('called_foreground', 'foreground', 'all_or_none', 'all or none'), {name: 'agreement', colour: 'ink', dash: true,
        points: t.labels.filter((l) => typeof l.agreement === 'number').map((l) => [l.round, 100 * l.agreement])}]}));
    return last > 0 || t.losses.length > 0 ? out : out.slice(0, 1);
  };

  const training = trainingPlots().filter(Boolean);
  const drawPlots = () => {
    find('#plots').replaceChildren(...[mapTable(), mapPlot(), classPlot(), ...errorPlots()].filter(Boolean), ...training);
  };
  const draw = () => {
    viewer.drawList();
    viewer.drawVideo();
    drawPlots();
  };

  // ---- the switches

  // Of what can be drawn: scores that a video has, and fusions of them.
  const drawn = (key) => key === 'fused' ? data.fusions.some((one) => colourOf(one) === key)
    : data.fusions.includes(key) || data.videos.some((v) => v[key] || v.rounds.some((r) => r[key]));
  find('.bar .legend').append(...['cbp', 'vlp', 'fused'].filter(drawn).map((key) =>
    element('span', {}, element('i', {class: 'key ' + key}), key === 'fused' ? key : nameOf(key))));
  summary();
  find('.facts').append(...data.facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));
  find('#tables').append(...data.tables.map((t) => table(t.title, t.header, t.rows)));
  find('#fusions').append(...data.fusions.map((fusion) => {
    const input = element('input', {type: 'radio', name: 'fusion', value: fusion, ...(fusion === state.fusion ? {checked: ''} : {})});
    input.addEventListener('change', () => { state.fusion = fusion; draw(); });
    return element('label', {class: colourOf(fusion)}, input, element('span', {}, nameOf(fusion)));
  }));
  if (data.fusions.length < 2) find('#fusions').hidden = true;
  const kinds = [['', 'all'], ['test', 'test'], ['training', 'training']]
    .filter(([kind]) => kind === '' || data.videos.some((v) => v.kind === kind));
  if (kinds.length > 2) {
    find('#subsets').append(...kinds.map(([kind, text]) => {
      const button = element('button', {type: 'button', 'aria-pressed': kind === ''}, text);
      button.addEventListener('click', () => {
        state.subset = kind;
        all('#subsets button').forEach((b) => set(b, {'aria-pressed': b === button}));
        viewer.drawList();
      });
      return button;
    }));
  }
  find('#round').addEventListener('input', (event) => { state.round = +event.target.value; viewer.drawVideo(); });

  drawPlots();
  viewer.start('a run of ' + (data.method ?? 'DCL'));
})();
