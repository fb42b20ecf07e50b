"""What the tests compare of the files of a run of train_dcl: everything but the times."""
import re

TIMES = re.compile(rb',"(?:frames_per_second|seconds|time)":(?:"[^"]*"|[^,}]*)')


def untimed(lines):
    """metrics.jsonl without what two equal runs may differ in."""
    return TIMES.sub(b"", lines)


def content(path):
    data = path.read_bytes()
    return untimed(data) if path.name == "metrics.jsonl" else data
