#!/usr/bin/env python3
"""Writes docs/api: what every public header declares, with the `///` comments on it, a page for each room or group of
headers. `--site FOLDER` also makes plain HTML of the pages, with a box that finds names. `--check` writes nothing and fails
when a page is stale, a public name has no comment, an op or a module has no example, an example is not shown, a header is on
no page, or a link leads nowhere.

Public is what stands outside of private namespaces (detail, …_detail) and private sections. A name without a comment of its
own has its group's: that of the declaration right above it, without an empty line between; that of an overload; that of its
class or header where it names it; what a function overrides is described there. Constructors are described with their class.
"""

import argparse
import pathlib
import re
import sys
import textwrap

import api_site
import cpp_comments
import make_math_index
import op_parts

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" / "tandem"
OUT = ROOT / "docs" / "api"
WIDTH = 116

# Page → title, what it is, its headers ("name.hpp: A, B" takes these names only).
PAGES = {
    "tensor": ("Tensors and views", "What a tensor is, its shape, views and elements.", """tensor/tensor.hpp tensor/shape.hpp
        tensor/view.hpp tensor/dtype.hpp tensor/print.hpp"""),
    "factories": ("Factories and random numbers", "Tensors from nothing, from values and from a seed.", """tensor/factory.hpp
        tensor/random.hpp"""),
    "memory": ("Devices, memory and errors", "Where tensors lie, who shares what, and how faults are told.",
               """tensor/device.hpp tensor/storage.hpp tensor/allocator.hpp tensor/ref.hpp tensor/error.hpp tensor/finite.hpp
               tensor/suggest.hpp"""),
    "ops_elementwise": ("Ops: elementwise", "One element in, one element out.", """ops/arithmetic.hpp ops/abs.hpp ops/clamp.hpp
        ops/exp.hpp ops/log.hpp ops/pow.hpp ops/sqrt.hpp ops/square.hpp ops/gelu.hpp ops/quick_gelu.hpp ops/relu.hpp
        ops/sigmoid.hpp ops/softplus.hpp ops/tanh.hpp ops/silu.hpp ops/leaky_relu.hpp ops/sin.hpp ops/log1p.hpp ops/rsqrt.hpp
        ops/maximum.hpp ops/remainder.hpp ops/dropout.hpp ops/compare.hpp ops/isnan.hpp ops/allclose.hpp ops/where.hpp
        ops/masked_fill.hpp ops/to.hpp formula/activation.hpp:Activation ops/parts/elementwise.hpp"""),
    "ops_reductions": ("Ops: reductions and normalization", "Sums, extrema, softmax and norms along dimensions.",
                       """ops/sum.hpp ops/mean.hpp ops/var.hpp ops/norm.hpp ops/prod.hpp ops/max.hpp ops/min.hpp
        ops/parts/extremum.hpp ops/argmax.hpp ops/any.hpp ops/topk.hpp ops/sort.hpp ops/cumsum.hpp ops/logsumexp.hpp ops/softmax.hpp ops/normalize.hpp ops/layer_norm.hpp
        ops/batch_norm.hpp ops/group_norm.hpp ops/rms_norm.hpp         ops/fold_batch_norm.hpp"""),
    "ops_indexing": ("Ops: joining and indexing", "Elements chosen, moved and put together.", """ops/cat.hpp ops/stack.hpp
        ops/split.hpp ops/pad.hpp ops/repeat.hpp ops/flip.hpp ops/roll.hpp ops/tril.hpp ops/gather.hpp ops/scatter_add.hpp
        ops/index_select.hpp ops/embedding.hpp ops/one_hot.hpp ops/nonzero.hpp ops/multinomial.hpp"""),
    "ops_products": ("Ops: products, attention, convolution, pooling", "Matrix products and what is made of windows.",
                     """ops/matmul.hpp ops/linear.hpp ops/linear_packed.hpp ops/linear_bf16.hpp ops/attention.hpp
        ops/biased_attention.hpp ops/rotary.hpp
        ops/conv1d.hpp ops/conv2d.hpp ops/conv3d.hpp
        ops/max_pool1d.hpp ops/max_pool2d.hpp ops/max_pool3d.hpp ops/avg_pool1d.hpp ops/avg_pool2d.hpp
        ops/avg_pool3d.hpp ops/interpolate.hpp cpu/window3d.hpp"""),
    "ops_losses": ("Ops: losses", "What is minimized.", """ops/cross_entropy.hpp ops/nll_loss.hpp
        ops/bce_with_logits.hpp ops/kl_div.hpp ops/mse.hpp ops/l1_loss.hpp ops/huber_loss.hpp ops/cosine_similarity.hpp
        formula/losses.hpp:Reduction"""),
    "autograd": ("Autograd", "Gradients: recorded, run backward, checked.", """autograd/record.hpp autograd/backward.hpp
        autograd/gradcheck.hpp autograd/node.hpp autograd/accumulate.hpp tensor/grad_node.hpp"""),
    "extend": ("Ops of one's own", "What an op outside of the library is made of (`examples/custom_op.cpp`).", "extend.hpp"),
    "exchange": ("Exchange with other libraries", "Tensors to and from NumPy, PyTorch, JAX … without a copy.", "tensor/dlpack.hpp"),
    "nn": ("nn: modules", "Layers with named parameters.", """nn/module.hpp nn/state_dict.hpp nn/linear.hpp nn/embedding.hpp nn/layer_norm.hpp
        nn/batch_norm.hpp nn/group_norm.hpp nn/rms_norm.hpp
        nn/conv1d.hpp nn/conv2d.hpp nn/conv3d.hpp nn/pool1d.hpp nn/pool2d.hpp nn/pool3d.hpp
        nn/dropout.hpp nn/attention.hpp nn/transformer.hpp nn/sequential.hpp
        nn/init.hpp nn/positions.hpp nn/packed_rows.hpp nn/weight.hpp nn/matrix.hpp"""),
    "optim": ("optim: optimizers", "SGD, Adam, AdamW, schedules, averages, clipping.", """optim/optimizer.hpp optim/sgd.hpp optim/adam.hpp
        optim/parameters.hpp optim/schedule.hpp optim/ema.hpp optim/clip_grad.hpp"""),
    "cpu": ("Threads, precision and instruction sets", "How the CPU computes, and what a program may choose.",
            """cpu/threads.hpp cpu/precision.hpp cpu/isa.hpp cpu/pipeline.hpp"""),
    "cuda": ("CUDA: queues, graphs, memory", "What a program with a GPU may say (`docs/cuda.md`).",
             """cuda/queue.hpp cuda/graph.hpp cuda/memory.hpp cuda/host_copy.hpp"""),
    "io": ("io: tensors in files", "safetensors, checkpoints, npy, npz, pickled arrays.", """io/safetensors.hpp io/checkpoint.hpp
        io/npy.hpp io/npz.hpp io/array.hpp io/nested.hpp io/pickle.hpp io/pickle_writer.hpp io/filler.hpp"""),
    "io_files": ("io: JSON, text and files", "What the other formats are read with.", """io/json.hpp io/json_reader.hpp
        io/file.hpp io/file_record.hpp io/lock.hpp io/gzip.hpp io/inflate.hpp io/checksum.hpp io/mapped_ranges.hpp io/utf8.hpp
        io/known_format.hpp"""),
    "image": ("Images and videos", "Reading, writing, resizing.", """image/image.hpp image/resize.hpp image/resize_axis.hpp image/resize_and_crop.hpp
        image/gray.hpp image/video.hpp image/video_writer.hpp"""),
    "flow": ("Optical flow", "TV-L1, formula by formula (`docs/flow.md`).", """flow/tvl1.hpp flow/tvl1_options.hpp flow/flo.hpp flow/color.hpp"""),
    "clip": ("CLIP", "Both encoders, the tokenizer, weights.", """clip/load.hpp clip/image_encoder.hpp clip/captured_encoder.hpp clip/text_encoder.hpp
        clip/captured_text_encoder.hpp         clip/transformer.hpp clip/preprocess.hpp clip/tokenizer.hpp clip/class_names.hpp clip/weights.hpp"""),
    "i3d": ("I3D", "Inception-v1 inflated (`docs/i3d.md`).", """i3d/load.hpp i3d/inception.hpp i3d/inference.hpp i3d/config.hpp
        i3d/preprocess.hpp"""),
    "features": ("Features of videos", "From videos to rows (`docs/features.md`).", """features/extraction.hpp
        features/feature_folder.hpp features/snippets.hpp features/video_features.hpp features/provenance.hpp"""),
    "wtal_data": ("wtal: data", "Annotations, feature rows, batches.", """wtal/data/types.hpp wtal/data/annotations.hpp
        wtal/data/datasets.hpp wtal/data/wtalc.hpp wtal/data/ground_truth_json.hpp wtal/data/detections_json.hpp
        wtal/data/features.hpp wtal/data/row_lengths.hpp wtal/data/batch.hpp wtal/data/device_rows.hpp wtal/data/fingerprint.hpp
        wtal/data/foreground_rows.hpp wtal/data/simulate.hpp wtal/data/text_files.hpp"""),
    "wtal_train": ("wtal: model and training", "The two branches and how they teach each other (`docs/method.md`).",
                   """wtal/model/branches.hpp wtal/model/prompts.hpp wtal/train/trainer.hpp wtal/train/trainer_options.hpp
        wtal/train/teaching_options.hpp wtal/train/step_report.hpp wtal/train/losses.hpp wtal/train/contrast.hpp
        wtal/train/pseudo_labels.hpp wtal/train/label_memory.hpp wtal/train/oracle_labels.hpp
        wtal/train/captured_steps.hpp wtal/train/self_teacher.hpp wtal/train/background_class.hpp wtal/train/training_sampler.hpp"""),
    "wtal_methods": ("wtal: other methods", "Other methods in CBP's place, and what they are made of (`docs/adding_a_method.md`).",
                     """wtal/model/basnet.hpp wtal/model/co2.hpp wtal/model/um.hpp wtal/model/wtalc.hpp wtal/model/tsm.hpp
        wtal/rivals/boosting_tsm.hpp wtal/rivals/boosting_vlc.hpp wtal/train/boosting_trainer.hpp wtal/data/glove.hpp wtal/rivals/cross_modal.hpp
        wtal/rivals/co2_loss.hpp wtal/rivals/text_positions.hpp wtal/rivals/temporal_conv.hpp wtal/rivals/lengths.hpp
        wtal/rivals/dropout.hpp wtal/rivals/sampling.hpp wtal/rivals/losses.hpp wtal/rivals/log_odds.hpp
        wtal/rivals/proposals.hpp"""),
    "wtal_detect": ("wtal: detection and evaluation", "From frame scores to detections, and their mAP.",
                    """wtal/detect/inference.hpp wtal/detect/localization.hpp wtal/detect/nms.hpp wtal/detect/evaluation.hpp
        wtal/detect/matching.hpp wtal/detect/wtalc_evaluation.hpp wtal/detect/false_positives.hpp wtal/detect/pseudo_label_quality.hpp
        wtal/detect/label_census.hpp"""),
}
# Where an op stands that none of them names: by what it is made of.
PAGE_OF = {"elementwise": "ops_elementwise", "indexing": "ops_indexing", "losses": "ops_losses", "products": "ops_products",
           "reductions": "ops_reductions"}
