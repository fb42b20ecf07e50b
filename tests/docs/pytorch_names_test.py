"""The names of tandem in the tables of docs/for_pytorch_users.md exist: each word of code on the right is on a page of docs/api.

usage: pytorch_names_test.py
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "for_pytorch_users.md"
# Words of the language, of the standard library, and names that the page itself chooses.
OWN = set("""x y v m n a b p d i fc net adam base schedule guard random mask ids step products float double true cout std const auto
    struct Net public step_ th part count environment""".split())
api = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
known = set(re.findall(r"[A-Za-z_]\w*", api))
checked, wrong = 0, []
section = ""
for number, line in enumerate(PAGE.read_text().splitlines(), 1):
    if line.startswith("## "):
        section = line
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    if len(cells) != 2 or set(cells[1]) <= set("-") or "Recipe" in section:
        continue
    right = cells[0] if "on purpose" in section else cells[1]
    for code in re.findall(r"`([^`]+)`", right):
        if code.startswith(("docs/", "examples/", "tandem/")):
            if not (ROOT / code).exists() and not (ROOT / "include" / code).exists():
                wrong.append(f"line {number}: there is no {code}")
            continue
        for word in re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", code)):
            if word in OWN:
                continue
            checked += 1
            if word not in known:
                wrong.append(f"line {number}: `{code}`: no page of docs/api has {word}")
print("\n".join(wrong) or f"{checked} names are on pages of docs/api")
sys.exit(1 if wrong or checked < 150 else 0)
