'use strict';
/* What page.html (one video), run.html (a run) and pair.html (two) share: elements made of data, times, curves, lanes, the player. */
const Shared = (() => {
  const find = (what, on = document) => on.querySelector(what);
  const all = (what, on = document) => [...on.querySelectorAll(what)];
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  /** 0:05.8, from an hour on 2:01:40.0. `long`: with hours in any case, as on an axis that reaches an hour. */
  const clock = (t, digits = 1, long = t >= 3600) => {
    const scale = digits ? 10 : 1, parts = Math.round(t * scale), whole = Math.trunc(parts / scale);
    const two = (n) => String(n).padStart(2, '0'), minutes = Math.trunc(whole / 60);
    const front = long ? Math.trunc(minutes / 60) + ':' + two(minutes % 60) : String(minutes);
    return front + ':' + two(whole % 60) + (digits ? '.' + parts % 10 : '');
  };

  const set = (on, attributes) => {
    for (const [key, value] of Object.entries(attributes)) on.setAttribute(key, value);
    return on;
  };
  const filled = (out, attributes, children) => {
    set(out, attributes);
    out.append(...children);
    return out;
  };
  /** An element with attributes and children; texts become text nodes, so that nothing in them is markup. */
  const element = (name, attributes = {}, ...children) =>
    filled(document.createElement(name), attributes, children);
  const svg = (name, attributes = {}, ...children) =>
    filled(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);

  /** Which of the parallel lanes each segment lies in, so that none covers another: the first that is free. */
  const lanesOf = (segments) => {
    const lanes = [];
    return segments.map((s) => {
      let lane = 0;
      while (lane < lanes.length && lanes[lane].some((other) => s.start < other.end && other.start < s.end)) ++lane;
      (lanes[lane] ??= []).push(s);
      return lane;
    });
  };

  /** Where in the timeline a moment lies. */
  const percent = (t, duration) => (100 * clamp(t / duration, 0, 1)).toFixed(3) + '%';

  /** The score of a row as a step over the row's time. Of more rows than a screen has columns the least and
      the most of each column are drawn. */
  const stepPath = (scores, seconds, most = 4000) => {
    const parts = [], n = scores.length;
    if (n <= most) {
      for (let t = 0; t < n; ++t) {
        parts.push(`${t === 0 ? 'M' : 'L'}${(seconds * t).toFixed(3)} ${(1 - scores[t]).toFixed(4)}` +
          `H${(seconds * t + seconds).toFixed(3)}`);
      }
      return parts.join('');
    }
    for (let column = 0; column < most / 2; ++column) {
      const begin = Math.floor(column * n / (most / 2)), end = Math.floor((column + 1) * n / (most / 2));
      let low = Infinity, high = -Infinity;
      for (let t = begin; t < end; ++t) low = Math.min(low, scores[t]), high = Math.max(high, scores[t]);
      const x = (seconds * begin).toFixed(1);
      parts.push(`${column === 0 ? 'M' : 'L'}${x} ${(1 - low).toFixed(4)}L${x} ${(1 - high).toFixed(4)}`);
    }
    return parts.join('');
  };

  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  /** Fills an axis with as many times as fit beside each other, and again when its width changes. */
  const timeAxis = (axis, duration) => {
    const draw = () => {
      const long = duration >= 3600, label = clock(duration, 0, long).length * 7.5;
      const most = Math.max(1, Math.floor(axis.clientWidth / (1.6 * label + 10)));
      let step = steps.find((nice) => duration / nice <= most) ?? 86400;
      while (duration / step > most) step *= 2;
      all('.tick', axis).forEach((tick) => tick.remove());
      for (let i = 0; i * step <= duration; ++i) {
        const beyond = (1 - i * step / duration) * axis.clientWidth < label / 2;
        axis.append(element('span', {class: i === 0 ? 'tick first' : beyond ? 'tick last' : 'tick',
          style: 'left:' + percent(i * step, duration)}, clock(i * step, 0, long)));
      }
      set(axis, {'aria-valuemax': duration.toFixed(1)});
    };
    draw();
    axis.observer?.disconnect();
    axis.observer = new ResizeObserver(draw);
    axis.observer.observe(axis);
  };

  /** A segment as a bar of a lane. */
  const segmentBar = (kind, s, duration, label, text, style = '', attributes = {}) => {
    const end = clamp(s.end, 0, duration), start = clamp(s.start, 0, end);
    return element('button', {type: 'button', class: kind, 'data-start': s.start.toFixed(3),
      'data-end': s.end.toFixed(3), ...attributes,
      style: `left:${percent(start, duration)};width:${percent(end - start, duration)}${style}`,
      'aria-label': label, title: label}, element('span', {}, text));
  };

  /** The moment that a page shows: the video's, or one of its own where there is no video. `shown(t)` is called
      when it changes. */
  class Player {
    constructor(video, shown) {
      this.video = video;
      this.shown = shown;
      this.time = 0;
      this.duration = 1;
      this.row = 1;
      for (const event of ['timeupdate', 'seeking', 'seeked']) {
        video?.addEventListener(event, () => { if (this.source) this.show(video.currentTime); });
      }
      const follow = () => {
        this.show(video.currentTime);
        if (!video.paused) requestAnimationFrame(follow);
      };
      video?.addEventListener('play', follow);
      video?.addEventListener('error', () => { if (this.source) this.failed?.(); });
    }
    /** Another video, or none (an empty source). */
    load(source, duration, row) {
      Object.assign(this, {source, duration, row, time: 0});
      if (this.video) {
        if (source) this.video.src = source;
        else if (this.video.hasAttribute('src')) this.video.removeAttribute('src'), this.video.load();
      }
      this.show(0);
    }
    show(t) {
      this.time = clamp(t, 0, this.duration);
      this.shown(this.time);
    }
    seek(t) {
      this.show(t);
      if (this.source) this.video.currentTime = this.time;
    }
    toggle() {
      if (!this.source || this.video.error) return;
      if (this.video.paused) this.video.play().catch(() => {}); else this.video.pause();
    }
    /** The next or the last of these moments. */
    jump(moments, forward) {
      const list = [...new Set(moments)].sort((a, b) => a - b);
      const next = forward ? list.find((t) => t > this.time + 0.01) : list.filter((t) => t < this.time - 0.01).pop();
      if (next !== undefined) this.seek(next);
    }
    /** Clicks on an area of the timeline, and drags along an axis, lead there. */
    seeksOn(area, drag = false) {
      const to = (event) => {
        const box = area.getBoundingClientRect();
        this.seek((event.clientX - box.left) / box.width * this.duration);
      };
      area.addEventListener('click', (event) => { if (!event.target.closest('.segment')) to(event); });
      if (!drag) return;
      area.addEventListener('pointerdown', (event) => area.setPointerCapture(event.pointerId));
      area.addEventListener('pointermove', (event) => { if (event.buttons & 1) to(event); });
    }
    /** The keys of the whole page; `more` adds others. Texts that are typed and lists that have keys of their own
        keep theirs. */
    keys(more) {
      document.addEventListener('keydown', (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const on = event.target;
        if (on instanceof HTMLInputElement || on instanceof HTMLSelectElement || on === this.video ||
            event.defaultPrevented) return;
        const pressable = on instanceof HTMLButtonElement || on.tagName === 'SUMMARY';
        const act = {
          ' ': pressable ? null : () => this.toggle(), k: () => this.toggle(),
          ArrowLeft: () => this.seek(this.time - this.row), ArrowRight: () => this.seek(this.time + this.row),
          PageUp: () => this.seek(this.time - 10), PageDown: () => this.seek(this.time + 10),
          Home: () => this.seek(0), End: () => this.seek(this.duration), ...more,
        }[event.key];
        if (!act) return;
        act();
        event.preventDefault();
      });
    }
  }

  /** The button that changes between light and dark. */
  const themeButton = (button) => button.addEventListener('click', () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark'
                                    : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });

  return {find, all, clamp, clock, set, element, svg, lanesOf, percent, stepPath, timeAxis, segmentBar, Player,
    themeButton};
})();
