#pragma once
/// The style and the behaviour of the page that html_page.hpp writes. Nothing is loaded from
/// elsewhere.

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal::detail {

/// Light and dark by the reader's system, or by the page's own button (data-theme).
inline constexpr const char* page_style = R"css(
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b1f27; --soft: #5c6573;
  --line: #dfe3ea; --lane: #eef1f5; --accent: #2358d8; --truth: #16803c; --light: 44%; --warn: #fff3d6;
  --warn-ink: #6b4700; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { --ground: #11141a; --card: #191d25;
  --ink: #e8ebf1; --soft: #9aa4b4; --line: #2b313d; --lane: #222834; --accent: #7ea6ff; --truth: #4cc47a;
  --light: 64%; --warn: #3b2f10; --warn-ink: #ffdf94; } }
:root[data-theme="dark"] { color-scheme: dark; --ground: #11141a; --card: #191d25; --ink: #e8ebf1;
  --soft: #9aa4b4; --line: #2b313d; --lane: #222834; --accent: #7ea6ff; --truth: #4cc47a; --light: 64%;
  --warn: #3b2f10; --warn-ink: #ffdf94; }
:root[data-theme="light"] { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 48px; display: grid; gap: 18px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0 0 10px; }
.facts { color: var(--soft); font-size: 13px; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0; }
.facts div { display: flex; gap: 5px; } .facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
.theme { margin-left: auto; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px; }
.note { background: var(--warn); color: var(--warn-ink); border-radius: 10px; padding: 10px 14px; margin: 0; }
button, input { font: inherit; }
button { color: inherit; background: var(--lane); border: 1px solid var(--line); border-radius: 8px;
  padding: 3px 11px; cursor: pointer; }
button:hover { border-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.stage { display: flex; flex-wrap: wrap; gap: 18px; align-items: flex-start; }
video { display: block; flex: 1 1 420px; min-width: 0; width: 100%; max-width: 640px; max-height: 420px;
  background: #000; border-radius: 8px; }
.side { flex: 1 1 240px; display: grid; gap: 12px; align-content: start; }
.clock { font-size: 26px; font-variant-numeric: tabular-nums; font-weight: 600; line-height: 1.2; }
.clock small { font-size: 14px; color: var(--soft); font-weight: 400; }
.controls { display: flex; flex-wrap: wrap; gap: 8px; }
.legend { display: grid; gap: 5px; font-size: 13px; color: var(--soft); }
.legend span { display: flex; align-items: center; gap: 8px; }
.swatch { width: 26px; height: 11px; border-radius: 3px; flex: none; background: hsl(220 75% var(--light)); }
.swatch.truth { background: var(--truth); } .swatch.theta { height: 0; border-top: 2px dashed var(--soft);
  background: none; border-radius: 0; }
.minimum { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; font-size: 13px; }
.minimum input { flex: 1 1 120px; accent-color: var(--accent); }
.timeline { --name: 168px; position: relative; }
.row { display: grid; grid-template-columns: var(--name) minmax(0, 1fr); }
.row + .row { border-top: 1px solid var(--line); }
.name { padding: 9px 12px 9px 0; min-width: 0; overflow-wrap: anywhere; font-weight: 600; font-size: 14px; }
.name small { display: block; color: var(--soft); font-weight: 400; font-variant-numeric: tabular-nums; }
.axis { position: relative; height: 26px; cursor: pointer; font-size: 12px; color: var(--soft);
  touch-action: none; border-radius: 6px; }
.tick { position: absolute; bottom: 4px; transform: translateX(-50%); font-variant-numeric: tabular-nums;
  white-space: nowrap; } .tick.first { transform: none; }
.lanes { position: relative; padding: 8px 0; cursor: pointer; }
.curve { display: block; width: 100%; height: 54px; background: var(--lane); border-radius: 6px; }
.curve .area { fill: hsl(var(--hue) 75% var(--light) / .22); }
.curve .edge { fill: none; stroke: hsl(var(--hue) 75% var(--light)); stroke-width: 1.6;
  vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.curve .theta { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 4; vector-effect: non-scaling-stroke; }
.lane { position: relative; height: 18px; margin-top: 5px; }
.segment { position: absolute; top: 0; height: 100%; min-width: 4px; padding: 0; border: 0; border-radius: 4px;
  background: hsl(var(--hue) 75% var(--light) / var(--strength, 1)); overflow: hidden; font-size: 11px; line-height: 18px;
  color: #fff; text-align: left; white-space: nowrap; }
.segment.truth { background: var(--truth); }
:root .segment.weak { color: var(--ink) !important; }
.segment span { padding: 0 5px; } .segment:hover { filter: brightness(1.15); }
.segment.playing { box-shadow: 0 0 0 2px var(--card), 0 0 0 4px var(--accent); overflow: visible; z-index: 2; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) .segment { color: #10131a; } }
:root[data-theme="dark"] .segment { color: #10131a; }
.over { position: absolute; inset: 0 0 0 var(--name); pointer-events: none; }
.head { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: var(--ink); }
.head::before { content: ""; position: absolute; top: 16px; left: -4px; border: 5px solid transparent;
  border-top-color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.number, td.number { text-align: right; } tr:last-child td { border-bottom: 0; }
td .dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 8px;
  background: hsl(var(--hue) 75% var(--light)); } td .dot.truth { background: var(--truth); }
.keys { color: var(--soft); font-size: 13px; margin: 0; }
kbd { font: 12px ui-monospace, monospace; border: 1px solid var(--line); border-bottom-width: 2px;
  border-radius: 4px; padding: 0 5px; background: var(--card); color: var(--ink); }
[hidden] { display: none !important; }
@media (max-width: 640px) { .timeline { --name: 104px; } main { padding: 16px 12px 32px; } }
)css";

/// Every element works without a video too: the clock and the playhead then move by themselves.
inline constexpr const char* page_script = R"js(
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const find = (what) => document.querySelector(what), all = (what) => [...document.querySelectorAll(what)];
  const video = find('video'), head = find('.head'), axis = find('.axis');
  const segments = all('.segment'), live = all('[data-live]');
  let time = 0;

  const clock = (t) => {
    const tenths = Math.round(t * 10), minutes = Math.floor(tenths / 600);
    return minutes + ':' + String(Math.floor(tenths / 10) % 60).padStart(2, '0') + '.' + tenths % 10;
  };
  const show = (t) => {
    time = Math.min(Math.max(t, 0), data.duration);
    head.style.left = 100 * time / data.duration + '%';
    find('#now').textContent = clock(time);
    axis.setAttribute('aria-valuenow', time.toFixed(1));
    axis.setAttribute('aria-valuetext', clock(time) + ' of ' + clock(data.duration));
    const row = Math.floor(time / data.secondsPerRow);
    for (const cell of live) {
      const scores = data.scores[cell.dataset.live];
      cell.textContent = row < scores.length ? scores[row].toFixed(2) : '–';
    }
    for (const s of segments) {
      s.classList.toggle('playing', time >= +s.dataset.start && time < +s.dataset.end);
    }
  };
  const seek = (t) => {
    show(t);
    if (video) video.currentTime = time;
  };
  const toggle = () => {
    if (!video || video.error) return;
    if (video.paused) video.play().catch(() => {}); else video.pause();
  };

  if (video) {
    for (const event of ['timeupdate', 'seeking', 'seeked']) {
      video.addEventListener(event, () => show(video.currentTime));
    }
    const follow = () => { show(video.currentTime); if (!video.paused) requestAnimationFrame(follow); };
    video.addEventListener('play', follow);
    const failed = () => { find('#unplayable').hidden = false; };
    video.addEventListener('error', failed);
    if (video.error) failed();
  }

  const fraction = (event, element) => {
    const box = element.getBoundingClientRect();
    return (event.clientX - box.left) / box.width;
  };
  for (const area of all('.lanes, .axis')) {
    area.addEventListener('click', (event) => {
      if (event.target.closest('.segment')) return;
      seek(fraction(event, area) * data.duration);
    });
  }
  axis.addEventListener('pointerdown', (event) => axis.setPointerCapture(event.pointerId));
  axis.addEventListener('pointermove', (event) => {
    if (event.buttons & 1) seek(fraction(event, axis) * data.duration);
  });
  for (const button of all('[data-start]')) {
    button.addEventListener('click', () => seek(+button.dataset.start));
  }

  const starts = () => [...new Set(segments.filter((s) => !s.hidden && !s.classList.contains('truth'))
    .map((s) => +s.dataset.start))].sort((a, b) => a - b);
  const jump = (forward) => {
    const list = starts();
    const next = forward ? list.find((t) => t > time + 0.01) : list.filter((t) => t < time - 0.01).pop();
    if (next !== undefined) seek(next);
  };
  find('#previous').addEventListener('click', () => jump(false));
  find('#next').addEventListener('click', () => jump(true));
  find('#theme').addEventListener('click', () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark'
                                    : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });

  const minimum = find('#minimum');
  const filter = () => {
    find('#minimum-value').textContent = (+minimum.value).toFixed(2);
    for (const item of all('[data-score]')) item.hidden = +item.dataset.score < +minimum.value;
  };
  if (minimum) {
    minimum.addEventListener('input', filter);
    filter();
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    if (on instanceof HTMLInputElement || on === video) return;
    const pressable = on instanceof HTMLButtonElement;
    const act = {
      ' ': pressable ? null : toggle, k: toggle,
      ArrowLeft: () => seek(time - data.secondsPerRow), ArrowRight: () => seek(time + data.secondsPerRow),
      PageUp: () => seek(time - 10), PageDown: () => seek(time + 10),
      Home: () => seek(0), End: () => seek(data.duration),
      n: () => jump(true), p: () => jump(false),
    }[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  });
  show(0);
})();
)js";

}  // namespace wtal::detail
TANDEM_NAMESPACE_END
