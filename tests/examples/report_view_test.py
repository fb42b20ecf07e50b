"""What examples/report/page.html draws of known data, in a real browser: usage report_view_test.py PAGE.html.

Exit status 77 (skipped) where Chromium is missing."""
import json
import pathlib
import re
import shutil
import sys
import tempfile

from browser import Browser, find_chromium

SKIPPED = 77
NASTY = "</script><script>console.error(1)</script><!--\\\",\u2028<img src=x onerror=console.error(1)>"


def check(condition, what):
    if not condition:
        sys.exit("report_view: " + what)


def track(name, **given):
    return {"name": name, "videoScore": None, "threshold": None, "scores": [], "predicted": [], "truth": [], **given}


def segment(start, end, score=None):
    return {"start": start, "end": end} if score is None else {"start": start, "end": end, "score": score}


class Page:
    """page.html with other data, opened in the browser."""

    def __init__(self, browser, folder, html):
        self.browser, self.path, self.html = browser, folder / html.name, html.read_text()
        for beside in (*html.parent.glob("*.js"), *html.parent.glob("*.css")):
            shutil.copy(beside, folder)

    def show(self, *tracks, **given):
        data = {"title": "v", "video": "", "videoName": "", "duration": 20, "secondsPerRow": 10, "facts": [],
                "warnings": [], "tracks": tracks, **given}
        text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003C").replace("\u2028", "\\u2028")
        begin, end = re.search(r'id="data">(.*?)</script>', self.html, re.S).span(1)
        self.path.write_text(self.html[:begin] + text + self.html[end:])
        self.browser.open(self.path.as_uri())

    def all(self, selector, what):
        return self.browser.value("[...document.querySelectorAll(%s)].map(e => e.%s)" % (json.dumps(selector), what))


def check_example(b, path):
    """The file as it stands in the sources shows its example."""
    b.open(path.resolve().as_uri())
    check(b.errors == [], "the browser reported: %s" % b.errors)
    check(b.value("document.querySelectorAll('.segment').length") == 5, "the example is not drawn")


def check_run_example(b, path):
    """So does the page of a run: curves, the annotation, a detection, plots and a table."""
    b.open(path.resolve().as_uri())
    check(b.wait_for("document.querySelectorAll('.plot svg').length >= 3"), "there are no plots: %s" % b.errors)
    check(b.errors == [], "the browser reported: %s" % b.errors)
    count = lambda what: b.value("document.querySelectorAll('%s').length" % what)
    for what, number in ((".entry", 1), (".curve-line", 3), (".chart .truth", 1), (".chart .theta", 1), (".segment.found", 1),
                         (".gauge .dot", 3), (".bar .legend span", 4), ("#tables td", 2), ("input[name=fusion]", 3)):
        check(count(what) == number, "the example has %d %s, not %d" % (count(what), what, number))
    b.click("input[value=cbp]")
    check(count(".curve-line") == 2 and count(".segment.found") == 0, "the switch does not show CBP alone")


def check_pair_example(b, path):
    """And that of two runs: both curves and detections under one annotation."""
    b.open(path.resolve().as_uri())
    check(b.wait_for("document.querySelectorAll('.plot svg').length >= 2"), "there are no plots: %s" % b.errors)
    check(b.errors == [], "the browser reported: %s" % b.errors)
    count = lambda what: b.value("document.querySelectorAll('%s').length" % what)
    for what, number in ((".entry", 1), (".chart .series", 2), (".segment.truth", 1), (".segment.found", 2), (".segment.false", 1),
                         (".of-run", 2), ("#tables table", 2)):
        check(count(what) == number, "the example of two runs has %d %s, not %d" % (count(what), what, number))


def check_places(page):
    page.show(track("Dive", videoScore=0.25, scores=[0, 1], threshold=0.5,
                    predicted=[segment(5, 10, 0.25), segment(18, 30, 0.75)]))
    check(page.all(".segment", "getAttribute('style')") ==
          ["left:90.000%;width:10.000%;--strength:1.00", "left:25.000%;width:25.000%;--strength:0.35"],
          "the segments stand at %s" % page.all(".segment", "getAttribute('style')"))
    labels = ["Dive, predicted, 0:18.0 to 0:30.0, score 0.75", "Dive, predicted, 0:05.0 to 0:10.0, score 0.25"]
    check(page.all(".segment", "ariaLabel") == labels and page.all(".segment", "title") == labels,
          "the segments are called %s" % page.all(".segment", "ariaLabel"))
    check(page.all(".segment", "className") == ["segment", "segment weak"], "the weaker one is not marked")
    check(page.all(".edge", "getAttribute('d')") == ["M0.000 1.0000H10.000L10.000 0.0000H20.000"],
          "the curve is %s" % page.all(".edge", "getAttribute('d')"))
    check(page.all(".area", "getAttribute('d')") == ["M0.000 1.0000H10.000L10.000 0.0000H20.000L20.000 1.06H0Z"],
          "the area is %s" % page.all(".area", "getAttribute('d')"))
    check(page.all(".theta", "getAttribute('y1')") == [None, "0.5000"], "the threshold stands elsewhere")  # the legend's first
    check(page.all("video, #unplayable, #legend-truth, #no-class, #no-segment", "id") == [], "there is too much")
    check(page.all(".name", "textContent") == ["Divevideo 0.25 · now 0.00"], page.all(".name", "textContent"))
    check(page.all("td", "textContent") == ["Dive", "0:05.0", "0:10.0", "5.00", "0.250", "Go",
                                            "Dive", "0:18.0", "0:30.0", "12.00", "0.750", "Go"], "the table is wrong")
    check(page.all("#minimum", "min") == ["0.25"] and page.all("#minimum", "max") == ["0.75"], "the slider's ends")


