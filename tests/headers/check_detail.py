#!/usr/bin/env python3
"""What stands in a namespace detail, or …_detail, is used in its own room of include/tandem only, save what OFFERED lists: the
interface between the layers, which docs/architecture.md speaks of. Programs, sources and kernels are held to the same;
tests and benchmarks look where they must. usage: check_detail.py

A name is a use where it is written after detail::, and, inside a namespace detail, where it stands bare."""

import collections
import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include" / "tandem"
# Header → the names of its detail that other rooms may use.
OFFERED = {
    # What a tensor is made of, and the questions at a door.
    "tensor/absent.hpp": "Absent fail_absent require_defined require_given_or_none",
    "tensor/copy.hpp": "convert_element strided_copy",
    "tensor/device.hpp": "require_own_version",
    "tensor/dtype.hpp": "compute_t sum_t",
    "tensor/error.hpp": "module_path",
    "tensor/loop.hpp": "IndexedLoop Loop broadcast_strides make_loop",
    "tensor/overlap.hpp": "may_share_memory reach_of",
    "tensor/place.hpp": "TensorPlace",
    "tensor/restore.hpp": "AtExit Restore",
    "tensor/scalar.hpp": "above_largest holds scalar_element scalar_value",
    "tensor/view.hpp": "apply_view reshape_strides",
    # What sums and conversions of gradients share with the ops of that name.
    "autograd/accumulate.hpp": "convert_elements converted",
    # Kernels register themselves; the memory of the device counts who waits.
    "cuda/kernel.hpp": "register_kernel",
    "cuda/queue.hpp": "wait_counter",
    # Loops of the CPU that several ops share.
    "cpu/attention_problem.hpp": "AttentionProblem HeadView",
    "cpu/attention_product.hpp": "LeftTile TileProduct",
    "cpu/attention_tiles.hpp": "HeadMatrix RowSet TileMemory Visible copy_rows scatter_rows",
    "cpu/channel_sums.hpp": "channel_sums",
    "cpu/column_sums.hpp": "column_sums column_sums_kernel column_sums_on_cpu",
    "cpu/conv3d_loops.hpp": "ConvShape conv_forward conv_forward_tiles conv_input_gradient conv_weight_gradient",
    "cpu/dim_split.hpp": "DimSplit grain_for split_at",
    "cpu/pool3d_rows.hpp": "TapRange each_plane padded_volume pool_row pool_window pooled_shape require_pool",
    "cpu/sum.hpp": "SumDense",
    "cpu/window3d.hpp": "Window3d WindowAxis as_volume require_window window3d",
    # What several ops are made of.
    "ops/parts/common.hpp":
        "element_types_differ_convert_one ids_are_int64_convert_by_to_int64 require_cpu require_each_defined "
        "require_kernels require_same_device these_are_not_floats_convert_by_to_float",
    "ops/parts/elementwise.hpp":
        "copy_into each_element each_into elementwise_loop map map_into require_map saving_input saving_output",
    "ops/parts/extremum.hpp": "extremum find_extremum",
    "ops/parts/volume.hpp": "from_volume to_volume",
    "ops/parts/loss_reduction.hpp":
        "loss_backward loss_forward reduction_scale require_same_shape",
    # For nn/weight.hpp, i3d/inference.hpp, optim/optimizer.hpp, both preprocess.hpp and the kernels of pictures.
    "ops/linear_bf16.hpp": "rounded_rows",
    "ops/max_pool3d.hpp": "MaxPoolPlane",
    "nn/module.hpp": "copy_all",
    "i3d/flow_axis.hpp": "FlowAxis FlowJob",
    "image/gray.hpp": "gray_level",
    "image/levels.hpp": "ByteLevels BytePlanes byte_planes",
    "image/resize_axis.hpp": "ResizeAxis ResizeJob ResizeTaps resize_bits resize_half",
    "image/resize_and_crop.hpp": "crop_axis",
    # Files that are opened by hand.
    "io/file.hpp": "Descriptor is_named kind_name system_message",
}
NO_NAME = {"void", "bool", "int", "static_assert", "operator"}  # what stands before "(" and is no name


def code(path):
    """A source without comments, texts and directives."""
    text = path.read_text()
    text = re.sub(r'R"(\w*)\((?:.|\n)*?\)\1"', '""', text)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"'(?:\\.|[^'\\\n])'", "' '", text)
    text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", "", text, flags=re.M)
    return text.replace("TANDEM_NAMESPACE_BEGIN", "namespace tandem {").replace("TANDEM_NAMESPACE_END", "}")


