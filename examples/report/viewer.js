'use strict';
/* What run.html and pair.html share: the frame around their own parts, the list of videos with its search and its keys, the
   player with its timeline, and how the page starts. A page gives its parts as templates and the rest as functions. */
const Viewer = (() => {
  const {find, all, clock, set, element, svg, timeAxis, clamp, Player} = Shared;

  // Where data-part stands the page's template of that name is put. Nothing here is of the data.
  const frame = `
<header class="top">
<div class="heading"><h1 id="title"></h1><p id="summary"></p></div>
<button id="theme" class="theme" type="button">Light / dark</button>
</header>
<div id="warnings"></div>
<nav class="bar" aria-label="What the page shows">
<i data-part="scores"></i>
<label class="pick">Class <select id="class"><option value="">all classes</option></select></label>
<div class="legend"><i data-part="legend"></i></div>
</nav>
<section class="card viewer" id="videos" aria-label="Videos">
<div class="index">
<input id="search" type="search" placeholder="Search videos and classes" aria-label="Search videos and classes">
<i data-part="index"></i>
<ul id="list" aria-label="Videos"></ul>
<p class="small" id="count" role="status"></p>
</div>
<div class="view">
<div class="view-head"><h2 id="video-title"></h2><p class="small" id="video-facts"></p></div>
<div class="stage" id="stage">
<video controls playsinline preload="metadata"></video>
<p class="note" id="unplayable" hidden>This browser cannot play <span id="video-name" class="isolate"></span>. The timeline
still works.</p>
</div>
<div class="controls">
<span class="clock"><span id="now">0:00.0</span> <small id="end"></small></span>
<button type="button" id="previous">‹ Previous</button><button type="button" id="next">Next ›</button>
<i data-part="controls"></i>
</div>
<div class="timeline" id="timeline">
<div class="row"><div></div>
<div class="axis" role="slider" tabindex="0" aria-label="Position" aria-valuemin="0" aria-valuenow="0"></div>
</div>
<div id="tracks"></div>
<div class="over"><div class="head"></div></div>
</div>
<i data-part="below"></i>
</div>
</section>
<section class="grid" id="plots" aria-label="Results and training"></section>
<i data-part="end"></i>
<p class="keys"><kbd>Space</kbd> play or pause · <kbd>←</kbd> <kbd>→</kbd> one row ·
<kbd>n</kbd> <kbd>p</kbd> next and previous detection · <kbd>j</kbd> <kbd>i</kbd> next and previous video ·
<kbd>/</kbd> search</p>`;
  find('main').insertAdjacentHTML('beforeend', frame);
  for (const place of all('[data-part]')) {
    const part = document.getElementById('part-' + place.dataset.part);
    place.replaceWith(...(part ? [part.content] : []));
  }

  /** The viewer of a page. `data` and `state` ({cls, search, video}) are the page's;
      found(video): its detections of the chosen class; listed(): the videos in the list, in order;
      marks(video): [[segment, y, class]] of the small picture in the list, which is `height` high;
      chosen(video): called before it is drawn; facts(video): a line; seconds(video): of one step of the arrow keys;
      rows(video): what stands on its timeline, made with bar(), live() and chart(); after(video): called behind that. */
  return ({data, state, found, listed, marks, height, chosen, facts, seconds, rows, after = () => {}}) => {
    const segmentsOf = (video, cls = state.cls) => video.truth.filter((s) => cls === null || s[0] === cls);
    const classesOf = (video) => [...new Set([...video.labels, ...video.truth.map((s) => s[0])])];
    /** Whether the chosen class and what is searched are in a video. */
    const matches = (video) => (state.cls === null || classesOf(video).includes(state.cls) || found(video).length > 0) &&
      (state.search === '' || [video.id, ...classesOf(video).map((c) => data.classes[c])]
        .some((text) => text.toLowerCase().includes(state.search)));
    const span = (s, video) => ({x: s[1], width: Math.max(0, Math.min(s[2], video.duration) - s[1])});

    // ---- the list

    const thumb = (video) => svg('svg', {class: 'thumb', viewBox: `0 0 ${video.duration} ${height}`, preserveAspectRatio: 'none',
      'aria-hidden': 'true'}, ...[...segmentsOf(video).map((s) => [s, 0.5, 'truth']), ...marks(video)]
      .map(([s, y, kind]) => svg('rect', {class: kind, y, height: 4, ...span(s, video)})));
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

    let cells = [], bars = [];
    const player = new Player(find('video'), (time) => {
      find('.head').style.left = 100 * time / player.duration + '%';
      find('#now').textContent = clock(time);
      set(find('.axis'), {'aria-valuenow': time.toFixed(1), 'aria-valuetext': `${clock(time)} of ${clock(player.duration)}`});
      for (const {cell, frames, step} of cells) {
        const row = Math.floor(time / step);
        cell.textContent = row < frames.length ? frames[row].toFixed(2) : '–';
      }
      for (const bar of bars) bar.classList.toggle('playing', time >= +bar.dataset.start && time < +bar.dataset.end);
    });
    player.failed = () => { find('#unplayable').hidden = false; };

    /** A segment [class, start, end …] as a bar that the player goes to. */
    const bar = (video, s, kind, text, what, extra = {}) => {
      const out = Shared.segmentBar('segment ' + kind, {start: s[1], end: s[2]}, video.duration,
        `${data.classes[s[0]]}, ${what}, ${clock(s[1])} to ${clock(s[2])}`, text, '', extra);
      out.addEventListener('click', () => player.seek(s[1]));
      bars.push(out);
      return out;
    };
    /** Text that is the score of the row that plays; a row lasts `step` seconds. */
    const live = (kind, frames, step) => {
      const cell = element('span', {class: kind}, '–');
      cells.push({cell, frames, step});
      return cell;
    };
    /** The field of a class's curves, with what is annotated behind them. */
    const chart = (video, cls) => svg('svg', {class: 'chart', preserveAspectRatio: 'none', role: 'img',
      viewBox: `0 -0.05 ${video.duration.toFixed(3)} 1.1`, 'aria-label': `Frame scores of ${data.classes[cls]}`},
    ...segmentsOf(video, cls).map((s) => svg('rect', {class: 'truth', y: -0.05, height: 1.1, ...span(s, video)})));
    const chartBox = (curves) => element('div', {class: 'chart-box'}, curves, element('span', {class: 'y top'}, '1'),
      element('span', {class: 'y'}, '0'));
    /** The lane of what is annotated of a class; none where nothing is. */
    const truthLane = (video, cls) => {
      const truth = segmentsOf(video, cls);
      return truth.length === 0 ? [] : [element('div', {class: 'lane'}, ...truth.map((s) => bar(video, s, 'truth', '', 'annotated')))];
    };
    const row = (name, lanes) => {
      player.seeksOn(lanes);
      return element('div', {class: 'row'}, name, lanes);
    };
    const drawVideo = () => {
      const video = state.video;
      cells = [], bars = [];
      if (!video) {
        find('#tracks').replaceChildren(element('p', {class: 'small'}, 'There is no video to show.'));
        return;
      }
      const made = rows(video);
      find('#tracks').replaceChildren(...(made.length > 0 ? made : [element('p', {class: 'small'}, 'Nothing of this class is here.')]));
      after(video);
      player.show(player.time);
    };
    const choose = (video) => {
      state.video = video;
      find('#stage').hidden = !video?.video;
      find('#unplayable').hidden = true;
      find('#timeline').classList.toggle('empty', !video);
      find('#video-title').textContent = video?.id ?? '';
      chosen(video);
      if (video) {
        find('#video-facts').textContent = facts(video);
        find('#video-name').textContent = video.videoName || 'the video';
        find('#end').textContent = '/ ' + clock(video.duration);
        const source = video.video.startsWith('#') ? document.getElementById(video.video.slice(1)).textContent : video.video;
        timeAxis(find('.axis'), video.duration);
        player.load(source, video.duration, seconds(video));
        try { history.replaceState(null, '', '#video=' + encodeURIComponent(video.id)); } catch { /* a page without a place */ }
      }
      all('.entry').forEach((e) => {
        const now = e.title === video?.id, list = find('#list');
        e.tabIndex = now ? 0 : -1;
        if (now) set(e, {'aria-current': 'true'}); else e.removeAttribute('aria-current');
        if (now) list.scrollTop = Math.max(0, e.offsetTop - list.offsetTop - 80);
      });
      drawVideo();
    };

    // ---- the page

    /** Fills in what is of the data, and lets keys and buttons work. `kind`: what the page is of, for its title. */
    const start = (kind) => {
      document.title = `${data.title} – ${kind}`;
      find('#title').textContent = data.title;
      find('#warnings').append(...data.warnings.map((text) => element('p', {class: 'note', role: 'note'}, text)));
      find('#class').append(...data.classes.map((name, c) => element('option', {value: c}, name)));
      find('#class').addEventListener('change', (event) => {
        state.cls = event.target.value === '' ? null : +event.target.value;
        const shown = listed();
        if (!shown.includes(state.video) && shown.length > 0) choose(shown[0]);
        drawList();
        drawVideo();
      });
      find('#search').addEventListener('input', (event) => {
        state.search = event.target.value.trim().toLowerCase();
        drawList();
      });
      find('#search').addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && listed().length > 0) choose(listed()[0]);
        if (event.key === 'ArrowDown') { event.preventDefault(); find('.entry')?.focus(); }
      });
      const jump = (forward) =>
        player.jump(bars.filter((b) => b.classList.contains('found')).map((b) => +b.dataset.start), forward);
      const beside = (by) => {
        const list = listed(), at = list.indexOf(state.video), next = list[at < 0 ? 0 : at + by];
        if (next) choose(next);
      };
      find('#previous').addEventListener('click', () => jump(false));
      find('#next').addEventListener('click', () => jump(true));
      player.seeksOn(find('.axis'), true);
      player.keys({n: () => jump(true), p: () => jump(false), j: () => beside(1), i: () => beside(-1),
        '/': () => find('#search').focus()});
      Shared.themeButton(find('#theme'));
      drawList();
      let wanted = '';
      try { wanted = decodeURIComponent(location.hash.replace(/^#video=/, '')); } catch { /* an address of another's making */ }
      choose(data.videos.find((v) => v.id === wanted) ?? data.videos[0] ?? null);
      if (data.videos.length === 0) find('.viewer').classList.add('none');
    };

    return {segmentsOf, classesOf, matches, drawList, drawVideo, choose, start, bar, live, chart, chartBox, truthLane, row};
  };
})();
