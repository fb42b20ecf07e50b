"""The page of localize in a real browser: usage localize_page_test.py FOLDER_OF_PROGRAMS [SCREENSHOT.png].

Simulated rows, a short training, then the page of a real video. Exit status 77 (skipped) where Chromium or
the video is missing."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from browser import Browser, find_chromium

SKIPPED = 77
NASTY = "Long & <b>\"jump\"</script><img src=x onerror=console.error(1)>"


def run(*words):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit("%s failed:\n%s" % (" ".join(str(w) for w in words), done.stdout))
    return done.stdout


def check(condition, what):
    if not condition:
        sys.exit("localize_page: " + what)


def make_page(programs, folder, video):
    """Four simulated videos of two classes; the video under test is annotated as it really is."""
    def entry(subset, label, *segments):
        return {"subset": subset, "duration": 18.1,
                "annotations": [{"segment": s, "label": label} for s in segments]}
    annotations = {"database": {
        "a": entry("train", "CleanAndJerk", [3, 9]), "b": entry("train", NASTY, [2, 5], [8, 12]),
        "c": entry("train", "CleanAndJerk", [6, 14]), "v_GGSY1Qvo990": entry("test", "CleanAndJerk", [5.8236, 16.1986])}}
    truth = folder / "truth.json"
    truth.write_text(json.dumps(annotations))
    run(programs / "simulate_features", "--annotations", truth, "--out", folder / "sim", "--prompt-vectors", 1,
        "--i3d-width", 32, "--clip-width", 16)
    run(programs / "train_dcl", "--data", folder / "sim", "--out", folder / "run", "--prompt-vectors", 1, "--width", 32,
        "--heads", 4, "--temporal-heads", 2, "--warm-up-steps", 60, "--rounds", 1, "--b-steps", 4, "--f-steps", 4,
        "--batch", 3, "--learning-rate", 0.003, "--crop", 32)
    page = folder / "pages" / "page & more.html"
    page.parent.mkdir()
    copy = folder / "a video #1.mp4"
    shutil.copyfile(video, copy)
    said = run(programs / "localize", copy, "--id", "v_GGSY1Qvo990", "--checkpoint", folder / "run/checkpoint.safetensors",
               "--features", folder / "sim", "--annotations", truth, "--truth", NASTY + ":1-2.5",
               "--out", folder / "detections.json", "--page", page, "--theta-cls", 0)
    found = json.loads((folder / "detections.json").read_text())["results"]["v_GGSY1Qvo990"]
    check(found, "there is no detection to show")
    check("CleanAndJerk" in said and "simulated data" in said, "the terminal says:\n" + said)
    return page, found


def check_reading(programs, folder, video):
    """Rows that localize reads from the video itself are those that extract_features writes."""
    if not (programs / "extract_features").exists():
        return
    quick = ["--random-weights", 7, "--random-narrow", 64, "--flow-size", 32, "--flow-scales", 1, "--flow-warps", 1]
    run(programs / "extract_features", video, "--out", folder / "rows", "--streams", "rgb,flow", *quick)
    common = [programs / "localize", video, "--checkpoint", folder / "run/checkpoint.safetensors", "--theta-cls", 0]
    said = run(*common, "--features", folder / "rows", "--out", folder / "from_files.json")
    check("RANDOM" in said, "the terminal does not say that the weights are random:\n" + said)
    said = run(*common, *quick, "--out", folder / "direct.json")
    check("RANDOM" in said, "the terminal does not say that the weights are random:\n" + said)
    check(json.loads((folder / "from_files.json").read_text()) == json.loads((folder / "direct.json").read_text()),
          "rows from files and from the video itself give different detections")


def curves(page):
    """The frame scores on a page, by class name."""
    text = page.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    return {track["name"]: track["scores"] for track in data["tracks"]}


def check_fusion(programs, folder, video):
    """Scores of one branch, of the other, and their mean; "as trained" is the first."""
    common = [programs / "localize", video, "--checkpoint", folder / "run/checkpoint.safetensors", "--features",
              folder / "sim", "--data", folder / "sim", "--theta-cls", 0]
    scores = {}
    for name, words in (("trained", []), *((f, ["--fusion", f]) for f in ("cbp", "vlp", "mean"))):
        page = folder / (name + ".html")
        run(*common, *words, "--page", page)
        scores[name] = curves(page)
    check(len(scores["cbp"]) == 2 and scores["cbp"] == scores["trained"], "--fusion cbp is not what was trained")
    check(scores["cbp"] != scores["vlp"], "both branches give the same scores")
    for name, mean in scores["mean"].items():  # printed with four digits
        both = zip(mean, scores["cbp"][name], scores["vlp"][name])
        check(all(abs(m - (c + v) / 2) < 0.000101 for m, c, v in both), "%s: mean is not the mean" % name)


def check_index(b, programs, folder, video):
    """A folder of videos: an index whose links lead to the page of each."""
    (folder / "some" / "below").mkdir(parents=True)
    for name in ("some/first & 1.mp4", "some/below/second.mp4"):
        shutil.copyfile(video, folder / name)
    (folder / "some" / "broken.mp4").write_bytes(b"no video")
    done = subprocess.run([str(w) for w in (
        programs / "localize", folder / "some", "--recursive", "--checkpoint", folder / "run/checkpoint.safetensors", "--pages",
        folder / "index", "--theta-cls", 0, "--random-weights", 7, "--random-narrow", 64, "--flow-size", 32, "--flow-scales", 1,
        "--flow-warps", 1, "--out", folder / "several.json")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 3 and "broken" in done.stdout, "the exit status is %d:\n%s" % (done.returncode, done.stdout))
    found = json.loads((folder / "several.json").read_text())["results"]
    check(sorted(found) == ["first & 1", "second"], "found are the videos %s" % sorted(found))
    direct = list(json.loads((folder / "direct.json").read_text())["results"].values())
    check(list(found.values()) == 2 * direct, "a video of a folder has other detections than alone")
    b.open((folder / "index/index.html").as_uri())
    check(b.value("[...document.querySelectorAll('.video:not([hidden]) b')].map(e => e.textContent)") == sorted(found), "the names differ")
    check(b.value("document.querySelectorAll('.strip i').length") == sum(map(len, found.values())), "the strips lack detections")
    check("broken" in b.value("document.querySelector('.failed').textContent"), "the video that failed is not named")
    check(b.value("document.documentElement.scrollWidth <= innerWidth"), "the index is wider than the window")
    b.value("(() => { const f = document.querySelector('.find'); f.value = 'SECOND'; f.dispatchEvent(new Event('input')); })()")
    check(b.value("document.querySelectorAll('.video:not([hidden])').length") == 1, "the search does not narrow the list")
    link = b.value("document.querySelector('.video:not([hidden]) a').href")
    check(b.errors == [], "the browser reported: %s" % b.errors)
    b.open(link)
    check(b.wait_for("document.querySelector('video').readyState >= 2"), "the video of the linked page does not load: %s" % b.errors)
    check(b.value("document.querySelector('#title').textContent") == "second", "the link leads elsewhere")


def check_embedded(b, programs, folder, video):
    """A page with --embed-video needs no file beside it."""
    page = folder / "embedded.html"
    copy = folder / "gone.mp4"
    shutil.copyfile(video, copy)
    run(programs / "localize", copy, "--id", video.stem, "--checkpoint", folder / "run/checkpoint.safetensors",
        "--features", folder / "sim", "--page", page, "--embed-video")
    copy.unlink()
    b.open(page.as_uri())
    check(b.wait_for("document.querySelector('video').readyState >= 2"), "the embedded video does not load: %s" % b.errors)
    check(abs(b.value("document.querySelector('video').duration") - 18.1) < 0.3, "the embedded video has another length")


def main():
    programs = pathlib.Path(sys.argv[1])
    data = pathlib.Path(os.environ.get("TANDEM_TEST_DATA") or "../shared/data")
    video = data / "video/labelled/v_GGSY1Qvo990.mp4"
    chromium = find_chromium()
    for missing, what in ((not chromium, "Chromium"), (not video.is_file(), str(video))):
        if missing:
            print("skipped: there is no " + what)
            sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="tandem-page-") as name:
        page, found = make_page(programs, pathlib.Path(name), video)
        check_reading(programs, pathlib.Path(name), video)
        check_fusion(programs, pathlib.Path(name), video)
        text = page.read_text()
        names = text.replace("'http://www.w3.org/2000/svg'", "")  # of a namespace: nothing is fetched
        check("http://" not in names and "https://" not in names, "the page refers to another host")
        check("<img" not in text, "a class name was not escaped")
        with Browser(chromium) as b:
            look(b, page, found)
            check_embedded(b, programs, pathlib.Path(name), video)
            if (programs / "extract_features").exists():
                check_index(b, programs, pathlib.Path(name), video)


def look(b, page, found):
    now = "document.querySelector('video').currentTime"
    b.open(page.as_uri())
    check(b.wait_for("document.querySelector('video').readyState >= 2"), "the video does not load: %s" % b.errors)
    duration = b.value("document.querySelector('video').duration")
    check(abs(duration - 18.1) < 0.3, "the video is %s s long" % duration)

    # Every detection and every true segment is drawn where it belongs.
    drawn = b.value("[...document.querySelectorAll('.segment:not(.truth)')].map(e => [+e.dataset.start, +e.dataset.end])")
    check(sorted(drawn) == sorted([round(d["segment"][0], 3), round(d["segment"][1], 3)] for d in found),
          "drawn are %s, found were %s" % (drawn, found))
    check(b.value("document.querySelectorAll('.segment.truth').length") == 2, "the true segments are missing")
    wrong = b.value("""(() => {
      const end = JSON.parse(document.getElementById('data').textContent).duration;
      return [...document.querySelectorAll('.segment')].filter((e) => {
        const box = e.getBoundingClientRect(), lane = e.parentElement.getBoundingClientRect();
        const left = (box.left - lane.left) / lane.width, width = box.width / lane.width;
        return Math.abs(left - e.dataset.start / end) > 0.004 || box.height < 10 ||
          Math.abs(width - (Math.min(e.dataset.end, end) - e.dataset.start) / end) > 0.006;
      }).map((e) => e.outerHTML);
    })()""")
    check(wrong == [], "these segments lie elsewhere: %s" % wrong)
    check(b.value("document.querySelectorAll('.curve .edge').length") >= 1, "there is no curve")
    names = b.value("[...document.querySelectorAll('.name')].map(e => e.firstChild.textContent)")
    check(NASTY in names, "the names are %s" % names)

    # A click seeks the video: on a segment to its start, on the lanes to that moment.
    b.click(".segment.truth[data-start='5.824']")
    check(b.wait_for("Math.abs(%s - 5.824) < 0.01" % now), "a click on a segment leads to %s" % b.value(now))
    check(b.value("document.querySelector('#now').textContent") == "0:05.8", "the clock stands elsewhere")
    b.click(".curve", x=0.75)
    end = b.value("JSON.parse(document.getElementById('data').textContent).duration")
    check(b.wait_for("Math.abs(%s - %f) < 0.1" % (now, 0.75 * end)), "a click on the curve leads to %s" % b.value(now))
    b.click("td button")
    first = b.value("+document.querySelector('td button').dataset.start")
    check(b.wait_for("Math.abs(%s - %f) < 0.01" % (now, first)), "the table leads to %s" % b.value(now))
    head = b.value("parseFloat(document.querySelector('.head').style.left)")
    check(abs(head - 100 * first / end) < 0.5, "the playhead stands at %s %%" % head)

    # The keyboard does the same.
    b.value("document.activeElement.blur()")
    b.key("End", code=35)
    check(b.wait_for("%s > 17.5" % now), "End leads to %s" % b.value(now))
    b.key("Home", code=36)
    check(b.wait_for("%s == 0" % now), "Home leads to %s" % b.value(now))
    b.key("ArrowRight", code=39)
    check(b.wait_for("Math.abs(%s - 0.64) < 0.01" % now), "the arrow leads to %s" % b.value(now))
    b.value("document.querySelector('.segment.truth').focus()")
    b.key("Enter", text="\r", code=13)
    check(b.wait_for("Math.abs(%s - +document.activeElement.dataset.start) < 0.01" % now), "Enter leads to %s" % b.value(now))
    b.value("document.activeElement.blur()")
    at = b.value(now)
    later = [d["segment"][0] for d in found if d["segment"][0] > at + 0.02]
    b.key("n", text="n", code=78)
    if later:
        check(b.wait_for("Math.abs(%s - %f) < 0.01" % (now, min(later))), "n leads to %s" % b.value(now))

    # The slider hides what scores less.
    if len(found) > 1:
        b.value("(() => { const m = document.querySelector('#minimum'); m.value = m.max;"
                " m.dispatchEvent(new Event('input')); })()")
        hidden = b.value("[...document.querySelectorAll('.segment[data-score]')].filter(e => e.hidden).length")
        check(hidden > 0, "the slider hides nothing")
        b.value("(() => { const m = document.querySelector('#minimum'); m.value = m.min;"
                " m.dispatchEvent(new Event('input')); })()")
    # Light and dark differ, and the text stands out from its ground in both.
    grounds = []
    for scheme in ("light", "dark"):
        b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colours = b.value("""(() => { const s = getComputedStyle(document.body);
          const light = (c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 765;
          return [light(s.backgroundColor), light(s.color)]; })()""")
        check(abs(colours[0] - colours[1]) > 0.6, "%s: ground and ink are %s" % (scheme, colours))
        grounds.append(colours[0])
    check(grounds[0] > 0.8 > 0.2 > grounds[1], "light and dark grounds are %s" % grounds)
    check(b.errors == [], "the browser reported: %s" % b.errors)
    if len(sys.argv) > 2:
        b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        b.screenshot(sys.argv[2])
    print("%d detections on the page" % len(found))


if __name__ == "__main__":
    main()
