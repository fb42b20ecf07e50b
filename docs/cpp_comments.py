"""Reads what a header of this library declares, with the `///` comments on it; for docs/make_api.py. Not a C++ parser: it
knows the constructs that the headers use, and tests/headers keeps those in one format.
"""

import re

TOKEN = re.compile(r"""(?P<after>///<[^\n]*)|(?P<doc>///[^\n]*)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<newline>\n)
                       |(?P<space>[ \t]+)|(?P<text>R"(?P<mark>[^(\n]*)\(.*?\)(?P=mark)"|"(?:[^"\\\n]|\\.)*"
                       |'(?:[^'\\\n]|\\.)+')|(?P<word>\d[\w.']*|[A-Za-z_]\w*)|(?P<sign>::|->|\[\[|\]\]|.)""", re.X | re.S)
NOT_PARAMETERS = {"requires", "decltype", "alignas", "explicit", "noexcept", "__attribute__", "static_assert"}
PUBLIC_KEYWORDS = {"public", "protected", "private"}


class Declaration:
    """kind: function, class, enum, variable, alias, concept or macro."""

    def __init__(self, kind, name, signature, line):
        self.kind, self.name, self.signature, self.line = kind, name, signature, line
        self.doc, self.section, self.joined = [], "", False
        self.members, self.namespace, self.header, self.keyword, self.raw = [], "", "", "", ""

    def title(self):
        return f"{self.namespace}::{self.name}" if self.namespace else self.name


class Token:
    __slots__ = ("kind", "text", "line")

    def __init__(self, kind, text, line):
        self.kind, self.text, self.line = kind, text, line


def without_preprocessor(text):
    """The text with empty lines for directives and the uses of macros of this file written out; documented macros."""
    macros, documented, out, lines, i = {}, [], [], text.split("\n"), 0
    comment = []
    while i < len(lines):
        line = lines[i]
        if line.lstrip().startswith("#"):
            first = i
            while lines[i].endswith("\\"):
                i += 1
            whole = " ".join(part.rstrip("\\").strip() for part in lines[first:i + 1])
            if define := re.match(r"#\s*define (\w+)(\(([^)]*)\))?\s*(.*)", whole):
                macros[define[1]] = ([p.strip() for p in (define[3] or "").split(",")], define[4])
                if comment:
                    documented.append((define[1] + (define[2] or ""), comment, first + 1))
                    for back in range(len(comment)):
                        out[-1 - back] = ""
            out += [""] * (i + 1 - first)
            comment = []
        else:
            use = re.match(r"([A-Z][A-Z0-9_]+)\((.*)\)$", line)
            if use and use[1] in macros and macros[use[1]][1]:
                names, body = macros[use[1]]
                for name, value in zip(names, use[2].split(", ", len(names) - 1)):
                    body = re.sub(rf"##\s*{name}\b|\b{name}\b(?:\s*##)?", lambda _, v=value: v, body)
                line = body
            elif re.match(r"\s*(?:TANDEM_NAMESPACE_(?:BEGIN|END)|TANDEM_\w+_ONLY\(\w+\)|__extension__)$", line):
                line = ""
            out.append(line)
            comment = comment + [line.strip()[3:]] if line.startswith("///") and not line.startswith("///<") else []
        i += 1
    words = r"\b(?:TANDEM_FORMULA|TANDEM_HOST_DEVICE|TANDEM_ALWAYS_INLINE|TANDEM_NOINLINE)\b ?"
    text = "\n".join(line if line.lstrip().startswith("///") else re.sub(words, "", line) for line in out)
    return text, documented


def tokens_of(text):
    line, out = 1, []
    for match in TOKEN.finditer(text):
        out.append(Token(match.lastgroup if match.lastgroup != "mark" else "text", match[0], line))
        line += match[0].count("\n")
    return out


def is_private_namespace(name):
    return name == "" or any(part == "detail" or part.endswith("_detail") for part in name.split("::"))


def joined(tokens):
    """Tokens as one line of code."""
    text = "".join(" " if t.kind in ("newline", "space") else t.text for t in tokens
                   if t.kind not in ("doc", "after", "comment"))
    return re.sub(r"\s+", " ", text).strip()


