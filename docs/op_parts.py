"""What ops are made of, read from include/tandem/ops and kernels/: whether an op records its gradient itself or is composed
of others, which files of kernels/ it runs on a GPU with, and for which element types, there and on the CPU. For
make_math_index.py, which writes the pages.
"""

import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
TYPES = ("float", "double", "bfloat16", "int64", "int32", "uint8", "bool")
KERNELS_OF = {  # kernels/*.cu that are no op's: where they are called from
    "adam": "optim/adam.hpp",
    "clamped_bce": "wtal/rivals/losses.hpp",
    "clip_grad": "optim/clip_grad.hpp",
    "column_sums": "cpu/column_sums.hpp",
    "copy": "tensor/device_copy.hpp",
    "flow_planes": "i3d/preprocess.hpp",
    "graph": "cuda/graph.hpp",
    "gather_crops": "wtal/data/device_rows.hpp",
    "gray": "image/gray.hpp",
    "label_memory": "wtal/train/label_memory.hpp",
    "levels": "image/levels.hpp",
    "log_odds": "wtal/rivals/log_odds.hpp",
    "loss_fb": "wtal/train/contrast.hpp",
    "loss_kd": "wtal/train/losses.hpp",
    "memory": "tensor/device.hpp",
    "runtime": "tensor/device.hpp",
    "pseudo_labels": "wtal/train/pseudo_labels.hpp",
    "resize": "image/resize.hpp",
    "saved_gradient": "wtal/train/saved_gradient.hpp",
    "sgd": "optim/sgd.hpp",
    "topk_mean": "wtal/train/losses.hpp",
    "tvl1": "flow/tvl1.hpp",
}
# Ops that only move elements, by tensor/device_copy.hpp.
MOVES = {"cat": "copy", "pad": "copy", "repeat": "copy"}
# Ops that only make views.
VIEWS = {"chunk", "split"}
# Slots that stand for one function of each formula.
GENERIC = {"map_kernel", "compare_elements", "loss_forward", "loss_backward"}
CALL = re.compile(r"(?<![\w.>:~])((?:\w+::)*)(\w+)(?:<[^;(){}=]*>)?\(")
RECORDS = re.compile(r"saving_(?:input|output)<formula::|record(?:_list)?\(|RecordedOp")
RESULT = re.compile(r"Tensor<|Extremum<|Sorted<|TopK<")  # of what a part of an op gives


def type_name(text):
    """bfloat16 of tandem::bfloat16, int64 of std::int64_t."""
    return re.sub(r"^\w+::|_t$", "", text.strip())


def in_order(types):
    return tuple(t for t in TYPES if t in types)


@functools.lru_cache(maxsize=None)
def registered():
    """Slot or formula → (the file of kernels/, its element types)."""
    found = {}

    def add(name, file, types):
        found.setdefault(name, (file, set()))[1].update(type_name(t) for t in types)

    # What registers formulas for several types: bool register_maps() and its like.
    maps = {m[1]: re.findall(r"map_on_gpu<F(?:<[\w:]+>)?, ([\w:]+), N>", m[2]) for m in re.finditer(
        r"^bool (register_\w+)\(\) \{\n(.*?)^\}", (KERNELS / "map.cuh").read_text(), re.MULTILINE | re.DOTALL)}
    for path in sorted(KERNELS.glob("*.cu")):
        text = re.sub(r"//.*", "", path.read_text())
        for name, types in re.findall(r"TANDEM_KERNEL\((\w+),([^)]*)\)", text):
            add(name, path, types.split(","))
        for name, formulas in re.findall(r"\b(register_\w+)<\d, ([^()]*)>\(\)", text):
            for formula in formulas.split(","):
                add(alias(text, formula.strip()), path, maps[name])
        for formula, element in re.findall(r"&map_on_gpu<(\w+)[^,]*, ([\w:]+), \d>", text):
            add(formula, path, [element])
        # Functions of this file that register lists of formulas for a type, and what calls them.
        lists = {m[1]: m[2] for m in re.finditer(
            r"template <class T>\s*bool (register_\w+)\(\) \{\s*return register_\w+<T, ((?:[^()])*)>\(\)", text)}
        for name, arguments in re.findall(r"\b(register_\w+)<((?:[^<>()]|<[^<>()]*>)*)>\(\)", text):
            element, *formulas = [part.strip() for part in re.split(r",(?![^<]*>)", arguments)]
            if type_name(element) not in TYPES:
                continue
            if name in lists:
                formulas = lists[name].split(",")
            for formula in formulas:
                add(re.sub(r"<.*", "", formula.strip()), path, [element])
        if '"convert_elements"' in text:
            add("convert_elements", path, TYPES)
    return found