def namespaces(text):
    """Of each block of a namespace: its path, where its inside begins and ends."""
    open_blocks, found = [], []
    for m in re.finditer(r"(?:inline\s+)?namespace\s*([\w:]*)\s*\{|\{|\}", text):
        if m[0] != "}":
            open_blocks.append((m[1], m.end()))
        elif open_blocks:
            name, begin = open_blocks.pop()
            if name is not None:
                path = "::".join([outer for outer, _ in open_blocks if outer] + [name])
                found.append((path, begin, m.start()))
    return found


def is_private(part):
    """detail, and what several of them in one room are told apart by: gemm_detail, conv3d_detail."""
    return part == "detail" or part.endswith("_detail")


def is_detail(path):
    return any(is_private(part) for part in path.split("::"))


def declared(body):
    """The names that a namespace's inside declares."""
    flat, depth = [], 0
    for c in body:
        depth -= c == "}"
        if depth == 0:
            flat.append("{}" if c == "{" else c if c != "}" else "")
        depth += c == "{"
    names = set()
    for text in re.split(r";|\{\}", "".join(flat)):
        while (shorter := re.sub(r"<[^<>]*>", " ", text)) != text:
            text = shorter
        text = re.sub(r"\brequires\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", " ", text)
        text = re.sub(r"\(\s*\*\s*(\w+)", r"\1(", text)  # a function that returns a function
        text = re.sub(r"\btemplate\b|\[\[[^\]]*\]\]|alignas\s*\([^)]*\)|decltype\s*\([^)]*\)|__\w+__\s*\(\(.*?\)\)", " ", text)
        text = text.strip()
        kind = re.match(r"(?:struct|class|enum\s+class|enum|union|concept|using)\s+(?:TANDEM_\w+(?:\([^)]*\))?\s+)?(\w+)", text)
        head = re.split(r"[(=\[]", text)[0].split()
        name = kind[1] if kind else head[-1] if head and re.fullmatch(r"\w+", head[-1]) else None
        if name and name not in NO_NAME and not name.startswith("TANDEM_"):
            names.add(name)
    return names


def room(path):
    inside = INCLUDE in path.parents
    return path.relative_to(INCLUDE).parent.as_posix() if inside else path.relative_to(ROOT).parts[0]


def main():
    sources = {path: code(path) for path in sorted(INCLUDE.rglob("*.hpp"))}
    homes = collections.defaultdict(lambda: collections.defaultdict(set))  # detail → name → its headers
    for path, text in sources.items():
        for space, begin, end in namespaces(text):
            if is_detail(space):
                for name in declared(text[begin:end]):
                    homes[space][name].add(path)
    wrong, used = [], set()

    def meet(path, headers, name):
        if any(room(header) == room(path) for header in headers):
            return
        offering = {h.relative_to(INCLUDE).as_posix() for h in headers} & set(OFFERED)
        for header in offering:
            if name in OFFERED[header].split():
                used.add((header, name))
                return
        owner = min(h.relative_to(INCLUDE).as_posix() for h in headers)
        wrong.append(f"{path.relative_to(ROOT)} uses {name} of the detail in {owner}, which offers it to no other room")

    for pattern in ("src/*.?pp", "examples/**/*.?pp", "kernels/*.cu*"):
        sources.update({path: code(path) for path in sorted(ROOT.glob(pattern))})
    for path, text in sources.items():
        spaces = namespaces(text)
        for m in re.finditer(r"(?:\b\w+\s*::\s*)*\b(?:\w+_)?detail\s*::\s*\w+(?:\s*::\s*\w+)*", text):
            # The innermost detail that can be seen from here and has the name.
            around = max((s for s, begin, end in spaces if begin <= m.start() < end), key=len, default="")
            parts = list(itertools.takewhile(lambda part: not is_private(part), around.split("::")))
            chain = [part for part in re.sub(r"\s", "", m[0]).split("::") if part != "tandem"]
            first = next(i for i, part in enumerate(chain) if is_private(part))
            if parts[:1] != ["tandem"]:
                parts = ["tandem", "wtal"]  # programs use both namespaces
            for at, count in itertools.product(range(len(chain) - 1, first, -1), range(len(parts), 0, -1)):
                space, name = "::".join([*parts[:count], *chain[:at]]), chain[at]
                if name in homes.get(space, {}):
                    meet(path, homes[space][name], name)
                    break
        for space, begin, end in spaces:
            if is_detail(space):
                for name in set(re.findall(r"(?<![\w.>:])\w+\b(?=\s*[(<{:*&]|\s+\w)", text[begin:end])):
                    if name in homes.get(space, {}):
                        meet(path, homes[space][name], name)
    for header, names in OFFERED.items():
        wrong += [f"{header} offers {name}, which no other room uses" for name in names.split() if (header, name) not in used]
    if wrong:
        sys.exit("\n".join(sorted(set(wrong))))
    print(f"{len(used)} names of {len(OFFERED)} headers are used in other rooms, as offered")


if __name__ == "__main__":
    main()
