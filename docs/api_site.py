"""HTML of the pages that docs/make_api.py writes: plain files, a list of the pages, a box that finds names."""

import html
import json
import re

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5b6370; --line: #dfe3e8; --back: #fff; --code: #f5f6f8; --link: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --text: #e3e6ea; --soft: #9aa4b0; --line: #343a42; --back: #17191c; --code: #202429;
  --link: #7db8f5 } }
* { box-sizing: border-box }
html { scroll-padding-top: 4.5rem }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back) }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
header { position: sticky; top: 0; z-index: 1; display: flex; gap: 1rem; align-items: center; padding: .6rem 1rem;
  background: var(--back); border-bottom: 1px solid var(--line) }
header a { font-weight: 650; white-space: nowrap }
header input { flex: 1; max-width: 36rem; min-width: 0; padding: .45rem .7rem; font: inherit; color: inherit; background: var(--code);
  border: 1px solid var(--line); border-radius: 6px }
#found { position: fixed; z-index: 2; top: 3.4rem; left: 0; right: 0; max-height: 75vh; overflow: auto; margin: 0; padding: .5rem 1rem;
  list-style: none; background: var(--back); border-bottom: 1px solid var(--line); box-shadow: 0 6px 18px #0003 }
#found:empty { display: none }
#found a { display: block; padding: .3rem 0; overflow-wrap: anywhere } #found small { color: var(--soft) }
.columns { display: grid; grid-template-columns: 15rem minmax(0, 52rem) ; gap: 2.5rem; max-width: 74rem; margin: 0 auto; padding: 0 1rem }
nav { position: sticky; top: 3.6rem; max-height: calc(100vh - 3.6rem); overflow: auto; font-size: .93rem; padding: 1.2rem 0; align-self: start }
 nav summary { font-weight: 650; cursor: pointer } nav ul { list-style: none; padding: 0; margin: .5rem 0 }
