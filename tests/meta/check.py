#!/usr/bin/env python3
"""What the tree promises about itself, checked: check.py PARE. Needs only Python's own library."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
failures = []
passed = 0

# Who may include whom (CONTRIBUTING.md). Names of folders that do not exist yet may stand here.
MAY_INCLUDE = {
    "base": set(), "kernels": {"base"}, "graph": {"base"}, "codecs": {"base", "graph", "kernels"},
    "formats": {"base", "graph", "codecs"}, "data": {"base", "tokenizers"}, "tokenizers": {"base"}, "report": {"base"}, "ranks": {"base"},
    "engine": {"base", "graph", "codecs", "kernels"}, "train": {"base", "graph", "engine"},
    "language": {"base", "graph", "engine", "tokenizers"}, "passes": {"base", "graph", "codecs", "engine", "kernels", "train"},
    "measure": {"base", "graph", "formats", "engine", "data", "language"}, "search": {"base", "graph", "passes", "measure"},
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 100
# Files allowed to be longer, each with its reason. Empty is the goal.
LONG_FILES = {}


def check(name, problems):
    global passed
    if problems:
        failures.append(name)
        print(f"FAIL {name}")
        for problem in problems:
            print(f"     {problem}")
    else:
        passed += 1
        print(f"ok   {name}")


def rel(path):
    return path.relative_to(ROOT).as_posix()


def sources(*folders, endings=(".cpp", ".h")):
    return sorted(p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in endings and p.is_file())


def tracked():
    """Files git knows or would add: what a commit would carry."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:  # a tarball
        return [p for p in ROOT.rglob("*") if p.is_file() and "build" not in p.relative_to(ROOT).parts]
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def without_comments_and_strings(text):
    """The same text, line for line, with comments and literals blanked."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def includes():
    bad = []
    for path in sources("src", endings=(".cpp", ".h", ".inc")):
        folder = path.relative_to(ROOT / "src").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not found:
                continue
            target = found[1].split("/")[0]
            if found[1].startswith("../"):
                bad.append(f"{rel(path)}:{number}: names {found[1]} by ../")
            elif target in MAY_INCLUDE and target != folder and (ROOT / "src" / found[1]).exists():
                if target not in MAY_INCLUDE[folder]:
                    bad.append(f"{rel(path)}:{number}: {folder} must not include {found[1]}")
            if re.match(r"(dnnl|oneapi)", found[1]) and not rel(path).startswith("src/engine/onednn/"):
                bad.append(f"{rel(path)}:{number}: only src/engine/onednn sees oneDNN")
            if re.match(r"(torch|ATen)/", found[1]) and folder != "train":
                bad.append(f"{rel(path)}:{number}: only src/train sees libtorch")
            if found[1] == "mpi.h" and folder != "ranks":
                bad.append(f"{rel(path)}:{number}: only src/ranks sees MPI")
            if found[1] in ("iostream",):
                bad.append(f"{rel(path)}:{number}: the library never prints")
    return bad


def known_folders():
    return [f"src/{p.name}: has no line in the include rules"
            for p in sorted((ROOT / "src").iterdir()) if p.is_dir() and p.name not in MAY_INCLUDE]


def rows(inc, macro):
    return re.findall(rf"^{macro}\((\w+)", (ROOT / inc).read_text(), re.M)


def defined(folder, pattern):
    """name -> file, of definitions matching the pattern in a folder's sources; macros of several rows count too."""
    found = {}
    for path in sources(folder, endings=(".cpp",)):
        for name in re.findall(pattern, path.read_text(), re.M):
            found[name] = path
    return found


def used_at_home(name, path):
    return len(re.findall(rf"\w+_{name}\(", path.read_text())) > 1


def both_ways(inc, macro, folder, pattern, place=None):
    if not (ROOT / inc).exists():
        return [f"{inc}: is absent"]
    listed, found = rows(inc, macro), defined(folder, pattern)
    problems = [f"{inc}: {n} has no definition in {folder}" for n in listed if n not in found]
    # A name of the same shape that its own file calls is a helper, not an item.
    problems += [f"{rel(p)}: defines {n}, which {inc} does not list" for n, p in found.items()
                 if n not in listed and not used_at_home(n, p)]
    problems += [f"{inc}: {n} stands twice" for n in sorted(set(listed)) if listed.count(n) > 1]
    if not listed:
        problems.append(f"{inc}: has no {macro} rows")
    if place:
        problems += [f"{inc}: {n} is defined in {rel(found[n])}, not in {place(n)}"
                     for n in listed if n in found and rel(found[n]) != place(n)]
    return problems