NAMED = {entry for _, _, headers in PAGES.values() for entry in headers.split()}
for path in sorted((HEADERS / "ops").glob("*.hpp")):
    if f"ops/{path.name}" not in NAMED:
        stem = PAGE_OF[op_parts.family(make_math_index.Header(path))]
        PAGES[stem] = (*PAGES[stem][:2], f"{PAGES[stem][2]} ops/{path.name}")
ROOMS = [("Tensor and views", ["tensor"]), ("Factories and random", ["factories"]), ("Devices, memory, errors", ["memory"]),
         ("Ops by kind", ["ops_elementwise", "ops_reductions", "ops_indexing", "ops_products", "ops_losses"]),
         ("Autograd", ["autograd"]), ("Ops of one's own", ["extend"]), ("Exchange", ["exchange"]), ("nn", ["nn"]), ("optim", ["optim"]), ("CPU and CUDA", ["cpu", "cuda"]),
         ("io", ["io", "io_files"]), ("image", ["image"]), ("clip", ["clip"]), ("i3d", ["i3d"]), ("flow", ["flow"]),
         ("features", ["features"]), ("wtal", ["wtal_data", "wtal_train", "wtal_methods", "wtal_detect"])]
# Headers that users do not include: what the public ones are made of.
PARTS = re.compile(r"""[a-z]+\.hpp|formula/.*|ops/parts/(?:common|loss_reduction|volume)\.hpp|cuda/(?:kernel|launch)\.hpp
    |cpu/(?:attention|channel_sums|column_sums|conv3d|convert|dim_split|epilogue|finite|gemm|map|pool3d|simd|sum|transpose|vmath).*
    |tensor/(?:absent|arena|config|copy|device_copy|loop|overlap|place|restore|scalar)\.hpp
    |io/pickle_(?:machine|opcodes)\.hpp|flow/(?:bands|median|median_network|planes|pyramid|tvl1_sweep|warp)\.hpp
    |image/levels\.hpp|clip/(?:captured_forwards|config_rules|fix_text|html|html_entities|hugging_face_names|normalization|normalization_tables|text_tables
    |unicode|unicode_tables)\.hpp|i3d/(?:flow_axis|neighbour_max)\.hpp|wtal/train/saved_gradient\.hpp
    |features/(?:device_frames|extraction_frame|flow_stage|frame_source|row_assembler)\.hpp""", re.X)


