"""HAProxy in TCP mode in front of two servers: one process, or several that share nothing but the servers."""
import os
import pathlib
import shutil
import socket
import subprocess

from . import processes
from .waiting import wait_until


def find():
    for place in (shutil.which("haproxy"), "/usr/sbin/haproxy"):
        if place and os.access(place, os.X_OK):
            return place
    import pytest
    pytest.skip("haproxy is not installed")
    return None


class HAProxy:
    """Backend `app` with servers `blue` and `green` at (host, port) each; green is disabled. `count` processes, each
    with a port, a stats socket and a state file of its own."""

    def __init__(self, blue, green, count=1, level="admin", server="maxconn 100", backend="", keep_state=False,
                 queue="30s"):
        self.program = find()
        self.base = pathlib.Path(processes.make_base_dir("gw-hap-"))
        self.ports = [processes.free_port() for _ in range(count)]
        self.processes = [None] * count
        for index in range(count):
            self.config(index).write_text(f"""
global
    stats socket {self.socket(index)} mode 600 level {level}
    {'server-state-file ' + str(self.state_file(index)) if keep_state else ''}
    maxconn 500
defaults
    mode tcp
    timeout connect 5s
    timeout queue {queue}
    timeout client 1h
    timeout server 1h
    {'load-server-state-from-file global' if keep_state else ''}
frontend clients
    bind 127.0.0.1:{self.ports[index]}
    default_backend app
backend app
    {backend}
    server blue {blue[0]}:{blue[1]} {server}
    server green {green[0]}:{green[1]} {server} disabled
""")

    @property
    def port(self):
        return self.ports[0]

    def config(self, index=0):
        return self.base / f"haproxy{index}.cfg"

    def socket(self, index=0):
        return self.base / f"stats{index}.sock"

    def state_file(self, index=0):
        return self.base / f"state{index}"

    def sockets(self):
        return [str(self.socket(index)) for index in range(len(self.ports))]

    def start(self, index=None):
        for i in range(len(self.ports)) if index is None else [index]:
            log = (self.base / f"haproxy{i}.log").open("ab")
            self.processes[i] = subprocess.Popen([self.program, "-db", "-f", self.config(i)], stdout=log, stderr=log,
                                                 stdin=subprocess.DEVNULL)
            wait_until(lambda i=i: self._answers(i), 20, "haproxy to answer")
        return self

    def _answers(self, index):
        if self.processes[index].poll() is not None:
            raise RuntimeError(f"haproxy ended: {(self.base / f'haproxy{index}.log').read_text()[-2000:]}")
        try:
            return "Version" in self.ask("show info", index)
        except OSError:
            return False

    def ask(self, command, index=0):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.socket(index)))
            s.sendall(command.encode() + b"\n")
            said = b""
            while part := s.recv(65536):
                said += part
        return said.decode()

    def servers(self, index=0):
        """{server: {column: value}} of `show stat`."""
        lines = self.ask("show stat", index).splitlines()
        names = lines[0][2:].split(",")
        rows = [dict(zip(names, line.split(","))) for line in lines[1:] if line]
        return {row["svname"]: row for row in rows if row["pxname"] == "app"}

    def queued(self, index=0):
        return int(self.servers(index)["BACKEND"]["qcur"])

    def stop(self, index=None):
        for i in range(len(self.ports)) if index is None else [index]:
            if self.processes[i] is not None:
                self.processes[i].kill()
                self.processes[i].wait(10)
                self.processes[i] = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)
