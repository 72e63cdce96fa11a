"""Rules that a compiler does not know."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

MAX_LINES = 2000
WARN_LINES = 900
ENGINES = ("postgres", "postgresql", "mysql", "mariadb", "sqlite", "mongodb", "redis", "s3", "files")
# Who may name an engine: its own folder, the registry, and what is about one server by its nature.
ENGINE_NAMES_ALLOWED = ("store/", "demo/", "gate/")
# Must not be in the tree. Written in pieces, so that this file does not hold them itself.
FORBIDDEN = [
    (re.compile("/" + "work/"), "a path of somebody's machine"),
    (re.compile("/tmp" + "/gw\\b"), "a path of somebody's machine"),
    (re.compile(r"/(home|Users)/" + r"[a-z]\w+/"), "a path of somebody's machine"),
    (re.compile("(registry" + r"\.npmjs|pypi\.org|deb" + r"\.debian\.org|archive" + r"\.ubuntu\.com|crates" + r"\.io)"),
     "a registry's address"),
    (re.compile(r"(?i)\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"), "work left undone"),
]
BINARY = {".png", ".svg", ".gif", ".bin", ".ico", ".cast"}


def tracked():
    """Files of the tree, committed or about to be; without git (a tarball) all of them."""
    try:
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().splitlines()
        paths = [ROOT / name for name in listed]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in ROOT.rglob("*") if p.relative_to(ROOT).parts[0] not in ("build", ".git")]
    return sorted(p for p in paths if p.is_file() and not p.is_symlink())


def text_of(path):
    if path.suffix in BINARY or "corpus" in path.parts:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def source_files():
    return sorted(SRC.rglob("*.[ch]"))


def without_comments(text):
    """Comments blanked, line numbers kept; string literals stay."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)

    def blank(match):
        found = match.group(0)
        return re.sub(r"[^\n]", " ", found) if found.startswith("/") else found
    return pattern.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def file_length():
    found = []
    for path in tracked():
        if path.suffix not in (".c", ".h", ".py", ".sh", ".sql"):
            continue
        lines = (text_of(path) or "").count("\n")
        if lines > MAX_LINES:
            found.append(f"{path.relative_to(ROOT)}: {lines} lines, at most {MAX_LINES}")
        elif lines > WARN_LINES:
            print(f"note: {path.relative_to(ROOT)} has {lines} lines")
    return found


def forbidden():
    found = []
    for path in tracked():
        text = text_of(path)
        if text is None or path.name == "LICENSE":
            continue
        for pattern, why in FORBIDDEN:
            for match in pattern.finditer(text):
                found.append(f"{path.relative_to(ROOT)}:{line_of(text, match.start())}: {why} ({match.group(0)})")
    return found


def engine_names():
    """A stage asks a store for its facets and capabilities, never for its name."""
    literal = re.compile(r'"({})"'.format("|".join(ENGINES)))
    found = []
    for path in source_files():
        relative = str(path.relative_to(SRC))
        if relative.startswith(ENGINE_NAMES_ALLOWED):
            continue
        text = without_comments(path.read_text(encoding="utf-8"))
        for match in literal.finditer(text):
            found.append(f"src/{relative}:{line_of(text, match.start())}: names the engine {match.group(1)}")
    return found


def must_check():
    """A function that can fail says so by its type: its result must be looked at."""
    declaration = re.compile(r"^(?!static|typedef)([^\n;{}#]*?\bbool\s+(gw_\w+)\s*\([^;{}]*struct gw_error \*\w*\s*\)[^;{]*);",
                             re.M)
    found = []
    for path in sorted(SRC.rglob("*.h")):
        whole = path.read_text(encoding="utf-8")
        text = without_comments(whole)
        for match in declaration.finditer(text):
            # Those that set the error and return false by their nature: "return gw_fail(...)".
            fails_always = match.group(2).endswith("_fail") or "eturns false. */" in whole[:match.start(2)][-160:]
            if "GW_MUST_CHECK" not in match.group(1) and not fails_always:
                found.append(f"{path.relative_to(ROOT)}:{line_of(text, match.start())}: {match.group(2)} lacks GW_MUST_CHECK")
    return found


def guarded_headers():
    found = []
    for path in sorted(SRC.rglob("*.h")):
        text = path.read_text(encoding="utf-8")
        if "#pragma once" not in text and not re.search(r"#ifndef (\w+)\n#define \1\n", text):
            found.append(f"{path.relative_to(ROOT)}: no include guard")
    return found


def listed():
    """Every source and test is in its meson.build, every name there is a file: nothing is silently left out."""
    found = []
    for path in sorted(SRC.rglob("*.c")):
        if path.parent == SRC:
            continue
        meson = path.parent / "meson.build"
        listed_as = re.compile(f"'{re.escape(path.stem)}(\\.c)?'")
        if not meson.exists() or not listed_as.search(meson.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(ROOT)} is not in the meson.build beside it")
    for path in sorted(SRC.rglob("*.sql")):
        meson = path.parent / "meson.build"
        if not meson.exists() or f"'{path.name}'" not in meson.read_text(encoding="utf-8"):
            found.append(f"{path.relative_to(ROOT)} is not in the meson.build beside it")
    for folder in ("unit", "contract"):
        meson = ROOT / "tests" / folder / "meson.build"
        text = re.sub(r"#.*", "", meson.read_text(encoding="utf-8")) if meson.exists() else ""
        names = set(re.findall(r"'([\w-]+)(?:\.[ch])?'", text))
        for path in sorted((ROOT / "tests" / folder).glob("*.c")):
            if path.stem not in names:
                found.append(f"{path.relative_to(ROOT)} is not in {meson.relative_to(ROOT)}")
        for block in re.findall(r"(?:unit|threaded|contract)_tests\s*\+?=\s*\[(.*?)\]", text, re.S):
            for name in re.findall(r"'([\w-]+)'", block):
                if not (meson.parent / f"{name}.c").exists():
                    found.append(f"{meson.relative_to(ROOT)} lists {name}, which is not there")
    return found


def sleeping_tests():
    """Tests wait for conditions (wait_until), not for time to pass."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in ("waiting.py", "proxy.py") or "lint" in path.parts:
            continue
        text = text_of(path) or ""
        for match in re.finditer(r"\btime\.sleep\(|\bpg_sleep\((?!0\.02\))", text):
            found.append(f"{path.relative_to(ROOT)}:{line_of(text, match.start())}: {match.group(0)}...) as synchronisation?")
    return found


CHECKS = [
    ("file length", file_length),
    ("forbidden words and paths", forbidden),
    ("engine names", engine_names),
    ("must-check errors", must_check),
    ("include guards", guarded_headers),
    ("everything listed in meson", listed),
    ("no sleeps in tests", sleeping_tests),
]
