"""Child processes as an unprivileged user, none of which outlives the test run."""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile


def server_user():
    """The user servers run as when we are root (they refuse root), or None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("no unprivileged user to run PostgreSQL as (postgres, nobody)")


def as_server_user(argv, death_signal="INT"):
    """argv run as the server user; the kernel sends it `death_signal` when the thread that started it dies."""
    user = server_user()
    prefix = ["setpriv"]
    if user is not None:
        prefix += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return prefix + ["--pdeathsig", death_signal, "--"] + [str(a) for a in argv]


def give_to_server_user(path):
    user = server_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


# A unix socket's name has 107 bytes.
LONGEST_TMPDIR = 40


def make_base_dir(prefix="godwit-test-"):
    """A short path that the server user can reach. ./dev test lets TMPDIR be in memory."""
    tmpdir = tempfile.gettempdir()
    base = tempfile.mkdtemp(prefix=prefix, dir=tmpdir if len(tmpdir) <= LONGEST_TMPDIR else "/tmp")
    os.chmod(base, 0o755)
    return base


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)


# Below the ports that the kernel gives to outgoing connections: none of those can take one before its server binds it.
PORTS = (15000, 32000)
_claims = []


def free_port():
    """A port of this process alone, as long as it lives: claimed by a name that the kernel gives to one only."""
    for port in random.SystemRandom().sample(range(*PORTS), 500):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0godwit-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise RuntimeError(f"no free port between {PORTS[0]} and {PORTS[1]}")


def server_env():
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    env.update(LC_ALL="C.UTF-8", TZ="UTC", HOME="/tmp")
    return env


def run_as_server_user(argv, timeout=120, **kwargs):
    done = subprocess.run(as_server_user(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          cwd="/tmp", env=server_env(), timeout=timeout, check=False, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed ({done.returncode}):\n{done.stdout.decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def end_process(process, first_signal=signal.SIGTERM, patience_s=20):
    """Signals a Popen and waits; kills it when it takes longer than patience_s."""
    if process.poll() is None:
        process.send_signal(first_signal)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    return process.returncode
