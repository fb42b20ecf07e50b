"""HTML of the pages that docs/make_api.py writes, and of guides in docs/: plain files, a list of the pages, a box that finds
names."""

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
header { position: sticky; top: 0; z-index: 1; background: var(--back); border-bottom: 1px solid var(--line) }
header div { display: grid; grid-template-columns: 15rem minmax(0, 36rem); gap: 2.5rem; align-items: center; max-width: 74rem;
  margin: 0 auto; padding: .6rem 1rem }
header a { font-weight: 650; white-space: nowrap }
header input { min-width: 0; padding: .45rem .7rem; font: inherit; color: inherit; background: var(--code);
  border: 1px solid var(--line); border-radius: 6px }
#found { position: fixed; z-index: 2; top: 3.8rem; left: max(18.5rem, 50vw - 18.9rem); width: 46rem; max-width: calc(100vw - 2rem);
  max-height: 75vh; overflow: auto; margin: 0; padding: .5rem 1rem; list-style: none; background: var(--back);
  border: 1px solid var(--line); border-top: 0; border-radius: 0 0 6px 6px; box-shadow: 0 6px 18px #0003 }
#found:empty { display: none }
#found a { display: block; padding: .3rem 0; overflow-wrap: anywhere } #found small { color: var(--soft) }
.columns { display: grid; grid-template-columns: 15rem minmax(0, 52rem) ; gap: 2.5rem; max-width: 74rem; margin: 0 auto; padding: 0 1rem }
nav { position: sticky; top: 3.6rem; max-height: calc(100vh - 3.6rem); overflow: auto; font-size: .93rem; padding: 1.2rem 0; align-self: start;
  scrollbar-width: thin; scrollbar-color: var(--line) transparent }
