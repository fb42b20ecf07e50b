'use strict';
/* Plots of run.html: lines over a number, and bars. Colours are variables of the style sheets, so that they follow
   light and dark; each plot is drawn again when its width changes. */
const Plots = (() => {
  const {element, svg, clamp} = Shared;

  /** Numbers at round distances that span [low, high], `most` of them or fewer. */
  const niceTicks = (low, high, most, whole = false) => {
    const range = Math.max(high - low, 1e-9);
    let step = 10 ** Math.floor(Math.log10(range / most));
    for (const factor of [1, 2, 5, 10, 20]) {
      if (range / (step * factor) <= most) { step *= factor; break; }
    }
    if (whole) step = Math.max(1, Math.ceil(step));
    const out = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) out.push(+(i * step).toPrecision(12));
    return out;
  };
  const short = (x) => Math.abs(x) >= 1000 ? x.toLocaleString('en') : String(+x.toPrecision(4));

  /** A card with a title, and a place that `draw(place, width)` fills, again at each new width. */
  const card = (title, note, draw, wide = false) => {
    const place = element('div', {class: 'plot'});
    const out = element('section', {class: wide ? 'card wide' : 'card'}, element('h2', {}, title),
      ...(note ? [element('p', {class: 'small'}, note)] : []), place);
    let width = 0;
    new ResizeObserver(() => {
      const now = Math.floor(place.clientWidth);
      if (now > 0 && now !== width) draw(place, width = now);
    }).observe(place);
    out.redraw = () => { if (width > 0) draw(place, width); };
    return out;
  };

  const legend = (series) => element('div', {class: 'legend'}, ...series.map((s) =>
    element('span', {style: `--c: var(--${s.colour})`}, element('i', {class: s.dash ? 'line dash' : 'line'}), s.name)));

  /** Lines: series of {name, colour, dash, points: [[x, y] …]}; bands of {begin, end, name, colour} stand behind
      them. y is shown from `low` (0) to `high` (found). */
  const lines = (title, note, {x, y, series, bands = [], low = 0, high, digits = 3, whole = false, xTicks, xName}) => {
    const shown = series.filter((s) => s.points.length > 0);
    if (shown.length === 0) return null;
    const points = shown.flatMap((s) => s.points);
    const left = Math.min(...points.map((p) => p[0]), ...bands.map((b) => b.begin));
    const right = Math.max(...points.map((p) => p[0]), ...bands.map((b) => b.end));
    const top = high ?? (Math.max(...points.map((p) => p[1])) * 1.05 || 1);
    return card(title, note, (place, width) => {
      const height = 230, margin = {left: 46, right: 12, top: bands.length > 0 ? 22 : 8, bottom: 40};
      const inner = width - margin.left - margin.right, tall = height - margin.top - margin.bottom;
      const px = (v) => margin.left + (right > left ? (v - left) / (right - left) : 0.5) * inner;
      const py = (v) => margin.top + (1 - clamp((v - low) / (top - low), 0, 1)) * tall;
      const out = svg('svg', {width, height, role: 'img', 'aria-label': title});
      for (const b of bands) {
        const wide = px(b.end) - px(b.begin);
        out.append(svg('rect', {class: 'band', style: `--c: var(--${b.colour})`, x: px(b.begin), y: margin.top, width: wide,
          height: tall}));
        if (wide > 7 * b.name.length + 4)
          out.append(svg('text', {x: px(b.begin) + wide / 2, y: margin.top - 7, 'text-anchor': 'middle'}, b.name));
      }
      for (const v of niceTicks(low, top, 5)) {
        out.append(svg('line', {class: 'rule', x1: margin.left, x2: width - margin.right, y1: py(v), y2: py(v)}),
          svg('text', {x: margin.left - 7, y: py(v) + 4, 'text-anchor': 'end'}, short(v)));
      }
      for (const v of xTicks ?? niceTicks(left, right, Math.max(2, Math.floor(inner / 70)), whole)) {
        out.append(svg('text', {x: px(v), y: height - margin.bottom + 16, 'text-anchor': 'middle'}, xName?.(v) ?? short(v)));
      }
      out.append(svg('text', {class: 'label', x: margin.left + inner / 2, y: height - 6, 'text-anchor': 'middle'}, x),
        svg('text', {class: 'label', transform: `translate(11 ${margin.top + tall / 2}) rotate(-90)`,
          'text-anchor': 'middle'}, y));
      for (const s of shown) {
        const style = `--c: var(--${s.colour})`;
        out.append(svg('path', {class: s.dash ? 'series dash' : 'series', style,
          d: s.points.map((p, i) => `${i === 0 ? 'M' : 'L'}${px(p[0]).toFixed(1)} ${py(p[1]).toFixed(1)}`).join('')}));
        if (s.points.length > 24) continue;
        for (const p of s.points) out.append(svg('circle', {class: 'point', style, cx: px(p[0]), cy: py(p[1]), r: 3}));
      }
      const rule = svg('line', {class: 'cursor', y1: margin.top, y2: margin.top + tall, visibility: 'hidden'});
      out.append(rule);
      const tip = element('div', {class: 'tip', hidden: ''});
      const leave = () => { tip.hidden = true; rule.setAttribute('visibility', 'hidden'); };
      out.addEventListener('pointerleave', leave);
      out.addEventListener('pointermove', (event) => {
        const at = event.clientX - out.getBoundingClientRect().left;
        const near = points.reduce((a, p) => Math.abs(px(p[0]) - at) < Math.abs(px(a[0]) - at) ? p : a)[0];
        const rows = shown.flatMap((s) => s.points.filter((p) => p[0] === near).map((p) => [s, p[1]]));
        Shared.set(rule, {x1: px(near), x2: px(near), visibility: 'visible'});
        tip.replaceChildren(element('b', {}, `${x} ${xName?.(near) ?? short(near)}`), ...rows.map(([s, v]) =>
          element('span', {style: `--c: var(--${s.colour})`}, element('i', {class: s.dash ? 'line dash' : 'line'}),
            `${s.name} ${v.toFixed(digits)}`)));
        tip.hidden = false;
        tip.style.left = clamp(px(near) + 10, 0, width - tip.offsetWidth) + 'px';
        tip.style.top = margin.top + 'px';
      });
      place.replaceChildren(out, tip, legend(shown));
    });
  };

  /** Bars from the left, one under the other: rows of {name, note, parts: [{value, colour, name}], text}. */
  const bars = (title, note, rows, {most, wide = false, limit = 30, keys = []}) => {
    let open = false;
    const out = card(title, note, (place) => {
      const end = most ?? Math.max(1e-9, ...rows.map((r) => r.parts.reduce((sum, p) => sum + p.value, 0)));
      const shown = open ? rows : rows.slice(0, limit);
      place.replaceChildren(...(keys.length > 0 ? [element('div', {class: 'legend'}, ...keys.map((k) =>
        element('span', {style: `--c: var(--${k.colour})`}, element('i', {class: 'box'}), k.name)))] : []),
      element('div', {class: 'bars'}, ...shown.flatMap((r) => [
        element('span', {class: 'bar-name isolate', title: r.name}, r.name),
        element('span', {class: 'bar-track'}, ...r.parts.filter((p) => p.value > 0).map((p) => element('i', {
          style: `--c: var(--${p.colour}); width: ${(100 * p.value / end).toFixed(2)}%`, title: p.name ?? ''}))),
        element('span', {class: 'bar-text'}, r.text)])));
      if (rows.length <= limit) return;
      const more = element('button', {type: 'button'}, open ? 'Show fewer' : `Show all ${rows.length}`);
      more.addEventListener('click', () => { open = !open; out.redraw(); });
      place.append(more);
    }, wide);
    return out;
  };

  /** Rows of texts; what reads as a number stands to the right. */
  const table = (title, header, rows, marked = -1) => element('section', {class: 'card wide'}, element('h2', {}, title),
    element('div', {class: 'scroll'}, element('table', {}, element('thead', {}, element('tr', {}, ...header.map((h, i) =>
      element('th', i > 0 ? {class: 'number'} : {}, h)))),
    element('tbody', {}, ...rows.map((row, at) => element('tr', at === marked ? {class: 'marked'} : {}, ...row.map((cell, i) =>
      element('td', i > 0 && /^[\s+±−–-]*[\d.]|^[–—]?$/.test(cell) ? {class: 'number'} : {}, cell))))))));

  return {niceTicks, card, lines, bars, table};
})();