def alias(text, name):
    """The formula that `using AddRight = ScalarRight<Add, C>` names."""
    match = re.search(rf"using {name} = (\w+)<", text)
    return match[1] if match else name


def family(header):
    """The kind of an op that no list places: what it is made of says which."""
    included = set(re.findall(r'#include "tandem/([\w/]+)\.hpp"', header.text))
    if header.path.stem.endswith("_loss") or "ops/parts/loss_reduction" in included:
        return "losses"
    if any(name.startswith(("cpu/window", "cpu/gemm", "cpu/attention", "cpu/conv", "ops/parts/volume", "ops/matmul", "ops/linear",
                            "ops/conv", "ops/attention")) for name in included):
        return "products"
    if re.search(r"saving_(?:in|out)put<|detail::map\(", header.text):
        return "elementwise"
    if "const Tensor<std::int64_t>&" in header.text:
        return "indexing"
    return "reductions"


def list_of(words):
    """a, b and c"""
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


class Op:
    """One op: the functions that it consists of, down to those that record its gradient or are other ops."""

    def __init__(self, ops, name):
        self.ops, self.name, self.header = ops, name, ops.public[name]
        self.own = None  # (header, line) of what records the gradient, or the name of the gradient's formula
        self.parts, self.slots, self.formulas = [], [], []
        self.cpu_only = self.refuses = self.converts = self.widens = False
        self.walk()

    def walk(self):
        todo, seen = [(self.header, self.name)], set()
        while todo:
            header, name = todo.pop(0)
            if (header.path, name) in seen:
                continue
            seen.add((header.path, name))
            for _, start, body in header.named(name):
                self.look(header, name, start, body)
                for qualifier, callee in CALL.findall(body[body.index("("):]):
                    if qualifier not in ("", "detail::", "tandem::"):
                        continue
                    owner = self.ops.public.get(callee)
                    if owner and owner is not header and qualifier != "detail::":
                        if callee not in self.parts:
                            self.parts.append(callee)
                    elif home := self.ops.home(header, callee):
                        todo.append((home, callee))

    def look(self, header, name, start, body):
        for word in re.findall(r"formula::(\w+)", body):
            if word not in self.formulas:
                self.formulas.append(word)
        for word in re.findall(r"\b(\w+)(?:<[^<>;()]*>)?\b", body):
            if word in self.ops.slots and word not in self.slots:
                self.slots.append(word)
        # A check of every call, not of one branch.
        self.cpu_only |= name == self.name and re.search(r"^  (?:detail::)?require_cpu\(", body, re.MULTILINE) is not None
        self.refuses |= "refuse_grad" in body or ("refuse_grad" in " ".join(
            b for c in re.findall(r"\bdetail::(\w+)(?:<[^;()]*>)?\(", body) for h in self.ops.headers for _, _, b in h.named(c)))
        self.converts |= header is self.header and re.search(
            r"\bx?a?\.(?:detach\(\)\.)?(?:template )?to<(?:float|double|std::\w+)>\(\)", body) is not None
        self.widens |= header is self.header and re.search(r"require_kernels\([^;]*compute_t<T>", body) is not None
        if self.own is None:
            if gradient := re.search(r"saving_(?:input|output)<formula::(\w+)>|, formula::(\w+Gradient)<", body):
                self.own = gradient[1] or gradient[2]
            elif recorded := RECORDS.search(body):
                if "saving_" in name:  # of every elementwise op: its caller names the formula
                    return
                entry = re.search(r"\]\s*\(\s*const (?:Tensor|std::vector)", body[recorded.start():])
                self.own = header, start + body[:recorded.start() + (entry.start() if entry else 0)].count("\n")

    def composed(self):
        """The ops that it is made of, if it records nothing itself."""
        return [] if self.own or self.cpu_only else self.parts

    def kernels(self):
        """(file, element types) of the kernels that it starts itself."""
        names = [s for s in self.slots if self.ops.slots[s] not in GENERIC] or self.formulas
        return [registered()[n] for n in (self.ops.slots.get(name, name) for name in names) if n in registered()]

    def kernel_files(self):
        """The files of kernels/ that it needs; none where it runs on the CPU only."""
        if self.name in MOVES:
            return [KERNELS / f"{MOVES[self.name]}.cu"]
        if self.cpu_only:
            return []
        files = [file for file, _ in self.kernels()]
        # Of several, the one that is named after the op or its header: the others are of what it does beside its work.
        own = [f for f in files if f.stem in (self.name, self.header.path.stem)]
        if files:
            return (own or files)[:1]
        found = []
        for part in self.parts:
            below = self.ops[part].kernel_files()
            if not below:
                return []
            found += [f for f in below if f not in found]
        return found

    def cpu_types(self):
        """Of its first operand."""
        found = set()
        for _, _, head, parameters in self.ops.heads(self.header, self.name):
            if "T" not in re.findall(r"\w+", head.split(">")[0]):
                operand = re.search(r"Tensor<([\w:]+)>", parameters)
                found.update([type_name(operand[1])] if operand else [])
                continue
            types = set(TYPES)
            if re.search(r"\bArithmeticElement T\b", head):
                types -= {"bool"}
            if re.search(r"\bFloatingElement T\b", head):
                types = {"float", "double", "bfloat16"}
            if re.search(r"!std::is_same_v<T, bfloat16>", head):
                types -= {"bfloat16"}
            found |= types
        return in_order(found)

    def gpu_types(self):
        """Those of them that have kernels."""
        cpu = self.cpu_types()
        if self.name in MOVES or self.name in VIEWS:
            return cpu
        files = self.kernel_files()
        if not files:
            return ()
        if known := [types for file, types in self.kernels() if file in files]:
            types = set().union(*known)
        else:
            types = set(TYPES)
            for part in self.parts:  # what asks something of elements decides nothing about the result's type
                if not self.ops[part].answers():
                    types &= set(self.ops[part].gpu_types())
        if self.widens:  # bfloat16 is computed in float
            types |= {"bfloat16"}
        if self.converts:  # other types are computed in one of these
            types = set(cpu)
        return in_order(types & set(cpu))

    def answers(self):
        """Whether it gives bits for whatever it is given."""
        return any(body.lstrip().startswith(("Tensor<bool>", "inline Tensor<bool>", "requires(std::is_arithmetic_v<S>) Tensor<bool>"))
                   or re.search(r"\bTensor<bool>\s+\w+\($", body.split("const Tensor")[0])
                   for _, _, body in self.header.named(self.name)) and self.name != "any"