def check_lanes(page):
    """What overlaps lies in different lanes, what does not in the first that is free; the strongest comes first."""
    page.show(track("a", predicted=[segment(7, 8, 0.95), segment(0, 2, 0.9), segment(1, 3, 0.8), segment(2, 4, 0.7), segment(1.5, 1.6, 0.6)],
                    truth=[segment(1, 2), segment(1.5, 3)]))
    lanes = page.browser.value("[...document.querySelectorAll('.lane')].map(l => [...l.children].map(e => e.textContent))")
    check(lanes == [["annotated", "annotated"], ["0.95", "0.90", "0.70"], ["0.80"], ["0.60"]], "the lanes are %s" % lanes)
    check(page.all(".curve", "tagName") == [] and page.all(".name", "textContent") == ["a"], "there is a curve of nothing")


def check_texts(page):
    page.show(track(NASTY, scores=[0.5, 1], predicted=[segment(0, 1, 0.5)], truth=[segment(0, 2)]), title=NASTY,
              videoName=NASTY, video="./missing.mp4", facts=[[NASTY, NASTY]], warnings=[NASTY])
    b = page.browser
    check(b.value("document.title") == NASTY + " – localized actions", "the title is " + b.value("document.title"))
    for selector in ("h1", "dt", "dd", "p[role=note]", "td:first-child"):
        check(set(page.all(selector, "textContent")) == {NASTY}, selector + " is " + str(page.all(selector, "textContent")))
    check(page.all("#legend-truth", "textContent") == ["annotated"], "the legend lacks what is annotated")
    check(page.all("img, main script", "tagName") == [], "a text has become an element")
    # The video is not there: the page says so, and its errors are the browser's about the video only.
    check(b.wait_for("!document.querySelector('#unplayable').hidden"), "a video that cannot be played is not told")
    check(("cannot play " + NASTY) in page.all("#unplayable", "textContent")[0].replace("\n", " "), "it is not named")
    check(all("missing.mp4" in e for e in b.errors), "the browser reported: %s" % b.errors)
    b.errors.clear()


def check_nothing(page):
    page.show(duration=7300, secondsPerRow=0.64)
    b = page.browser
    check(page.all("main > section p", "textContent") == ["There is no class to show."], "an empty page says nothing")
    check(page.all("td", "textContent") == ["Nothing was found."], "an empty table says nothing")
    check(page.all(".tick", "textContent") == ["%d:%02d:00" % divmod(20 * i, 60) for i in range(7)], "the ticks are %s" % page.all(".tick", "textContent"))
    check(page.all(".facts, .minimum, video", "tagName") == [], "there is something of nothing")
    # It works without a video as well.
    b.key("End", code=35)
    check(b.value("document.querySelector('#now').textContent") == "2:01:40.0", "End leads elsewhere")
    b.key("ArrowLeft", code=37)
    check(b.value("document.querySelector('#now').textContent") == "2:01:39.4", "an arrow leads elsewhere")


def check_axis(page):
    """However long a video and however narrow a screen, no two times of the axis touch."""
    b = page.browser
    for width in (1180, 360):
        b.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        for duration in (0.5, 7, 59, 60, 3599, 3600, 28 * 3600 + 17, 40 * 86400):
            page.show(duration=duration)
            ends = b.value("[...document.querySelectorAll('.tick')].map(e => e.getBoundingClientRect())"
                           ".map(r => [r.left, r.right])")
            check(len(ends) >= 1 and (len(ends) > 2 or width == 360 or duration < 2), "%g s has %d times" % (duration, len(ends)))
            check(all(a[1] + 4 < c[0] for a, c in zip(ends, ends[1:])), "%g s at %d: times overlap: %s" % (duration, width, ends))
            check(b.value("document.documentElement.scrollWidth <= innerWidth"), "the page of %g s scrolls sideways" % duration)
    b.call("Emulation.setDeviceMetricsOverride", width=1180, height=1000, deviceScaleFactor=1, mobile=False)


def main():
    path = pathlib.Path(sys.argv[1])
    chromium = find_chromium()
    if not chromium:
        print("skipped: there is no Chromium")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="tandem-view-") as name, Browser(chromium) as b:
        check_example(b, path)
        check_run_example(b, path.parent / "run.html")
        check_pair_example(b, path.parent / "pair.html")
        page = Page(b, pathlib.Path(name), path)
        for part in (check_places, check_lanes, check_nothing, check_axis, check_texts):
            part(page)
            check(b.errors == [], "the browser reported: %s" % b.errors)
    print("page.html draws what its data says")


if __name__ == "__main__":
    main()
