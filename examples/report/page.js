'use strict';
/* The page of localize, as it is: page.html, opened in a browser, shows the example in its element "data". The program
   carries it in one piece with the files that it names, puts a video's own data in the example's place (page.hpp), and
   loads nothing but the video. Texts of the data are set as text, never read as HTML. */
(() => {
  // ---- the page from its data

  const data = JSON.parse(document.getElementById('data').textContent);
  const {find, all, clock, set, element, lanesOf, stepPath, timeAxis, Player} = Shared;
  // Colours that differ as much as possible: steps of the golden angle.
  const hue = (track) => Math.trunc((220 + 137.508 * track) % 360);

  const predictions = data.tracks.flatMap((track) => track.predicted.map((one) => one.score));
  const low = predictions.reduce((a, b) => Math.min(a, b), Infinity);
  const high = predictions.reduce((a, b) => Math.max(a, b), -Infinity);
  const strength = (score) => high > low ? (score - low) / (high - low) : 1;

  const segmentBar = (kind, s, ...more) => Shared.segmentBar(kind, s, data.duration, ...more);

  const curve = (track) => {
    const end = data.secondsPerRow * track.scores.length, edge = stepPath(track.scores, data.secondsPerRow);
    const out = find('#curve').content.firstElementChild.cloneNode(true), line = out.querySelector('.theta');
    set(out, {viewBox: `0 -0.06 ${data.duration.toFixed(3)} 1.12`, 'aria-label': 'Frame scores of ' + track.name});
    set(out.querySelector('.area'), {d: `${edge}L${end.toFixed(3)} 1.06H0Z`});
    set(out.querySelector('.edge'), {d: edge});
    if (track.threshold !== null) {
      const y = (1 - track.threshold).toFixed(4);
      set(line, {x2: data.duration.toFixed(3), y1: y, y2: y});
    } else {
      line.remove();
    }
    return out;
  };

  const trackRow = (track, index) => {
    const note = element('small');
    if (track.videoScore !== null) note.append('video ' + track.videoScore.toFixed(2));
    if (track.scores.length > 0) {
      note.append((track.videoScore !== null ? ' · ' : '') + 'now ', element('span', {'data-live': index}, '–'));
    }
    const lanes = element('div', {class: 'lanes'});
    if (track.scores.length > 0) lanes.append(curve(track));
    if (track.truth.length > 0) {
      lanes.append(element('div', {class: 'lane'}, ...track.truth.map((s) => segmentBar('segment truth', s,
        `${track.name}, annotated, ${clock(s.start)} to ${clock(s.end)}`, 'annotated'))));
    }
    // Stronger predictions first, so that they lie in the upper lanes.
    const sorted = [...track.predicted].sort((a, b) => b.score - a.score), places = lanesOf(sorted);
    for (let lane = 0; places.includes(lane); ++lane) {
      lanes.append(element('div', {class: 'lane'}, ...sorted.filter((_, i) => places[i] === lane).map((one) => {
        const strong = strength(one.score), score = one.score.toFixed(2);
        return segmentBar(strong < 0.5 ? 'segment weak' : 'segment', one,
          `${track.name}, predicted, ${clock(one.start)} to ${clock(one.end)}, score ${score}`, score,
          `;--strength:${(0.35 + 0.65 * strong).toFixed(2)}`, {'data-score': one.score.toFixed(6)});
      })));
    }
    return element('div', {class: 'row', style: '--hue:' + hue(index)},
      element('div', {class: 'name'}, track.name, note), lanes);
  };

  const tableRow = ({track, index, segment: s, truth}) =>
    element('tr', {...(truth ? {} : {'data-score': s.score.toFixed(6)}), style: '--hue:' + hue(index)},
      element('td', {}, element('i', {class: truth ? 'dot truth' : 'dot'}), track.name),
      element('td', {class: 'number'}, clock(s.start)), element('td', {class: 'number'}, clock(s.end)),
      element('td', {class: 'number'}, (s.end - s.start).toFixed(2)),
      element('td', {class: 'number'}, truth ? 'annotated' : s.score.toFixed(3)),
      element('td', {}, element('button', {type: 'button', 'data-start': s.start.toFixed(3),
        'aria-label': 'Go to ' + clock(s.start)}, 'Go')));

  document.title = data.title + ' – localized actions';
  find('#title').textContent = data.title;
  find('#end').textContent = '/ ' + clock(data.duration);
  if (data.facts.length > 0) {
    find('.facts').append(...data.facts.map(([name, value]) =>
      element('div', {}, element('dt', {}, name), element('dd', {}, value))));
  } else {
    find('.facts').remove();
  }
  find('.stage').before(...data.warnings.map((text) => element('p', {class: 'note', role: 'note'}, text)));
  if (data.video) {
    find('#video-name').textContent = data.videoName || 'the video';
  } else {
    find('video').remove();
    find('#unplayable').remove();
  }
  if (high > low) {
    const least = (Math.floor(low * 100) / 100).toFixed(2), most = (Math.ceil(high * 100) / 100).toFixed(2);
    find('#minimum-value').textContent = least;
    set(find('#minimum'), {min: least, max: most, value: least});
  } else {
    find('.minimum').remove();
  }
  if (data.tracks.every((track) => track.truth.length === 0)) find('#legend-truth').remove();

  timeAxis(find('.axis'), data.duration);
  find('#no-class').before(...data.tracks.map(trackRow));
  if (data.tracks.length > 0) find('#no-class').remove();
  const rows = data.tracks.flatMap((track, index) => [
    ...track.predicted.map((segment) => ({track, index, segment, truth: false})),
    ...track.truth.map((segment) => ({track, index, segment, truth: true}))]);
  rows.sort((a, b) => a.segment.start - b.segment.start);
  find('tbody').append(...rows.map(tableRow));
  if (rows.length > 0) find('#no-segment').remove();

  // ---- its behaviour: every element works without a video too

  const video = find('video'), head = find('.head'), axis = find('.axis');
  const segments = all('.segment'), live = all('[data-live]');
  const player = new Player(video, (time) => {
    head.style.left = 100 * time / data.duration + '%';
    find('#now').textContent = clock(time);
    axis.setAttribute('aria-valuenow', time.toFixed(1));
    axis.setAttribute('aria-valuetext', clock(time) + ' of ' + clock(data.duration));
    const row = Math.floor(time / data.secondsPerRow);
    for (const cell of live) {
      const scores = data.tracks[cell.dataset.live].scores;
      cell.textContent = row < scores.length ? scores[row].toFixed(2) : '–';
    }
    for (const s of segments) {
      s.classList.toggle('playing', time >= +s.dataset.start && time < +s.dataset.end);
    }
  });
  player.failed = () => { find('#unplayable').hidden = false; };
  for (const area of all('.lanes')) player.seeksOn(area);
  player.seeksOn(axis, true);
  for (const button of all('[data-start]')) {
    button.addEventListener('click', () => player.seek(+button.dataset.start));
  }

  const jump = (forward) => player.jump(
    segments.filter((s) => !s.hidden && !s.classList.contains('truth')).map((s) => +s.dataset.start), forward);
  find('#previous').addEventListener('click', () => jump(false));
  find('#next').addEventListener('click', () => jump(true));
  Shared.themeButton(find('#theme'));

  const minimum = find('#minimum');
  const filter = () => {
    find('#minimum-value').textContent = (+minimum.value).toFixed(2);
    for (const item of all('[data-score]')) item.hidden = +item.dataset.score < +minimum.value;
  };
  if (minimum) {
    minimum.addEventListener('input', filter);
    filter();
  }

  player.keys({n: () => jump(true), p: () => jump(false)});
  player.load(data.video, data.duration, data.secondsPerRow);
})();