class Ops:
    """All of them. headers: those of ops/, then those of ops/parts/."""

    def __init__(self, headers, described):
        self.headers = headers
        self.public = {name: header for header in described for names, _ in header.entries for name in names}
        self.slots = {}  # variable → the name under which kernels register
        for path in sorted((ROOT / "include" / "tandem").rglob("*.hpp")):
            if path.parent.parts[-1] in ("ops", "parts", "autograd", "cpu"):
                for variable, name in re.findall(r'Kernel<void\(Queue&[^;]*?\)>\s+(\w+)\{[^"{};]*"(\w+)"', path.read_text()):
                    self.slots[variable] = name
        self.slots["map_kernel"] = "map_kernel"
        self.made = {}

    def __getitem__(self, name):
        if name not in self.made:
            self.made[name] = Op(self, name)
        return self.made[name]

    def home(self, header, name):
        """The header whose function `name` is a part of an op: it gives a tensor."""
        for other in [header, *self.headers]:
            if found := other.named(name):
                return other if any(RESULT.search(body.split("{")[0]) for _, _, body in found) else None
        return None

    @staticmethod
    def heads(header, name):
        """(name, line, what stands before its name, its parameters) of each overload."""
        for _, line, body in header.named(name):
            at = re.search(rf"\b{name}\(", body)
            above, lines = [], header.text.splitlines()[:line - 1]
            while lines and lines[-1].lstrip().startswith(("template", "requires")):
                above.insert(0, lines.pop())
            head = " ".join([*above, body[:at.start()] if at else ""])
            yield name, line, head, body[at.end():].split("{")[0] if at else body