nav li { margin: .28rem 0 } nav .here { font-weight: 650; color: var(--text) }
main { padding: .5rem 0 4rem; overflow-wrap: break-word; min-width: 0 }
h1 { line-height: 1.2 } h2 { margin-top: 2.6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line) }
h3 { margin: 2.2rem 0 .6rem } h4 { margin: 1.6rem 0 .4rem }
code, pre { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
code { padding: .1em .3em; background: var(--code); border-radius: 4px; overflow-wrap: anywhere }
h2 code, h3 code, h4 code { padding: 0; background: none; font-weight: 650; font-size: .95em }
pre { padding: .7rem .9rem; background: var(--code); border-radius: 6px; overflow-x: auto } pre code { padding: 0; background: none;
  font-size: 1em; overflow-wrap: normal }
pre.text { background: none; border-left: 3px solid var(--line); border-radius: 0; padding: .1rem .9rem; white-space: pre-wrap }
.anchor { margin-left: .4rem; color: var(--soft); opacity: 0; font-weight: 400 } :is(h2, h3, h4):hover .anchor, .anchor:focus { opacity: 1 }
@media (max-width: 800px) { .columns { display: block } nav { position: static; max-height: none; padding: .8rem 0; border-bottom: 1px solid var(--line) }
  h2 { font-size: 1.2rem } pre { font-size: .8em; white-space: pre-wrap } }
"""
SCRIPT = """
const box = document.querySelector('input'), list = document.getElementById('found');
function search() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  list.textContent = '';
  if (!words.length) return;
  const rank = ([name]) => { const last = name.toLowerCase().split('::').pop();
    return last === words[0] ? 0 : last.startsWith(words[0]) ? 1 : 2; };
  const hits = NAMES.filter(([name]) => words.every(w => name.toLowerCase().includes(w)));
  hits.sort((a, b) => rank(a) - rank(b) || a[0].length - b[0].length);
  for (const [name, page, title, slug] of hits.slice(0, 60)) {
    const item = document.createElement('li'), link = document.createElement('a'), where = document.createElement('small');
    link.href = page + '.html#' + slug; link.textContent = name + ' '; where.textContent = title;
    link.append(where); item.append(link); list.append(item);
  }
  if (!hits.length) list.innerHTML = '<li>No such name.</li>';
}
box.addEventListener('input', search);
box.addEventListener('keydown', e => {
  if (e.key === 'Escape') { box.value = ''; search(); }
  if (e.key === 'Enter') list.querySelector('a')?.click();
});
list.addEventListener('click', () => { box.value = ''; search(); });
document.addEventListener('keydown', e => { if (e.key === '/' && document.activeElement !== box) { e.preventDefault(); box.focus(); } });
if (matchMedia('(max-width: 800px)').matches) document.querySelector('nav details').open = false;
"""


def slug_of(heading, seen):
    """The anchor that GitHub and the site give a heading."""
    slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    count = seen.get(slug, 0)
    seen[slug] = count + 1
    return slug if count == 0 else f"{slug}-{count}"


def inline_html(text):
    """Code spans, links, strong words and escaped signs."""
    out = []
    for part in re.split(r"(\[`[^`]*`\]\([^)\s]*\)|(?<!\\)`[^`]+`)", text):
        if link := re.fullmatch(r"\[`([^`]*)`\]\(([^)\s]*)\)", part):
            out.append(f'<a href="{page_link(link[2])}"><code>{html.escape(link[1])}</code></a>')
        elif part.startswith("`") and part.endswith("`") and len(part) > 2:
            out.append(f"<code>{html.escape(part[1:-1])}</code>")
        else:
            kept = re.sub(r"\\([\\`*_|~<\]+#>-])", lambda m: f"\x00{ord(m[1])};", part)
            kept = html.escape(kept, quote=False)
            kept = re.sub(r"\[([^\[\]]+)\]\(([^)\s]+)\)", lambda m: f'<a href="{page_link(m[2])}">{m[1]}</a>', kept)
            kept = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", kept)
            out.append(re.sub(r"\x00(\d+);", lambda m: html.escape(chr(int(m[1]))), kept))
    return "".join(out)


def page_link(target):
    return html.escape(target.replace("README.md", "index.html").replace(".md", ".html"))


def unwrapped(lines):
    """Lines that only the width of the header has broken, put together: the page breaks them at its own width."""
    out = []
    for line in lines:
        word = line.split()[0] if line.split() else ""
        if out and word and line[0] != " " and len(last) + len(word) > 92 and last[-1] not in ".;:]":
            out[-1] += " " + line
        else:
            out.append(line)
        last = line
    return out


def body_html(text):
    """HTML of the Markdown that the pages are written in: headings, paragraphs, blocks of code."""
    out, lines, seen, i = [], text.split("\n"), {}, 0
    while i < len(lines):
        line = lines[i]
        if heading := re.match(r"(#+) (.*)", line):
            level, slug = len(heading[1]), slug_of(heading[2], seen)
            out.append(f'<h{level} id="{slug}">{inline_html(heading[2])}<a class="anchor" href="#{slug}">#</a></h{level}>')
        elif line.startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            shown = lines[i + 1:end] if line != "```text" else unwrapped(lines[i + 1:end])
            code = html.escape("\n".join(shown), quote=False)
            out.append(f'<pre class="{line[3:]}"><code>{code}</code></pre>')
            i = end
        elif line.strip():
            end = i
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(("#", "```")):
                end += 1
            out.append(f"<p>{inline_html(' '.join(lines[i:end]))}</p>")
            i = end - 1
        i += 1
    return "\n".join(out)


def write(folder, pages, texts, order):
    """One HTML file for each text, and the names of all pages for the search. `order`: of the pages in the list beside."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [[name, stem, page.title, slug] for stem, page in pages.items() for name, slug in page.names]
    (folder / "names.js").write_text(f"const NAMES = {json.dumps(names, ensure_ascii=False, separators=(',', ':'))};\n")
    (folder / "style.css").write_text(STYLE.lstrip())
    (folder / "search.js").write_text(SCRIPT.lstrip())
    for name, text in texts.items():
        stem = name.removesuffix(".md").replace("README", "index")
        items = "".join(f'<li><a{" class=here" if s == stem else ""} href="{s}.html">{html.escape(pages[s].title)}</a></li>'
                        for s in order)
        title = "tandem: API reference" if stem == "index" else f"{pages[stem].title} – tandem"
        (folder / f"{stem}.html").write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="stylesheet" href="style.css"></head>\n'
            '<body><header><a href="index.html">tandem</a><input type="search" placeholder="Find a name (/)" '
            'aria-label="Find a name"></header>\n<ul id="found"></ul>\n<div class="columns"><nav><details open><summary>Pages'
            f"</summary><ul>{items}</ul></details></nav>\n<main>\n{body_html(text)}\n</main></div>\n"
            '<script src="names.js"></script><script src="search.js"></script></body></html>\n')