class Reader:
    def __init__(self, text, header, private=False):
        """`private`: also what stands in private namespaces."""
        self.with_private = private
        text, macros = without_preprocessor(text)
        self.tokens, self.at, self.header = tokens_of(text), 0, header
        self.doc, self.found, self.orphans, self.qualified = [], [], [], []
        self.scope([], None, "public")
        for name, comment, line in macros:
            macro = Declaration("macro", name.split("(")[0], f"#define {name}", line)
            macro.doc, macro.header = comment, header
            self.found.append(macro)

    def peek(self, offset=0):
        """The next token that is code."""
        at = self.at + offset
        while at < len(self.tokens) and self.tokens[at].kind in ("space", "newline", "doc", "after", "comment"):
            at += 1
        return self.tokens[at] if at < len(self.tokens) else Token("end", "", 0)

    def skip_braces(self):
        """From { to behind its }."""
        depth = 0
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token.kind == "sign" and token.text == "{":
                depth += 1
            elif token.kind == "sign" and token.text == "}":
                depth -= 1
                if depth == 0:
                    return

    def scope(self, namespaces, owner, access):
        """Declarations up to the } of this scope."""
        doc, section, last, newlines, joins = [], "", None, 0, False
        private = not self.with_private and any(is_private_namespace(n) for n in namespaces)
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind == "newline":
                newlines += 1
                self.at += 1
                if newlines > 1:
                    joins = False
                    if doc:
                        if not self.doc and not self.found and owner is None:
                            self.doc = doc
                        elif access != "private" and not private:
                            self.orphans.append((token.line, doc))
                        doc = []
                continue
            if token.kind == "space":
                self.at += 1
                continue
            if token.kind == "doc":
                doc.append(token.text[3:])
                newlines = 0
                self.at += 1
                continue
            if token.kind == "after":
                if last is not None and newlines == 0 or last is not None and last.doc and not doc:
                    last.doc.append(token.text[4:])
                newlines = 0
                self.at += 1
                continue
            if token.kind == "comment":
                if title := re.match(r"// -+ ?(.*?)(?: -+)?$", token.text):
                    if title[1].strip("- "):
                        section = title[1].strip("- ")
                    joins = False
                self.at += 1
                newlines = 0
                continue
            if token.text == "}":
                self.at += 1
                return
            if token.text == ";":
                self.at += 1
                continue
            if owner is not None and token.text in PUBLIC_KEYWORDS and self.peek(1).text == ":":
                access = token.text
                self.at += 1
                while self.tokens[self.at].text != ":":
                    self.at += 1
                self.at += 1
                doc, newlines, joins, section = [], 0, False, ""
                continue
            found = self.declaration(namespaces, owner)
            newlines = 0
            if found is not None:
                found.joined = joins and not doc
                found.doc, found.section = doc, section
                found.namespace, found.header = "::".join(namespaces), self.header
                if found.kind == "qualified":
                    if not private:
                        self.qualified.append(found)
                elif access != "private" and not private:
                    (self.found if owner is None else owner.members).append(found)
                    last, joins = found, True
                else:
                    last = None
            doc = []

    def declaration(self, namespaces, owner):
        """One declaration, from its first token to behind its end; None for what is not a name of the library."""
        start, line = self.at, self.tokens[self.at].line
        depth = angle = 0
        parameters = equals = None
        previous = ""
        end = None
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind in ("space", "newline", "doc", "after", "comment"):
                self.at += 1
                continue
            text = token.text if token.kind != "text" else '"'
            if text in ("(", "[", "[["):
                if text == "(" and depth == 0 and angle == 0 and parameters is None and equals is None:
                    if previous == "operator":  # operator()
                        self.at += 1
                        while self.tokens[self.at].text != ")":
                            self.at += 1
                        self.at += 1
                        previous = "()"
                        continue
                    if previous not in NOT_PARAMETERS:
                        parameters = self.at
                depth += 1
            elif text in (")", "]", "]]"):
                depth -= 1
            elif depth == 0 and text == "operator" and equals is None:
                self.at += 1
                while self.tokens[self.at].kind in ("space", "newline"):
                    self.at += 1
                if self.tokens[self.at].text == "(":
                    previous = "operator"
                    continue
                while self.tokens[self.at].text != "(":
                    self.at += 1
                previous = "operator+"
                continue
            elif depth == 0 and text == "<" and (re.match(r"\w", previous) or previous == "<") and equals is None:
                angle += 1
            elif depth == 0 and text == ">" and angle > 0:
                angle -= 1
            elif depth == 0 and angle == 0 and text == "=" and equals is None:
                equals = self.at
            elif depth == 0 and text == ";":
                end = self.at
                self.at += 1
                break
            elif depth == 0 and text == ":" and parameters is not None and equals is None:
                end = self.at
                self.initializers()
                break
            elif depth == 0 and text == "{":
                head = joined(self.tokens[start:self.at])
                if match := re.match(r"(?:inline )?namespace ?([\w:]*)$", head):
                    self.at += 1
                    names = [n for n in match[1].split("::") if n] or [""]
                    self.scope(namespaces + names, None, "public")
                    return None
                plain = re.sub(r"^(?:template ?<.*?> (?=class|struct|union|requires|enum))?(?:requires ?\(.*?\) ?)?", "", head)
                if parameters is None and (match := re.match(r"(class|struct|union|enum(?: class| struct)?)\b", plain)):
                    return self.type(namespaces, match[1], head, plain, line)
                if parameters is not None and equals is None and angle == 0:
                    end = self.at
                    self.skip_braces()
                    break
                self.skip_braces()
                previous = "}"
                continue
            previous = text
            self.at += 1
        code = joined(self.tokens[start:end])
        return self.named(code, line, parameters is not None and (equals is None or parameters < equals),
                          joined(self.tokens[start:parameters]) if parameters else "", owner)

    def initializers(self):
        """Behind the body of a constructor, from the : before its initializers."""
        self.at += 1
        depth, previous = 0, ""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind in ("space", "newline", "comment", "doc", "after"):
                self.at += 1
                continue
            if token.text == "{" and depth == 0 and not re.match(r"[\w>]", previous):
                self.skip_braces()
                return
            if token.text == "{" and depth == 0:
                self.skip_braces()
                previous = "}"
                continue
            depth += (token.text in "([") - (token.text in ")]") if token.kind == "sign" and len(token.text) == 1 else 0
            previous = token.text if token.kind == "sign" else "w"
            self.at += 1

    def type(self, namespaces, keyword, head, plain, line):
        name = re.match(r"(?:class|struct|union|enum(?: class| struct)?) (?:\[\[.*?\]\] |alignas\(.*?\) )*([\w:]+)", plain)
        name = name[1] if name else ""
        found = Declaration("enum" if keyword.startswith("enum") else "class", name, head, line)
        found.keyword = keyword
        begin = self.at
        if found.kind == "enum":
            self.skip_braces()
            found.raw = "".join(t.text for t in self.tokens[begin + 1:self.at - 1])
        else:
            self.at += 1
            self.scope(namespaces + [name], found, "private" if keyword == "class" else "public")
        while self.at < len(self.tokens) and self.tokens[self.at].text != ";":
            self.at += 1
        self.at += 1
        if not name or re.match(r"template ?<>", head) or (re.search(rf"\b{name}<", plain)):
            return None
        return found

    def named(self, code, line, is_function, before, owner):
        if re.match(r"(?:friend (?:class|struct)|static_assert|extern template|template class|using namespace|export)\b", code):
            return None
        if re.match(r"(?:template ?<.*> )?friend (?:class|struct)\b|template ?<>", code):
            return None
        if match := re.match(r"(?:template ?<.*?> )?using (\w+) = ", code):
            return Declaration("alias", match[1], code, line)
        if code.startswith("using ") or not code:
            return None
        if match := re.match(r"template ?<.*?> ?concept (\w+) ?=", code):
            return Declaration("concept", match[1], code, line)
        if re.match(r"(?:template ?<.*> )?(?:class|struct|enum class|union) [\w:]+(?: : [\w:]+)?$", code):
            return None
        if returns_pointer := re.search(r"\(\*&?(\w+)\(\)\)\(", code):
            return Declaration("function", returns_pointer[1], code, line)
        if pointer := re.search(r"\(\*(\w+)\)\(", code):
            return Declaration("variable", pointer[1], code, line)
        if owner is None and code.rstrip("; ").endswith("= delete"):  # only says what is wrong
            return None
        if is_function:
            operator = re.search(r"\boperator ?(\(\)|\[\]|[^\w\s]+|[\w:&<> ]+)$", before)
            sign = operator[1].strip() if operator else ""
            name = "operator" + (f" {sign}" if re.match(r"\w", sign) else sign) if operator else re.search(r"(~?\w+)$", before)
            if not operator:
                if name is None:
                    return None
                name = name[1]
            if re.search(r"[\w>]::~?$", before[: len(before) - len(name)]) or re.search(r">::operator", before):
                return Declaration("qualified", name, code, line)
            return Declaration("function", name, code, line)
        head = re.split(r" ?(?:=|\{)", code)[0]
        head = re.sub(r"\[[^\]]*\]$", "", head)
        match = re.search(r"(\w+)(?:, \w+)*$", head)
        return Declaration("variable", match[1], code, line) if match else None


def header_of(path, name, private=False):
    return Reader(path.read_text(), name, private)
