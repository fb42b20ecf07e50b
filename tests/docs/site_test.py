"""The site that `make docs` builds: every link and every name of the search leads somewhere and, where there is Chromium,
no page reports an error, nothing is wider than a phone, and the search finds names."""
import html
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
from browser import Browser, find_chromium  # noqa: E402


def check(condition, what):
    if not condition:
        sys.exit("site: " + what)


def check_links(folder):
    """All href, src and names of the search; returns how many there are."""
    pages = {page.name: page.read_text() for page in folder.glob("*.html")}
    anchors = {name: set(re.findall(r' id="([^"]*)"', text)) for name, text in pages.items()}
    links = [(name, html.unescape(target)) for name, text in pages.items()
             for target in re.findall(r' (?:href|src)="([^"]*)"', text) if not target.startswith(("data:", "http"))]
    names = json.loads((folder / "names.js").read_text().removeprefix("const NAMES = ").rstrip(";\n"))
    links += [("names.js", f"{page}.html#{slug}") for _, page, _, slug in names]
    for name, target in links:
        file, _, anchor = target.partition("#")
        check(not file or (folder / file).is_file(), f"{name}: there is no {file}")
        check(not anchor or anchor in anchors[file or name], f"{name}: {file or name} has no #{anchor}")
    for name, text in pages.items():  # what a converter has left as it was
        prose = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", text, flags=re.S)
        left = re.search(r"^\|.*|```.*|\*\*\w.*|\]\(\w.*", prose, re.M)
        check(not left, f"{name}: Markdown is left: {left and left[0][:80]}")
    check(len(pages) > 30 and len(names) > 2000, f"only {len(pages)} pages with {len(names)} names")
    return len(links)


def found(browser, words):
    """Where the search leads with these words, the first."""
    browser.value("(box.value = %s, search(), 0)" % json.dumps(words))
    return browser.value("document.querySelector('#found a')?.getAttribute('href') || ''")


def check_in_browser(program, folder):
    for width in (1280, 390):
        with Browser(program, width, 900) as b:
            for page in sorted(folder.glob("*.html")) if width == 390 else [folder / "index.html"]:
                b.open(page.as_uri())
                check(b.errors == [], f"{page.name}: the browser reported {b.errors}")
                over = b.value("document.documentElement.scrollWidth - innerWidth")
                check(over <= 0, f"{page.name}: {over} pixels wider than a window of {width}")
            for words, leads in (("relu", "ops_elementwise.html#relu"), ("nn::Linear", "nn.html#nnlinear"),
                                 ("binary_cross_entropy", "guide_for_pytorch_users.html#mathematics"), ("no such name", "")):
                where = found(b, words)
                check(where == leads, f"the search for {words} leads to {where}, not {leads}")


with tempfile.TemporaryDirectory(prefix="tandem-site-") as name:
    site = pathlib.Path(name)
    built = subprocess.run([sys.executable, ROOT / "docs" / "make_api.py", "--site-only", site], capture_output=True, text=True)
    check(built.returncode == 0, built.stdout + built.stderr)
    count = check_links(site)
    chromium = find_chromium()
    if chromium:
        check_in_browser(chromium, site)
    print(f"{count} links lead somewhere" + (", the pages are well in a browser" if chromium else "; no Chromium, so not looked at"))