def names_it(lines, name):
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", " ".join(lines)) is not None


# --- comments and code as Markdown ---

def escaped(text):
    """Prose as Markdown: what stands between backquotes is code, between double stars strong, all else is as written."""
    parts = re.split(r"(`[^`]+`|\*\*\w[^*`]*\*\*)", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([\\<*|~]|(?<!\w)_|_(?!\w)|`|\](?=\())", r"\\\1", parts[i])
    return "".join(parts)


def paragraph(lines):
    text = escaped(re.sub(r"\s{2,}", " ", " ".join(line.strip() for line in lines)))
    text = re.sub(r"^([-+#>]|\d+[.)])(?=\s)", r"\\\1", text)
    out = []
    for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False):
        if out and re.match(r"(?:[-+#>=|]|\d+[.)])", line):  # would begin a list or a heading
            out[-1] += " " + line
        else:
            out.append(line)
    return out


def is_example(line):
    """Whether a line of a comment is code: it ends as code does, or a remark follows."""
    code = re.sub(r"\s*//.*", "", line).rstrip()
    remarked = re.search(r"\)\s{2,}// (?:\w|→ )", line) is not None
    if line.lstrip().startswith('{"'):  # JSON
        return False
    return (remarked or code.endswith((";", "{", "}"))) and not re.search(r"[→·−Σ∂]", code)


def is_code(block):
    """Whether an indented block of a comment is code: at least half of its lines are."""
    return not block[0].lstrip().startswith(('{"', "[json]")) and 2 * sum(is_example(line) for line in block) >= len(block)


def code_blocks(path):
    """(first line, lines) of every block of code in the comments of a header."""
    comment = []
    for number, line in enumerate(path.read_text().split("\n") + [""], 1):
        text = line.strip()
        if text.startswith("///") and not text.startswith("///<"):
            comment.append((number, text[4:]))
            continue
        block = []
        for at, body in comment + [(0, "")]:
            if body.startswith("  ") and not re.fullmatch(r"\[[^\[\]]*\]", body.strip()):
                block.append((at, body))
                continue
            if block and is_code([b for _, b in block]):
                yield block[0][0], [b for _, b in block]
            block = []
        comment = []


def markdown(doc):
    """A comment: prose as paragraphs, what is indented as it stands."""
    out, prose, block = [], [], []

    def flush():
        if prose:
            out.extend(paragraph(prose) + [""])
        while block and not block[-1].strip():
            block.pop()
        if block:
            kind = "cpp" if is_code(block) else "text"
            indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
            out.extend([f"```{kind}", *(line[indent:] for line in block), "```", ""])
        prose.clear()
        block.clear()

    for line in (line[1:] if line.startswith(" ") else line for line in doc):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            flush()
        elif indent >= 2 and re.fullmatch(r"\[[^\[\]]*\]", line.strip()) and (prose or block):  # a source, set to the right
            if prose:
                prose.append(line.strip())
            else:
                block[-1] += "   " + line.strip()
        elif indent >= 2:
            if prose:
                flush()
            block.append(line)
        else:
            if block:
                flush()
            prose.append(line)
    flush()
    return out[:-1]


def behind(text, opening):
    """The index behind the bracket that closes the one at `opening`."""
    pairs = {"<": ">", "(": ")"}
    depth, close = 0, pairs[text[opening]]
    for i in range(opening, len(text)):
        depth += (text[i] == text[opening]) - (text[i] == close and text[i - 1] != "-")
        if depth == 0:
            return i + 1
    return len(text)


def signature(text, indent=""):
    """A declaration, its template and its requirement on lines of their own."""
    lines = []
    text = re.sub(r"^inline ", "", text)
    text = re.sub(r"(?:, |(?<=\())Needs(?:Autograd|To) = \{\}", "", text)  # says which header to include: no argument
    while text.startswith("template <"):
        end = behind(text, text.index("<"))
        lines.append(text[:end])
        text = text[end:].strip()
    if text.startswith("requires("):
        end = behind(text, text.index("("))
        lines.append(text[:end])
        text = text[end:].strip()
    text = re.sub(r"^(?:inline|TANDEM_\w+) ", "", text)
    text = re.sub(r"\boperator ([^\w\s]+)\(", r"operator\1(", text)
    while len(text) > 96 and (cut := text.rfind(", ", 0, 96)) > 20:
        lines.append(text[:cut + 1])
        text = "    " + text[cut + 2:]
    return [indent + line for line in lines + [text + ";"]]


def remark(doc, indent):
    """A comment as it stands above a member in code."""
    text = re.sub(r"\s{2,}", " ", " ".join(line.strip() for line in doc))
    return [f"{indent}// {line}" for line in textwrap.wrap(text, 94, break_long_words=False, break_on_hyphens=False)]


def field(member):
    """A data member with its comment, beside it where there is room."""
    lines = signature(member.signature, "  ")
    text = " ".join(line.strip() for line in member.doc)
    if not text:
        return lines
    if len(lines) == 1 and len(lines[0]) + len(text) < 94 and len(member.doc) == 1:
        return [f"{lines[0]}  // {text}"]
    return remark(member.doc, "  ") + lines


def enumerators(enum, indent="  "):
    body = re.sub(r"///<?", "//", enum.raw)
    lines = [line.rstrip() for line in textwrap.dedent(body.strip("\n")).strip().split("\n")]
    if len(lines) == 1:
        return [f"{indent}{lines[0]}"]
    return [f"{indent}{line.strip()}" if line.strip() else "" for line in lines]


def enum_code(enum, indent=""):
    body = enumerators(enum)
    if len(body) == 1:
        return [f"{indent}{enum.signature} {{ {body[0].strip()} }};"]
    return [f"{indent}{enum.signature} {{", *(indent + line for line in body), f"{indent}}};"]


# --- headers ---

def is_special(member, owner):
    """What every class has: copying, moving, ending; nothing is said of it unless it has a comment."""
    if member.name.startswith("~") or "= delete" in member.signature or "= default" in member.signature:
        return True
    copies = re.search(rf"\((?:const )?{owner.name}(?:<\w+>)? ?&&?", member.signature)
    return member.name in (owner.name, "operator=") and copies is not None


def overrides(member):
    return re.search(r"\) (?:const )?(?:noexcept )?(?:override|final)$", member.signature) is not None


def groups(members):
    """Declarations that share a comment: [[first, those right under it…], …]."""
    out = []
    for member in members:
        same_kind = out and (member.kind == "variable") == (out[-1][0].kind == "variable")
        if member.joined and same_kind and not overrides(member):
            out[-1].append(member)
        else:
            out.append([member])
    return out


class Page:
    def __init__(self, stem):
        self.stem, (self.title, self.what, headers) = stem, PAGES[stem]
        self.lines = [f"# {self.title}", "", escaped(self.what), "", "[All pages](README.md)", ""]
        self.slugs, self.names, self.tops, self.missing = {}, [], [], []
        for header in headers.replace(", ", ",").split():
            name, _, only = header.partition(":")
            self.header(name, only.split(",") if only else None)

    def heading(self, level, text, names):
        """A heading; `names` are found under it."""
        self.lines += [f"{'#' * level} {text}", ""]
        slug = api_site.slug_of(text, self.slugs)
        self.names += [(name, slug) for name in names]
        if level == 3:
            self.tops += [(name, slug) for name in names]

    def code(self, lines):
        self.lines += ["```cpp", *lines, "```", ""]

    def note_missing(self, header, name):
        self.missing.append(f"include/tandem/{header}: {name} has no comment of its own or of its group")

    def header(self, name, only):
        read = cpp_comments.header_of(HEADERS / name, name)
        self.missing += [f"include/tandem/{name}:{line}: the comment above belongs to nothing, so it is not shown"
                         for line, _ in read.orphans if only is None]
        found = [d for d in read.found if only is None or d.name in only]
        for d in found:
            d.members = [m for m in d.members if not (m.kind == "alias" and "= detail::include_" in m.signature)]
        for doc in read.qualified:  # a member's comment may stand at its definition
            for owner in (d for d in found if d.kind == "class"):
                for member in owner.members:
                    if member.name == doc.name and not member.doc:
                        member.doc = doc.doc
        self.heading(2, f"`tandem/{name}`", [])
        if only is None:
            self.lines += markdown(read.doc) + [""]
        functions, order = {}, []
        for group in groups(found):
            first = group[0]
            order += [(d, first.doc) for d in group if d.kind in ("class", "enum")]
            rest = [d for d in group if d.kind not in ("class", "enum")]
            if rest:
                self.group(rest, first.doc, read.doc, functions)
                order += [key for key in functions if key not in order]
        for entry in order:  # as in the header; an overload stands with the first
            if isinstance(entry[0], cpp_comments.Declaration):
                self.type(entry[0], read.doc, entry[1])
                continue
            titles, doc = entry
            self.heading(3, ", ".join(f"`{t}`" for t in titles), titles)
            self.code([line for d in functions[entry] for line in signature(d.signature)])
            self.lines += markdown(doc.split("\n")) + [""] if doc else []
        if name == "extend.hpp":
            self.borrowed(name)

    def borrowed(self, name):
        """What `using detail::…` of a header makes public: signatures and comments stand where it is declared."""
        text = (HEADERS / name).read_text()
        wanted = re.findall(r"^using (?:detail|formula|autograd|cpu|tandem)::(\w+);", text, re.M)
        read = [cpp_comments.header_of(HEADERS / part, part, private=True)
                for part in re.findall(r'#include "tandem/([\w/]+\.hpp)"', text) +
                ["tensor/absent.hpp", "autograd/accumulate.hpp", "cuda/queue.hpp"]]
        for word in wanted:
            found = [(r, d) for r in read for d in r.found if d.name == word and d.doc]
            title = f"extend::{word}"
            opened = [r.doc for r in read if r.doc and r.doc[0].startswith(f" {word}: ")]  # what a header begins with
            if not found and not opened:
                self.note_missing(name, title)
                continue
            self.heading(3, f"`{title}`", [title])
            if not found:
                self.lines += markdown(opened[0]) + [""]
                continue
            self.code([line for _, d in found for line in signature(d.signature)])
            for _, d in found:
                self.lines += markdown(d.doc) + [""]

    def group(self, declarations, doc, header_doc, functions):
        """Functions and other names that share a comment; overloads without one go to those that have one."""
        titles = []
        for d in declarations:
            if d.title() not in titles:
                titles.append(d.title())
        if not doc:
            for d in declarations:
                base = next((key for key in functions if d.title() in key[0]), None)
                if base is not None:
                    functions[base].append(d)
                    continue
                if not names_it(header_doc, d.name) and not self.operator_of_header(d, header_doc):
                    self.note_missing(d.header, d.title())
                functions[((d.title(),), "")] = [d]
            return
        functions[(tuple(titles), "\n".join(doc))] = list(declarations)

    @staticmethod
    def operator_of_header(declaration, header_doc):
        sign = declaration.name.removeprefix("operator")
        return sign != declaration.name and any(f" {sign} " in line for line in header_doc)

    def type(self, t, header_doc, group_doc=()):
        doc = t.doc or list(group_doc)
        if not doc and not names_it(header_doc, t.name):
            self.note_missing(t.header, t.title())
        title = t.title()
        self.heading(3, f"`{title}`", [title])
        if t.kind == "enum":
            self.code(enum_code(t))
            self.lines += markdown(doc) + ([""] if doc else [])
            return
        described = doc + header_doc
        fields, quiet, told, nested = [], [], [], []
        commented = {m.name for m in t.members if m.doc}
        for group in groups(t.members):
            shared = next((m.doc for m in group if m.doc), [])
            if all(m.kind == "variable" for m in group) or group[0].kind == "variable":
                fields += group
                for m in group:
                    if not m.doc and not shared and not any(names_it(described, n) for n in declared(m)):
                        self.note_missing(t.header, f"{title}::{m.name}")
                continue
            group = [m for m in group if m.doc or not is_special(m, t)]
            plain = [m for m in group if m.kind in ("enum", "class")]
            nested += [m for m in plain if m.kind == "class"]
            quiet += [m for m in plain if m.kind == "enum"]
            group = [m for m in group if m not in plain]
            if not group:
                continue
            if group[0].doc:
                told.append(group)
                continue
            for m in group:
                is_described = (m.name == t.name or overrides(m) or m.name in commented
                                or names_it(described, m.name) or m.kind == "alias"
                                or (m.name.startswith("operator") and doc))
                if not is_described:
                    self.note_missing(t.header, f"{title}::{m.name}")
                quiet.append(m)
        code = signature(t.signature)
        if quiet or fields:
            code[-1] = code[-1][:-1] + " {"
            for m in quiet:
                code += remark(m.doc, "  ")
                code += enum_code(m, "  ") if m.kind == "enum" else signature(m.signature, "  ")
            if quiet and fields:
                code.append("")
            for m in fields:
                code += field(m)
            code.append("};")
        self.code(code)
        slug = self.names[-1][1]
        self.names += [(f"{title}::{m.name}", slug) for m in quiet + fields if m.name != t.name]
        self.lines += markdown(doc) + ([""] if doc else [])
        section = t.members[0].section if t.members else ""
        for group in told:
            if group[0].section and group[0].section != section:
                section = group[0].section
                self.lines += [f"**{escaped(section[0].upper() + section[1:])}**", ""]
            names = list(dict.fromkeys(m.name for m in group))
            self.heading(4, ", ".join(f"`{n}`" for n in names), [f"{title}::{n}" for n in names])
            self.code([line for m in group for line in signature(m.signature)])
            for m in group:
                if m.doc:
                    self.lines += markdown(m.doc) + [""]
        for m in nested:
            m.namespace = title
            self.type(m, described)

    def text(self):
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self.lines)).rstrip() + "\n"


def declared(member):
    """All names of a declaration of variables."""
    head = re.sub(r"\([^()]*\)|\{[^{}]*\}|<[^<>]*>", "", member.signature)
    return [member.name] + re.findall(r"(\w+)(?=\s*(?:=[^,;]*)?(?:,|$))", head)


def index(pages):
    out = ["# API reference", "",
           "Generated by `make docs` from the comments in `include/tandem`; the test suite fails while it is stale. Pages by",
           "subject are in `docs/`, and `docs/math_index.md` leads from each op to its lines. Examples are compiled and run by",
           "the tests (`tests/docs/make_examples.py`): what stands behind `// →` is what the line gives, printed as NumPy prints,",
           "or in round brackets its shape; `random` is a `Generator random(0)`.", ""]
    for room, stems in ROOMS:
        out += [f"## {room}", ""]
        for stem in stems:
            page = pages[stem]
            out += [f"**[{page.title}]({stem}.md)**: {escaped(page.what)}", ""]
            names = {n: s for n, s in reversed(page.tops)}  # the first place of each
            links = ", ".join(f"[`{n}`]({stem}.md#{s})" for n, s in reversed(names.items()))
            out += textwrap.wrap(links, WIDTH, break_long_words=False, break_on_hyphens=False) + [""]
    out += [api_site.ABOUT, "",
            "`make docs` makes plain HTML of these pages and of the guides and prints where it is, `build/docs/index.html`. Beside",
            "each page is a list of all of them and of its own parts; the box above finds names, also what PyTorch calls them (`/`",
            "leads there). It needs no server and loads nothing from elsewhere.", "",
            "![An op's place in the reference](../images/site_op.png)", "",
            "![The table of what PyTorch's names are here](../images/site_pytorch.png)", "",
            "Pictures: [a guide](../images/site_guide.png), [the table on a phone](../images/site_phone.png)."]
    return "\n".join(out).rstrip() + "\n"


# --- checks ---

def examples(text):
    """The lines of code in the comment that opens a header, read without the parser."""
    lines = []
    for line in text.split("\n")[1:]:
        if not line.startswith("///"):
            break
        if re.match(r"///   ", line) and is_example(line):
            lines.append(line[3:].strip())
    return lines


def without_example(header):
    """The ops, or modules, of a header that no example with a result (`// → `, tests/docs/make_examples.py) uses."""
    text = (HEADERS / header).read_text()
    shown = "\n".join(line for _, block in code_blocks(HEADERS / header) for line in block
                      if any("// → " in other for other in block))
    if header.startswith("ops/"):
        names = [name for found, _ in make_math_index.entries(make_math_index.doc_lines(text)) for name in found]
        names = [name for name in names if re.search(rf"\b{name}\(|\({name}, ", text)]
        return [name for name in names if not re.search(rf"\b{name}(?:<\w+>)?\(", shown)]
    names = re.findall(r"^class (\w+) final : public (?:Module|Layer)<T>", text, re.M)
    names = [alias for name in names for alias in re.findall(rf"^using (\w+) = {name}<", text, re.M) or [name]]
    return [name for name in names if not re.search(rf"\bnn::(?:make_)?{name}\b", shown, re.I)]


def problems(pages, texts):
    found = [text for page in pages.values() for text in page.missing]
    shown = {}
    for stem, (_, _, headers) in PAGES.items():
        for entry in headers.replace(", ", ",").split():
            name = entry.partition(":")[0]
            shown[name] = stem
            if not (HEADERS / name).is_file():
                found.append(f"docs/make_api.py: there is no include/tandem/{name}")
            elif ":" not in entry:
                found += [f"docs/api/{stem}.md does not show `{line}` of include/tandem/{name}"
                          for line in examples((HEADERS / name).read_text()) if line not in texts[f"{stem}.md"]]
            if re.match(r"(?:ops|nn)/\w+\.hpp$", name):
                found += [f"include/tandem/{name}: no example of {one} with its result (// → …)" for one in without_example(name)]
    for path in sorted(HEADERS.rglob("*.hpp")):
        name = path.relative_to(HEADERS).as_posix()
        if name not in shown and not PARTS.fullmatch(name):
            found.append(f"docs/make_api.py: include/tandem/{name} is on no page (PAGES), nor a part of others (PARTS)")
    if listed := set(PAGES) ^ {stem for _, stems in ROOMS for stem in stems}:
        found.append(f"docs/make_api.py: not in both PAGES and ROOMS: {', '.join(sorted(listed))}")
    anchors = {}
    for name, text in texts.items():
        seen = {}
        anchors[name] = {api_site.slug_of(h, seen) for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for name, text in texts.items():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        for target, anchor in re.findall(r"(?<!\\)\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose):
            if target and target not in texts and not (OUT / target).is_file():
                found.append(f"docs/api/{name}: there is no {target}")
            elif anchor and anchor not in anchors[target or name]:
                found.append(f"docs/api/{name}: {target or name} has no #{anchor}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale or missing")
    parser.add_argument("--site", type=pathlib.Path, metavar="FOLDER", help="also write HTML pages there")
    parser.add_argument("--site-only", type=pathlib.Path, metavar="FOLDER", help="write HTML pages there, and nothing else")
    args = parser.parse_args()
    pages = {stem: Page(stem) for stem in PAGES}
    texts = {f"{stem}.md": page.text() for stem, page in pages.items()}
    texts["README.md"] = index(pages)
    wrong = [] if args.site_only else problems(pages, texts)
    if args.site_only:
        args.site = args.site_only
    elif args.check:
        there = {p.name: p.read_text() for p in OUT.glob("*.md")}
        wrong += [f"docs/api/{name} is stale: run make docs" for name in sorted(set(there) | set(texts))
                  if there.get(name) != texts.get(name)]
    else:
        OUT.mkdir(exist_ok=True)
        for old in OUT.glob("*.md"):
            if old.name not in texts:
                old.unlink()
        for name, text in texts.items():
            (OUT / name).write_text(text)
    if args.site:
        guides = {stem: (ROOT / "docs" / f"{stem}.md").read_text() for stem in api_site.GUIDES}
        api_site.write(args.site, pages, texts, [stem for _, stems in ROOMS for stem in stems], guides)
    count = sum(len(page.names) for page in pages.values())
    print("\n".join(wrong) or f"{count} names on {len(pages)} pages, each with a comment of its own or of its group")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