def operators():
    """Rows of ops are also made by macros in the file the catalog names in front of their group."""
    inc, problems, group, seen = "src/graph/ops/catalog.inc", [], None, []
    for line in (ROOT / inc).read_text().splitlines():
        if heading := re.match(r"// (\w+\.cpp)", line):
            group = heading[1]
        elif row := re.match(r"OP\((\w+)\)", line):
            seen.append(row[1])
            path = ROOT / "src/graph/ops" / (group or "")
            if not path.is_file():
                problems.append(f"{inc}: {row[1]} stands under {group}, which is absent")
            elif not re.search(rf"\bop_{row[1]}\b|^[A-Z_]+\({row[1]}\b", path.read_text(), re.M):
                problems.append(f"{inc}: {row[1]} is not in {group}")
    for name, path in defined("src/graph/ops", r"^(?:const )?Op(?:Info)?\w* op_(\w+)\b").items():
        if name not in seen:
            problems.append(f"{rel(path)}: defines op_{name}, which {inc} does not list")
    problems += [f"{inc}: {n} stands twice" for n in sorted(set(seen)) if seen.count(n) > 1]
    return problems + ([] if seen else [f"{inc}: has no rows"])


def kernels():
    problems = []
    for inc in sorted((ROOT / "src/kernels").glob("*/kernels.inc")):
        family = inc.parent.name
        listed = re.findall(r"^PARE_\w+\((\w+)\)", inc.read_text(), re.M)
        text = "\n".join(p.read_text() for p in inc.parent.glob("*.cpp"))
        problems += [f"{rel(inc)}: {n} has no definition" for n in listed if not re.search(rf"\b{n}\s*(=|\{{)", text)]
        for path in inc.parent.glob(f"{family}_*.cpp"):
            if not any(re.search(rf"\b{n}\s*(=|\{{)", path.read_text()) for n in listed):
                problems.append(f"{rel(path)}: defines no kernel of {rel(inc)}")
        if f"{family}_base" not in listed:
            problems.append(f"{rel(inc)}: plain C++ ({family}_base) is missing")
        if not (inc.parent / f"{family}.h").is_file():
            problems.append(f"{inc.parent}: {family}.h is absent")
    return problems


def catalogs():
    at = lambda folder: lambda n: f"{folder}/{n}.cpp"
    check("catalog: passes", both_ways("src/passes/catalog.inc", "PASS", "src/passes", r"\bpass_(\w+)\(\)\s*\{", at("src/passes")))
    check("catalog: ops", operators())
    check("catalog: codecs", both_ways("src/codecs/catalog.inc", "CODEC", "src/codecs", r"^(?:extern )?(?:const Codec codec_|[A-Z_]+\()(\w+)\b"))
    check("catalog: formats", both_ways("src/formats/catalog.inc", "FORMAT", "src/formats", r"^(?:extern )?const Format format_(\w+)\b"))
    check("catalog: lowerings", both_ways("src/engine/lowerings.inc", "LOWERING", "src/engine", r"\blower_(\w+)\([^;{]*\)\s*\{"))
    check("catalog: readers", both_ways("src/data/readers.inc", "READER", "src/data", r"^Split read_(\w+)\("))
    check("catalog: tasks", both_ways("src/measure/tasks/catalog.inc", "TASK", "src/measure/tasks", r"\btask_(\w+)\b(?:\(\))?\s*(?:=|\{)",
                                      at("src/measure/tasks")))
    check("catalog: heads", both_ways("src/measure/heads/catalog.inc", "HEAD", "src/measure/heads", r"\bhead_(\w+)\s*(?:=|\{)",
                                      at("src/measure/heads")))
    check("catalog: columns", columns())
    check("catalog: commands", both_ways("apps/pare/commands.inc", "COMMAND", "apps/pare", r"\bcommand_(\w+)\s*(?:=|\{)", at("apps/pare")))
    check("catalog: kernels", kernels())


def columns():
    inc = ROOT / "src/report/columns.inc"
    cells = re.findall(r",\s*(\w+_cell)\)", inc.read_text())
    text = "\n".join(p.read_text() for p in sources("src/report"))
    made = set(re.findall(r"\b(\w+_cell)\(const", text))
    return ([f"{rel(inc)}: {c} has no definition" for c in cells if c not in made] +
            [f"src/report: {c} is in no row of columns.inc" for c in sorted(made - set(cells))] + ([] if cells else ["no rows"]))


def sizes():
    problems = []
    for path in sources("src", "apps", "tests", endings=(".cpp", ".h", ".py", ".sh", ".inc")):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE and rel(path) not in LONG_FILES:
            problems.append(f"{rel(path)}: {lines} lines, at most {LONGEST_FILE}")
    for name, why in LONG_FILES.items():
        print(f"     exception: {name} ({why})")
    return problems


def functions(path):
    """(lines, first line, heading) of each function: braces at namespace level that follow a closing parenthesis."""
    text = without_comments_and_strings(path.read_text())
    # preprocessor lines hold unbalanced braces at times; continuation lines belong to them
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.M)
    stack, start, found = [], 0, []
    for position, letter in enumerate(text):
        if letter == "{":
            heading = " ".join(text[start:position].split())
            inside_function = any(kind == "function" for kind, *_ in stack)
            kind = "block"
            if not inside_function and ")" in heading and not re.search(r"=\s*$|^(namespace|extern)\b", heading) \
                    and not re.match(r"(struct|class|enum|union)\b", heading):
                kind = "function"
            stack.append((kind, position, heading))
            start = position + 1
        elif letter == "}":
            if stack:
                kind, opened, heading = stack.pop()
                if kind == "function":
                    found.append((text.count("\n", opened, position) + 1, text.count("\n", 0, opened) + 1, heading))
            start = position + 1
        elif letter == ";":
            start = position + 1
    return found