nav summary { font-weight: 650; cursor: pointer } nav h2 { font-size: .85rem; margin: 1rem 0 .2rem; padding: 0; border: 0; color: var(--soft) } nav ul { list-style: none; padding: 0; margin: .5rem 0 }
nav li { margin: .28rem 0 } nav .here { font-weight: 650; color: var(--text) }
nav li ul { margin: .2rem 0 .5rem; padding-left: .7rem; border-left: 2px solid var(--line); font-size: .9rem }
main { padding: .5rem 0 4rem; overflow-wrap: break-word; min-width: 0 }
h1 { line-height: 1.2 } h2 { margin-top: 2.6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line) }
h3 { margin: 2.2rem 0 .6rem } h4 { margin: 1.6rem 0 .4rem }
code, pre { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
code { padding: .1em .25em; background: var(--code); border-radius: 4px; overflow-wrap: anywhere; box-decoration-break: clone;
  -webkit-box-decoration-break: clone }
.short { white-space: nowrap; overflow-wrap: normal }
h2 code, h3 code, h4 code { padding: 0; background: none; font-weight: 650; font-size: .95em }
pre { padding: .7rem .9rem; background: var(--code); border-radius: 6px; overflow-x: auto } pre code { padding: 0; background: none;
  font-size: 1em; overflow-wrap: normal }
pre.text { background: none; border-left: 3px solid var(--line); border-radius: 0; padding: .1rem .9rem; white-space: pre-wrap }
.table { overflow-x: auto; margin: 1rem 0 } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line) } th { color: var(--soft) }
.remark { color: var(--soft) }
.anchor { margin-left: .4rem; color: var(--soft); opacity: 0; font-weight: 400 } :is(h2, h3, h4):hover .anchor, .anchor:focus { opacity: 1 }
@media (max-width: 800px) { header div { grid-template-columns: auto minmax(0, 1fr); gap: 1rem } #found { left: 1rem } .columns { display: block } nav { position: static; max-height: none; padding: .8rem 0; border-bottom: 1px solid var(--line) }
  h1 { font-size: 1.6rem } h2 { font-size: 1.2rem } pre { font-size: .8em; white-space: pre-wrap } .gap { display: none }
  .remark::before { content: "\\A    "; white-space: pre } th, td { padding-right: .5rem; font-size: .92em } }
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
const pages = document.querySelector('nav'), here = pages.querySelector('.here');
if (here && pages.scrollHeight > pages.clientHeight) pages.scrollTop = here.offsetTop - pages.clientHeight / 3;
"""


# The part of the reference's first page that tells of the site, which does not show itself.
ABOUT = "## The reference as a site"
# Pages of docs/ that are part of the site, as guide_NAME.html.
GUIDES = ["for_pytorch_users", "modules", "adding_an_op", "threads", "your_own_videos", "data", "features", "video", "flow", "i3d", "cuda", "method",
          "architecture"]


def slug_of(heading, seen):
    """The anchor that GitHub and the site give a heading."""
    slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    count = seen.get(slug, 0)
    seen[slug] = count + 1
    return slug if count == 0 else f"{slug}-{count}"


# Code of at most so many signs stays on one line; a phone's half, a cell of a table there, holds so many.
LONGEST_UNBROKEN = 18


def inline_html(text):
    """Code spans, links, strong words and escaped signs."""
    code = []

    def kept(made):  # what no later rule may touch
        code.append(made)
        return f"\x01{len(code) - 1};"

    def span(match):
        short = ' class="short"' if len(match[1]) <= LONGEST_UNBROKEN else ""
        made = f"<code{short}>{html.escape(match[1])}</code>"
        guide = re.fullmatch(r"(?:docs/)?(\w+)\.md", match[1])
        if guide and guide[1] in GUIDES:
            return kept(f'<a href="guide_{guide[1]}.html">{made}</a>')
        return kept(f'<a href="index.html">{made}</a>' if match[1] == "docs/api" else made)

    text = re.sub(r"\[`([^`]*)`\]\(([^)\s]*)\)",
                  lambda m: kept(link_html(f"<code>{html.escape(m[1])}</code>", page_link(m[2]))), text)
    text = re.sub(r"(?<!\\)`([^`]+)`", span, text)
    text = re.sub(r"\\([\\`*_|~<\]+#>-])", lambda m: kept(html.escape(m[1])), text)
    text = html.escape(text, quote=False)
    text = re.sub(r"\[([^\[\]]+)\]\(([^)\s]+)\)", lambda m: link_html(m[1], page_link(m[2])), text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\x01(\d+);", lambda m: code[int(m[1])], text)


def link_html(text, target):
    return f'<a href="{target}">{text}</a>' if target else text


def page_link(target):
    """Of a page, which all lie beside each other; "" for what is no part of the site."""
    name, _, anchor = target.partition("#")
    if "/" in name or name.startswith("http"):
        return target if name.startswith("http") else ""
    page = name.replace("README.md", "index.html").replace(".md", ".html")
    return html.escape(page + ("#" + anchor if anchor else ""))


def unwrapped(lines):
    """Lines that only the width of the header has broken, put together: the page breaks them at its own width."""
    out = []
    for line in lines:
        word = line.split()[0] if line.split() else ""
        if out and word and line[0] != " " and len(last) + len(word) > 92 and last[-1] not in ".;:]" and "   " not in last.strip():
            out[-1] += " " + line
        else:
            out.append(line)
        last = line
    return out


def cells_of(row):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def table_html(rows):
    """A table of Markdown; where it is too wide it scrolls by itself."""
    head, body = cells_of(rows[0]), [cells_of(row) for row in rows[2:]]
    out = ['<div class="table"><table>']
    if any(head):
        out.append("<thead><tr>" + "".join(f"<th>{inline_html(cell)}</th>" for cell in head) + "</tr></thead>")
    out += ["<tr>" + "".join(f"<td>{inline_html(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "\n".join([*out, "</table></div>"])


ITEM = re.compile(r"([-*]|\d+\.) ")


def list_html(lines):
    """A list of Markdown, of one level."""
    items = []
    for line in lines:
        if match := ITEM.match(line):
            items.append([line[match.end():]])
        else:
            items[-1].append(line.strip())
    kind = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{kind}>" + "".join(f"<li>{inline_html(' '.join(item))}</li>" for item in items) + f"</{kind}>"


def body_html(text):
    """HTML of the Markdown that the pages are written in: headings, paragraphs, blocks of code, tables, lists."""
    out, lines, seen, i = [], text.split("\n"), {}, 0
    while i < len(lines):
        line = lines[i]
        if heading := re.match(r"(#+) (.*)", line):
            level, slug = len(heading[1]), slug_of(heading[2], seen)
            out.append(f'<h{level} id="{slug}">{inline_html(heading[2])}<a class="anchor" href="#{slug}" '
                       f'aria-label="Link to this place">#</a></h{level}>')
        elif line.startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            shown = lines[i + 1:end] if line != "```text" else unwrapped(lines[i + 1:end])
            code = html.escape("\n".join(shown), quote=False)
            if line == "```cpp":  # on a phone a remark has a line of its own
                code = re.sub(r"(?<=\S)(\s\s+)(//(?!/) .*)$", r'<span class="gap">\1</span><span class="remark">\2</span>', code, flags=re.M)
            out.append(f'<pre class="{line[3:]}"><code>{code}</code></pre>')
            i = end
        elif line.startswith("    "):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            code = html.escape("\n".join(part[4:] for part in lines[i:end]).rstrip(), quote=False)
            out.append(f"<pre><code>{code}</code></pre>")
            i = end - 1
        elif line.startswith("|"):
            end = i
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            out.append(table_html(lines[i:end]))
            i = end - 1
        elif ITEM.match(line):
            end = i
            while end < len(lines) and lines[end].strip() and (ITEM.match(lines[end]) or lines[end].startswith(" ")):
                end += 1
            out.append(list_html(lines[i:end]))
            i = end - 1
        elif line.strip():
            end = i
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(("#", "```", "|")) and \
                    (end == i or not ITEM.match(lines[end])):
                end += 1
            out.append(f"<p>{inline_html(' '.join(lines[i:end]))}</p>")
            i = end - 1
        i += 1
    return "\n".join(out)


def guide_text(text):
    """A guide's Markdown with its links to other guides as the site has them."""
    return re.sub(r"\[([^\[\]]+)\]\((\w+)\.md(#[^)\s]*)?\)",
                  lambda m: f"[{m[1]}](guide_{m[2]}.html{m[3] or ''})" if m[2] in GUIDES else m[1], text)


