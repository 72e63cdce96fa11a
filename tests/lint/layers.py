"""The layer order, read from the #includes: a folder includes only itself and folders before it."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# Folders of one line are on one level and know nothing of each other.
ORDER = [
    ["base"],
    ["io"],
    ["model"],
    ["state"],
    ["map"],
    ["store"],
    ["spool"],
    ["gate"],
    ["watch"],
    ["check", "audit", "plan", "copy", "follow", "verify", "rollout", "switch", "tune"],
    ["journey"],
    ["runbook"],
    ["serve"],
    ["demo"],
    ["cli"],
    ["."],
]
LEVEL = {folder: level for level, folders in enumerate(ORDER) for folder in folders}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
GENERATED = {"sql_embedded.h"}

# What a library's header may be included by: the thin shells, and those who speak the protocol themselves.
LIBRARIES = {
    "libpq-fe.h": ("store/postgres", "gate", "demo"),
    "sqlite3.h": ("io", "store/sqlite"),
    "mysql.h": ("store/mysql", "base/banned.h"),  # its macros name what is banned
    "mariadb_rpl.h": ("store/mysql",),
    "lua.h": ("map",),
    "libfyaml.h": ("io",),
}
SYSTEM = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.M)


SHARED = {"capture"}  # folders under store/ that engines build on


def folder_of(relative):
    """('store', 'postgres') for store/postgres/x.c; the second is None elsewhere."""
    parts = pathlib.PurePath(relative).parts
    if len(parts) == 1:
        return ".", None
    return parts[0], parts[1] if parts[0] == "store" and len(parts) > 2 else None


def check_file(path):
    relative = path.relative_to(SRC)
    folder, engine = folder_of(relative)
    if folder not in LEVEL:
        return [f"src/{relative}: the folder {folder} is not in the layer order"]
    text = path.read_text(encoding="utf-8")
    found = []
    for name in INCLUDE.findall(text):
        if name in GENERATED:
            continue
        # Beside the file, else from src/.
        target = (path.parent / name).resolve()
        if not target.exists():
            target = SRC / name
        if not target.exists() or not target.is_relative_to(SRC):
            found.append(f'src/{relative}: no "{name}" beside it or in src/')
            continue
        found += check_include(relative, folder, engine, target.relative_to(SRC))
    for name in SYSTEM.findall(text):
        allowed = LIBRARIES.get(name)
        if allowed and not any((str(relative) + "/").startswith(prefix + "/") for prefix in allowed):
            found.append(f"src/{relative}: <{name}> belongs into {', '.join(allowed)}")
    return found


def check_include(relative, folder, engine, target):
    other, other_engine = folder_of(target)
    if other not in LEVEL:
        return [f"src/{relative}: includes {target}, whose folder is not in the layer order"]
    if other != folder and LEVEL[other] == LEVEL[folder]:
        return [f"src/{relative}: {folder} and {other} are on one level and never include each other ({target})"]
    if LEVEL[other] > LEVEL[folder]:
        return [f"src/{relative}: {folder} includes {target}, which is above it"]
    # What engines share is no engine.
    if other_engine in SHARED and (engine or folder == "store"):
        return []
    # Engines and wrappers under store/ are known to the registry (store/*.c) and to nobody else.
    if other_engine and other_engine != engine and folder != "store":
        return [f"src/{relative}: reaches into the engine {other_engine} ({target}); ask the store by store.h"]
    if engine and other_engine and other_engine != engine:
        return [f"src/{relative}: the engines {engine} and {other_engine} know nothing of each other ({target})"]
    return []


def complaints():
    return [line for path in sorted(SRC.rglob("*.[ch]")) for line in check_file(path)]