def long_functions():
    every = [(lines, rel(path), first, heading) for path in sources("src", "apps", endings=(".cpp", ".h"))
             for lines, first, heading in functions(path)]
    every.sort(reverse=True)
    print("     the longest functions:")
    for lines, path, first, heading in every[:5]:
        name = re.search(r"([\w:~]+)\s*\(", heading)
        print(f"     {lines:4d} lines  {path}:{first}  {name[1] if name else heading[:40]}")
    return [f"{p}:{n}: {lines} lines, at most {LONGEST_FUNCTION}" for lines, p, n, _ in every if lines > LONGEST_FUNCTION]


def machine_paths():
    words = re.compile("/" + "work/|/" + "opt/bench|/" + r"tmp/|/home/\w|/root/")
    problems = []
    for path in tracked():
        if rel(path).startswith(("tests/", ".git")):
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        problems += [f"{rel(path)}:{n}: {line.strip()[:90]}" for n, line in enumerate(lines, 1) if words.search(line)]
    return problems


def assertions():
    problems = []
    for path in sources("tests/unit", "tests/parity", "tests/conformance", endings=(".cpp",)):
        text = path.read_text()
        if re.search(r"^int main\(", text, re.M):  # a program: its exit status is the assertion
            continue
        if not re.search(r"\b(EXPECT|ASSERT)_\w+\(|\bFAIL\(\)", text):
            problems.append(f"{rel(path)}: asserts nothing")
        # A helper of the file, its folder's headers or tests/support that asserts counts for the tests that call it, also through another.
        helpers = {}
        for origin in [path, *sources("tests/support"), *path.parent.glob("*.h"), *path.parent.glob("golden.cpp")]:
            clean, whole = origin.read_text().split("\n"), functions(origin)
            for lines, first, heading in whole:
                if name := re.search(r"(\w+)\s*\(", heading):
                    helpers[name[1]] = "\n".join(clean[first - 1:first - 1 + lines])
        found = r"\b(?:EXPECT|ASSERT)_\w+\(|\b(?:FAIL|SUCCEED|ADD_FAILURE)\(\)"
        asserting = found
        for _ in range(3):  # helpers that call helpers
            names = sorted(n for n, b in helpers.items() if n != "TEST" and re.search(asserting, b))
            asserting = found + "".join(rf"|\b{n}\(" for n in names)
        for body in re.split(r"^(?=TEST(?:_[FP])?\()", text, flags=re.M)[1:]:
            name = body.split("{")[0].strip()
            if not re.search(asserting, body):
                problems.append(f"{rel(path)}: {name} asserts nothing")
    for path in (ROOT / "tests/oracles").glob("test_*.py"):
        bodies = re.split(r"^(?=def test_)", path.read_text(), flags=re.M)[1:]
        problems += [f"{rel(path)}: {b.split('(')[0][4:]} asserts nothing" for b in bodies if "assert " not in b]
    return problems


def fuzz_targets():
    return [f"{rel(p)}: has no LLVMFuzzerTestOneInput" for p in sources("tests/fuzz") if p.suffix == ".cpp" and "LLVMFuzzerTestOneInput" not in p.read_text()]


def program(pare):
    """The program lists exactly what the catalogs list."""
    problems = []
    if not Path(pare).is_file():
        return [f"{pare}: is absent"]
    helped = subprocess.run([pare, "passes"], capture_output=True, text=True).stdout
    for name in rows("src/passes/catalog.inc", "PASS"):
        if name.replace("_", "-") not in helped:
            problems.append(f"pare passes: does not list {name.replace('_', '-')} (is the program stale?)")
    top = subprocess.run([pare, "--help"], capture_output=True, text=True).stdout
    for name in rows("apps/pare/commands.inc", "COMMAND"):
        hidden = re.search(r"declare, true\}", (ROOT / f"apps/pare/{name}.cpp").read_text())
        if (name.replace("_", "-") in top) == bool(hidden):
            problems.append(f"pare --help: {name} is listed or hidden against its record")
    return problems


def main():
    check("include rules", includes())
    check("every folder of src has its rule", known_folders())
    catalogs()
    check(f"files of at most {LONGEST_FILE} lines", sizes())
    check(f"functions of at most {LONGEST_FUNCTION} lines", long_functions())
    check("no paths of one machine", machine_paths())
    check("every test asserts", assertions())
    check("every fuzz source is a target", fuzz_targets())
    if len(sys.argv) > 1:
        check("the program lists what the catalogs list", program(sys.argv[1]))
    print(f"meta: {passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