def guide_names(stem, text):
    """What the search finds of a guide: its headings and, of a table's first column, what stands there as code (what
    something is called in PyTorch)."""
    names, seen, slug, title = [], {}, "", re.match(r"# (.*)", text)[1]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for line in prose.split("\n"):
        if heading := re.match(r"(#+) (.*)", line):
            slug = slug_of(heading[2], seen)
            names.append([heading[2].replace("`", ""), f"guide_{stem}", title, slug])
        elif stem == "for_pytorch_users" and line.startswith("| ") and cells_of(line)[0] not in ("PyTorch", "here"):
            here = ", ".join(re.findall(r"`([^`]+)`", cells_of(line)[1])) or cells_of(line)[1]
            names += [[f"{code} in PyTorch", f"guide_{stem}", here[:90], slug] for code in re.findall(r"`([^`]+)`", cells_of(line)[0])]
    return names


def parts_html(text):
    """The parts of a page, for the list beside it."""
    seen, out = {}, []
    for heading in re.findall(r"^#+ .*", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        level, _, title = heading.partition(" ")
        slug, title = slug_of(title, seen), title.replace("`", "").removeprefix("tandem/")
        if level == "##":
            out.append(f'<li><a href="#{slug}">{html.escape(title)}</a></li>')
    return f"<ul>{''.join(out)}</ul>" if out else ""


def page_html(title, items, body):
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">\n'
            '<link rel="stylesheet" href="style.css"></head>\n'
            '<body><header><div><a href="index.html">tandem</a><input type="search" placeholder="Find a name (/)" '
            'aria-label="Find a name"></div></header>\n<ul id="found"></ul>\n<div class="columns"><nav><details open><summary>Pages'
            f"</summary>{items}</details></nav>\n<main>\n{body}\n</main></div>\n"
            '<script src="names.js"></script><script src="search.js"></script></body></html>\n')


def write(folder, pages, texts, order, guides):
    """One HTML file for each text, and the names of all pages for the search. `order`: of the pages in the list beside;
    `guides`: their texts by name, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [[name, stem, page.title, slug] for stem, page in pages.items() for name, slug in page.names]
    titles = {}
    for stem, text in guides.items():
        names += guide_names(stem, text)
        titles[f"guide_{stem}"] = re.match(r"# (.*)", text)[1]
    (folder / "names.js").write_text(f"const NAMES = {json.dumps(names, ensure_ascii=False, separators=(',', ':'))};\n")
    (folder / "style.css").write_text(STYLE.lstrip())
    (folder / "search.js").write_text(SCRIPT.lstrip())
    titles |= {stem: pages[stem].title for stem in order}

    def items(here):
        def links(stems):
            return "<ul>" + "".join(f'<li><a{" class=here" if s == here else ""} href="{s}.html">{html.escape(titles[s])}</a>'
                                    f'{parts_html(all_texts[s]) if s == here else ""}</li>' for s in stems) + "</ul>"
        return f'<h2>Guides</h2>{links([f"guide_{s}" for s in guides])}<h2>Reference</h2>{links(order)}'

    all_texts = {name.removesuffix(".md").replace("README", "index"): text.split(ABOUT)[0] for name, text in texts.items()}
    all_texts |= {f"guide_{stem}": guide_text(text) for stem, text in guides.items()}
    for stem, text in all_texts.items():
        title = "tandem: API reference" if stem == "index" else f"{titles[stem]} – tandem"
        (folder / f"{stem}.html").write_text(page_html(title, items(stem), body_html(text)))
