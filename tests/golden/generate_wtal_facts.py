"""Facts about the annotation folders of the field, read with NumPy's own pickle reader.

    python tests/golden/generate_wtal_facts.py ../shared/data/wtal > tests/golden/wtal_facts.json

Only counts and sums, so that the files themselves stay where they are. The tests compare them with
what tandem::wtal reads.
"""
import json
import pathlib
import sys

import numpy as np


def wtalc(folder):
    load = lambda name: np.load(folder / f"{name}.npy", allow_pickle=True, encoding="latin1")
    text = lambda name: [x.decode() for x in load(name)]
    classes, names, subsets = text("classlist"), text("videoname"), text("subset")
    segments, labels, labels_all = load("segments"), load("labels"), load("labels_all")
    durations = load("duration").ravel()
    ambiguous = [line.split() for line in (folder / "Ambiguous_test.txt").read_text().split("\n") if line.strip()]
    out = {"classes": classes, "videos": len(names), "duration_sum": float(durations.sum()), "subsets": {},
           "past_duration": sum(s[1] > d for v, d in zip(segments, durations) for s in v),
           "not_positive": sum(s[1] <= s[0] for v in segments for s in v),
           "disagreeing": sum(set(a) != set(b) for a, b in zip(labels, labels_all)),
           "unlabelled": [n for n, a in zip(names, labels_all) if len(a) == 0],
           "ambiguous": len([a for a in ambiguous if a[0] in set(names)])}
    for subset in sorted(set(subsets)):
        rows = [i for i, s in enumerate(subsets) if s == subset]
        count = [0] * len(classes)
        video_count = [0] * len(classes)
        for i in rows:
            for name in labels[i]:
                count[classes.index(name)] += 1
            for name in labels_all[i]:
                video_count[classes.index(name)] += 1
        out["subsets"][subset] = {
            "videos": len(rows), "first": names[rows[0]], "last": names[rows[-1]],
            "instances": count, "video_labels": video_count,
            # In file order, so that a reader in the same order gets the same rounding.
            "start_sum": sum((float(s[0]) for i in rows for s in segments[i]), 0.0),
            "end_sum": sum((float(s[1]) for i in rows for s in segments[i]), 0.0)}
    return out


def basnet(folder):
    database = json.loads((folder / "gt.json").read_text())["database"]
    out = {"videos": len(database), "subsets": {}}
    for subset in ("train", "test"):
        rows = [v for v in database.values() if v["subset"] == subset]
        out["subsets"][subset] = {
            "videos": len(rows), "instances": sum(len(v["annotations"]) for v in rows),
            "start_sum": sum((float(a["segment"][0]) for v in rows for a in v["annotations"]), 0.0),
            "end_sum": sum((float(a["segment"][1]) for v in rows for a in v["annotations"]), 0.0)}
    return out


def main():
    root = pathlib.Path(sys.argv[1])
    facts = {"provenance": {"generator": "tests/golden/generate_wtal_facts.py", "numpy": np.__version__,
                            "python": sys.version.split()[0]},
             "thumos14": wtalc(root / "Thumos14reduced-Annotations"),
             "activitynet12": wtalc(root / "ActivityNet1.2-Annotations"),
             "basnet": basnet(root / "basnet_thumos14")}
    for name in ("thumos14", "activitynet12"):
        facts[name]["past_duration"] = int(facts[name]["past_duration"])
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
