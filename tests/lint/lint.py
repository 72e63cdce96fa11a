#!/usr/bin/python3
"""./dev lint: every check prints one line "ok NAME", "skip NAME: why" or "FAIL NAME" with what is wrong below it."""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import layers  # noqa: E402
import rules  # noqa: E402

SHOWN_LINES = 40


class Skip(Exception):
    """A check that cannot be made here."""


def run(argv, **kwargs):
    done = subprocess.run([str(a) for a in argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          stdin=subprocess.DEVNULL, **kwargs)
    return done.returncode, done.stdout.decode(errors="replace").splitlines()


def tool(*names):
    for name in names:
        if shutil.which(name):
            return name
    raise Skip(f"no {' or '.join(names)}")


def c_files():
    return sorted(p for folder in ("src", "tests", "bench") for p in (ROOT / folder).rglob("*.[ch]"))


# Each check returns a list of complaints.

def format_():
    files = c_files()
    code, lines = run([tool("clang-format-14"), "--dry-run", "-Werror", *files])
    return [line for line in lines if "error:" in line] or (["clang-format failed"] if code else [])


# clang warns of the same things without optimising, gcc finds more when it does.
OPTIMIZATION = {"gcc": "2", "clang": "0"}


def compiled_by(compiler):
    name = f"lint-{compiler}"
    build = BUILD / name
    env = {**os.environ, "CC": tool(*({"clang": ["clang-14", "clang"], "gcc": ["gcc"]}[compiler]))}
    options = ["-Dwerror=true", "-Dcrash_points=true", "-Ddebug=false",
               f"-Doptimization={OPTIMIZATION[compiler]}"]
    if not (build / "build.ninja").exists():
        shutil.rmtree(build, ignore_errors=True)
        code, lines = run(["meson", "setup", build, ROOT, *options], env=env)
        if code:
            shutil.rmtree(build, ignore_errors=True)
            return lines
    code, lines = run(["ninja", "-C", build, "-k", "0"])
    bad = [line for line in lines if re.search(r"(error:|warning:|undefined reference)", line)]
    return bad or (lines[-10:] if code else [])


def gcc():
    return compiled_by("gcc")


def clang():
    return compiled_by("clang")


def hardening():
    """Reads the binary a user gets."""
    binary = (BUILD / "godwit").resolve()
    if not binary.exists():
        return ["no build/godwit (./dev build)"]
    _, header = run(["readelf", "-hW", binary])
    _, segments = run(["readelf", "-lW", binary])
    _, dynamic = run(["readelf", "-dW", binary])
    _, symbols = run(["readelf", "--dyn-syms", "-W", binary])
    header, segments, dynamic, symbols = ("\n".join(part) for part in (header, segments, dynamic, symbols))
    stack = re.search(r"GNU_STACK.*", segments)
    wanted = {
        "position independent (PIE)": "DYN (Position-Independent Executable file)" in header,
        "immediate binding (BIND_NOW)": "BIND_NOW" in dynamic or re.search(r"FLAGS_1.*\bNOW\b", dynamic),
        "read-only relocations (GNU_RELRO)": "GNU_RELRO" in segments,
        "a stack that is not executable": stack and " RWE " not in stack.group(0),
        "stack protector (__stack_chk_fail)": "__stack_chk_fail" in symbols,
        "fortified functions (__*_chk)": re.search(r"__(?!stack)\w+_chk\b", symbols),
        "no RPATH": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
    }
    return [f"build/godwit: not {what}" for what, there in wanted.items() if not there]


def no_crash_points_in_release():
    binary = (BUILD / "godwit").resolve()
    if not binary.exists():
        return ["no build/godwit (./dev build)"]
    _, sections = run(["readelf", "-SW", binary])
    return ["build/godwit holds crash points"] if "gw_crash_names" in "\n".join(sections) else []


def shell():
    files = [ROOT / "dev", ROOT / ".ci/run", *sorted(ROOT.glob("tests/**/*.sh")), *sorted(ROOT.glob("bench/**/*.sh"))]
    for path in sorted(ROOT.glob("bench/*")) + sorted(ROOT.glob("examples/**/*")):
        if path.is_file() and path.suffix == "" and path.read_bytes()[:20].startswith((b"#!/bin/sh", b"#!/bin/bash")):
            files.append(path)
    code, lines = run([tool("shellcheck"), "-x", *files])
    return lines if code else []


def python():
    complaints = []
    for folder in ("tests", "build-aux", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            try:
                compile(path.read_text(encoding="utf-8"), str(path), "exec")
            except SyntaxError as error:
                complaints.append(f"{path.relative_to(ROOT)}:{error.lineno}: {error.msg}")
    return complaints


def includes_of(build):
    """{object file's source: (every file that it is made from)}, as the last build by ninja noted."""
    _, lines = run(["ninja", "-C", build, "-t", "deps"])
    found, current = {}, []
    for line in lines:
        if line.startswith("    "):
            current.append(line.strip())
        elif line.rstrip().endswith("(VALID)"):
            current = []
            found[line.split(":")[0]] = current
    return {str((build / files[0]).resolve()): files for files in found.values() if files}


def fingerprint(build, files):
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for name in files:
        path = build / name
        if path.is_file() and path.resolve().is_relative_to(ROOT):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def tidy():
    """A file that was clean, with every header of ours that it includes, is not looked at again."""
    program, build = tool("clang-tidy-14", "clang-tidy"), BUILD / "lint-clang"
    stamps = BUILD / "tidy-clean"
    stamps.mkdir(parents=True, exist_ok=True)
    included = includes_of(build)
    if not included:
        return ["no build/lint-clang (./dev lint clang)"]

    def look(path):
        stamp = stamps / fingerprint(build, included.get(str(path), [str(path)]))
        if stamp.exists():
            return []
        code, lines = run(["nice", "-n", "10", program, "--quiet", "-p", build, path])
        found = [line for line in lines if "error:" in line or "warning:" in line] or (lines[-5:] if code else [])
        if not found:
            stamp.touch()
        return found
    sources = [p for p in c_files() if p.suffix == ".c" and p.is_relative_to(ROOT / "src")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for found in pool.map(look, sources) for line in found]


# Macros of libraries whose headers it does not read.
CPPCHECK_MACROS = ("-Djson_array_foreach(array, i, value)=for (i = 0; (value = json_array_get(array, i)); i++)",
                   "-Djson_object_foreach(object, key, value)=for (key = 0; (value = json_object_get(object, key));)")


def cppcheck():
    """What it found out of a file is kept in build/cppcheck."""
    (BUILD / "cppcheck").mkdir(parents=True, exist_ok=True)
    code, lines = run(["nice", "-n", "10", tool("cppcheck"), f"-j{os.cpu_count()}", f"--cppcheck-build-dir={BUILD / 'cppcheck'}",
                       "--quiet", "--error-exitcode=1", "--enable=warning,portability", "--inline-suppr",
                       "--suppress=missingIncludeSystem", "--std=c11", "-D_GNU_SOURCE", *CPPCHECK_MACROS, "-Isrc", "src"])
    return lines if code else []


CHECKS = [
    ("format", format_),
    ("gcc -Werror", gcc),
    ("clang -Werror", clang),
    ("hardening", hardening),
    ("no crash points in the release", no_crash_points_in_release),
    ("shell", shell),
    ("python", python),
    ("layers", layers.complaints),
    *rules.CHECKS,
]
FULL = [("clang-tidy", tidy), ("cppcheck", cppcheck)]


def main():
    wanted = sys.argv[1:]
    checks = CHECKS + FULL if "full" in wanted else CHECKS
    names = [w for w in wanted if w != "full"]
    if names:
        checks = [c for c in CHECKS + FULL if any(n in c[0] for n in names)]
    results = BUILD / "lint-results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    outcome = []
    for name, check in checks:
        began = time.monotonic()
        try:
            found = check()
            outcome.append(f"{'FAIL' if found else 'ok'} {name}")
            print(f"{outcome[-1]} ({time.monotonic() - began:.1f} s)", flush=True)
            for line in found[:SHOWN_LINES]:
                print(f"     {str(line).replace(str(ROOT) + '/', '')}")
            if len(found) > SHOWN_LINES:
                print(f"     and {len(found) - SHOWN_LINES} more")
        except Skip as reason:
            outcome.append(f"skip {name}")
            print(f"skip {name}: {reason}", flush=True)
    (results / "checks.lint").write_text("".join(f"{line}\n" for line in outcome))
    code, lines = run([sys.executable, ROOT / "build-aux/tally.py", results],
                      env={**os.environ, "GODWIT_TALLY": "quiet"})
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(code)


main()
