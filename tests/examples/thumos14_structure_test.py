"""THUMOS14's annotations in both layouts of the field, from rows simulated over them to the mAP: all 200 training and
212 test videos, and `evaluate` gives for the detections what `train_dcl` said of them. BaS-Net's layout has 210 test
videos: video_test_0000270 and video_test_0001496 are left out of its lists. The rows are narrow, the training is short.

usage: thumos14_structure_test.py FOLDER_WITH_THE_PROGRAMS
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1])
data = pathlib.Path(os.environ.get("TANDEM_TEST_DATA") or "../shared/data")
LAYOUTS = {"W-TALC": (data / "wtal/Thumos14reduced-Annotations", 200, 212),
           "BaS-Net": (data / "wtal/basnet_thumos14/gt.json", 200, 210)}
missing = [str(path) for path, _, _ in LAYOUTS.values() if not path.exists()]
if missing:
    print(f"skipped: there is no {', no '.join(missing)} (set TANDEM_TEST_DATA to the folder of test data)")
    sys.exit(77)


def run(program, *arguments):
    done = subprocess.run([programs / program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{program}: {done.stderr}"
    return done.stdout


for layout, (annotations, training, test) in LAYOUTS.items():
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(scratch)
        run("simulate_features", "--annotations", annotations, "--out", work / "sim", "--prompt-vectors", 2,
            "--i3d-width", 32, "--clip-width", 16)
        said = run("train_dcl", "--data", work / "sim", "--out", work / "run", "--prompt-vectors", 2, "--width", 32,
                   "--heads", 2, "--temporal-heads", 2, "--crop", 200, "--batch", 6, "--warm-up-steps", 40,
                   "--b-steps", 8, "--f-steps", 8, "--rounds", 1)
        assert f"{training} training videos" in said and f"{test} test videos" in said, said
        final = json.loads((work / "run/metrics.jsonl").read_text().splitlines()[-1])
        assert final["evaluation"] == "final", final
        detections = json.loads((work / "run/detections.json").read_text())
        found = sum(map(len, detections["results"].values()))
        assert found > 0 and len(detections["results"]) == test, f"{layout}: {found} detections"
        run("evaluate", "--ground-truth", annotations, "--detections", work / "run/detections.json", "--protocol",
            final["protocol"], "--subset", "test", "--json", work / "again.json")
        again = json.loads((work / "again.json").read_text())
        for name, value in final["average_map"].items():
            assert abs(again["averages"][name] - value) < 1e-12, f"{layout}: {name} {value}, evaluate {again['averages']}"
        assert final["average_map"]["0.1:0.7"] > 0, final
        print(f"{layout}: {training} and {test} videos, {found} detections, "
              f"mAP 0.1:0.7 {100 * final['average_map']['0.1:0.7']:.2f} % (simulated)")
