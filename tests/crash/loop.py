"""The crash loop: migrations under a live workload, killed again and again, that must end as if nothing had happened.

A round is one migration: load, follow, switch, rollback, switch again, then finish or abort. Every command of it is
killed (at a named crash point, at a random moment, with its watchdog or without) and resumed until it is through.
After each round the writers' journal of acknowledged commits, godwit's own verify and an independent comparison must
agree, exactly one side may be writable at any time, and after the end nothing of godwit may be left.
"""
import collections
import json
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from godwit_support import compare, roles, writers
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD, PgBouncer
from godwit_support.proxy import Proxy
from godwit_support.runner import Migration
from godwit_support.waiting import pace, wait_until

import probe

TABLES = ("public.items", 'public."Odd Näme"')
ROWS = 600
# No single command may take longer, kills and restarts of servers included.
COMMAND_S = 90

# In which commands a point can come up, and in which order it does within a load, so that one load meets many of them.
# A point that is not named here is tried everywhere.
LOAD_ORDER = (
    ("postgres.prepare.before_slot", "postgres.prepare.after_slot", "postgres.capture.table", "mysql.prepare.",
     "mysql.capture.trigger", "mysql.capture.table",
     "lite.prepare.", "load.after_prepare"),
    ("follow.receive.", "spool.flush.", "spool.sync.", "capture.", "mysql.capture.", "lite.stream."),
    ("lite.schema.", "build.after_table", "mysql.build.", "lite.build.", "mapping."),
    ("schema.", "copy.split.", "reader.", "copy.chunk.", "load.after_checkpoint", "load.before_commit",
     "load.after_commit"),
    ("copy.collection.", "copy.key.", "build.after_key"),
    ("follow.apply.", "follow.cascade.", "postgres.apply.", "apply.", "lite.writer."),
    ("build.after_constraint",),
    ("load.before_step", "load.after_step", "postgres.fence.install", "mysql.fence.install",
     "load.before_green_log"),
)
LOAD = tuple(prefix for group in LOAD_ORDER for prefix in group)
FOLLOW = ("follow.", "spool.", "postgres.apply.", "apply.", "lite.writer.", "lite.stream.", "capture.",
          "mysql.capture.before_cut", "mysql.capture.after_cut", "mysql.capture.trim")
SWITCH = ("switch.", "gate.", "watchdog.", "postgres.owner.", "mysql.owner.", "lite.owner.", "postgres.fence.before_commit",
          "mysql.fence.before_", "lite.fence.", "lite.sequences.", "follow.apply.", "follow.receive.", "lease.")
END = ("end.", "postgres.drop.", "postgres.uninstall.", "postgres.capture.drop", "mysql.capture.drop", "mysql.drop.", "mysql.uninstall.",
       "lite.drop.", "lite.uninstall.", "journal.")
STAGES = {"load": LOAD, "follow": FOLLOW, "switch": SWITCH, "end": END}

# Points that this loop's migrations do not come to, each with the test that visits it.
ELSEWHERE = {
    "demo.": "tests/scenario/test_demo.py",
    "spool.roll.": "tests/unit/test_spool_crash.c",
    "spool.cut.": "tests/unit/test_spool_crash.c",
    "spool.trim.": "tests/unit/test_spool_crash.c",
    "gate.point.before_ready": "tests/scenario/test_haproxy.py",
    "gate.point.both_ready": "tests/scenario/test_haproxy.py",
    "follow.careful.": "tests/unit/test_follow.c",
    "follow.left_out.": "tests/scenario/test_rules.py",
    "mysql.fence.account": "tests/scenario/test_mysql_accounts.py",
    "schema.loosen.": "tests/scenario/test_rule9.py",
    "schema.tighten.": "tests/scenario/test_rule9.py",
    "schema.validate.": "tests/scenario/test_rule9.py",
    "schema.restore.": "tests/scenario/test_rule9.py",
}
# What belongs to other pairs than the first one, PostgreSQL to PostgreSQL: see pairs.py.
NEVER = ("lite.", "mysql.", "apply.", "build.", "mapping.", "follow.cascade.", "capture.", "postgres.capture.",
         "gate.point.before_hook", "aside.")
# The watchdog inherits the holder's environment: at these points it would die, too. That is visited as well, but first
# the holder alone is killed, by holding it there.
SHARED_WITH_WATCHDOG = ("gate.unpark.", "gate.point.", "switch.recover.", "watchdog.", "postgres.owner.", "mysql.owner.",
                        "lite.owner.", "postgres.fence.before_commit", "mysql.fence.before_", "lite.fence.before_")


def crash_points(program):
    """The names that are compiled into this binary."""
    done = subprocess.run([program, "--crash-points"], stdout=subprocess.PIPE, check=True)
    return sorted(done.stdout.decode().split())


def stages_of(point):
    found = [stage for stage, prefixes in STAGES.items() if point.startswith(prefixes)]
    return found or list(STAGES)


def group_of(point):
    for index, group in enumerate(LOAD_ORDER):
        if point.startswith(group):
            return index
    return len(LOAD_ORDER)


class TwoSides(threading.Thread):
    """Asks all the time whether both sides take writes at once: a write on one is held open while the other is tried."""

    def __init__(self, blue, green):
        super().__init__(daemon=True, name="two-sides")
        self.sides = (blue, green)
        self.probers = (probe.of(blue), probe.of(green))
        self.both = 0
        self.probes = 0
        self._stop_asked = threading.Event()

    def run(self):
        while not self._stop_asked.wait(max(prober.every_s for prober in self.probers)):
            first, second = self.probers[self.probes % 2], self.probers[1 - self.probes % 2]
            if first.write() and second.write():
                self.both += 1
            for prober in self.probers:
                prober.undo()
            self.probes += 1
        for prober in self.probers:
            prober.close()

    def stop(self):
        self._stop_asked.set()
        self.join(20)
        assert not self.is_alive()


def writable(database):
    """What the application is told when it writes there: True, or the refusal; probe.NO_ANSWER... when the server is away."""
    prober = probe.of(database)
    try:
        return True if prober.write() else prober.refusal
    finally:
        prober.close()


def answer_of(database):
    """writable(), asked again while the server is away."""
    def asked():
        answer = writable(database)
        return None if str(answer).startswith(probe.NO_ANSWER) else answer
    return wait_until(asked, 20, f"{database.name} to answer")


class Report:
    def __init__(self):
        self.kills = collections.Counter()  # by point, or by what else was done
        self.starts = 0
        self.rounds = 0
        self.rows_compared = 0
        self.differences = 0
        self.lost = 0
        self.both_writable = 0
        self.probes = 0
        self.committed = 0
        self.client_errors = 0
        self.in_doubt = 0
        self.not_reached = collections.Counter()
        self.longest_outage_s = 0.0

    def add(self, other):
        for name, value in vars(other).items():
            if name == "longest_outage_s":
                self.longest_outage_s = max(self.longest_outage_s, value)
            else:
                setattr(self, name, getattr(self, name) + value)

    @property
    def killed(self):
        return sum(self.kills.values())

    def summary(self):
        return (f"{self.killed} kills at {len(self.kills)} places in {self.rounds} migrations, {self.starts} starts, "
                f"{self.committed} commits acknowledged, {self.rows_compared} rows compared, "
                f"{self.differences} differences, {self.lost} lost, {self.both_writable} times two writable sides")


class Failed(AssertionError):
    pass


class Faults:
    """A bad network before both servers, and servers that die: something of it every few seconds while armed."""

    def __init__(self, servers, seed, rarely=False):
        self.servers = servers
        self.rng = random.Random(seed)
        self.every_s = (8, 20) if rarely else (2, 5)
        self.proxies = [Proxy(server.port) for server in servers]
        self.counts = collections.Counter()
        self._armed = threading.Event()
        self._over = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="faults")
        self._thread.start()

    def url(self, database):
        """As godwit reaches that side: through the proxy before its server."""
        proxy = self.proxies[self.servers.index(database.server)]
        return database.dsn("godwit", port=proxy.port, connect_timeout=3)

    def arm(self):
        self._armed.set()

    def disarm(self):
        """Returns when all servers run and all networks flow."""
        self._armed.clear()
        with self._busy:
            pass

    def _run(self):
        while not self._over.wait(self.rng.uniform(*self.every_s)):
            if not self._armed.is_set():
                continue
            with self._busy:
                if self._armed.is_set():
                    self._disturb()

    def _disturb(self):
        which = self.rng.randrange(2)
        kind = sum(self.counts.values()) % 3
        if kind == 0:
            self.counts["server killed"] += 1
            self.servers[which].kill()
            self.servers[which].start()
        elif kind == 1:
            self.counts["sessions reset"] += 1
            self.proxies[which].reset()
            self._over.wait(self.rng.uniform(0.1, 1))
            self.proxies[which].restore()
        else:
            self.counts["network cut"] += 1
            self.proxies[which].cut()
            self._over.wait(self.rng.uniform(0.1, 2))
            self.proxies[which].restore()

    def close(self):
        self._over.set()
        self._armed.clear()
        self._thread.join(60)
        for proxy in self.proxies:
            proxy.close()


class Round:
    """One migration. `kills`: a Chooser."""

    moments_s = (0.05, 0.2, 0.5, 1.0)  # a random moment comes at so much on average

    def __init__(self, servers, directory, chooser, report, rng, faults=None, say=lambda line: None):
        self.report, self.chooser, self.rng, self.say = report, chooser, rng, say
        self.faults = faults  # None, or Faults
        self.number = report.rounds
        self.directory = pathlib.Path(directory) / f"round{self.number}"
        self.directory.mkdir(mode=0o700)
        self.seed = rng.randrange(1 << 30)
        # With small batches a transaction is applied in several parts.
        self.store = {"copy": {"jobs": 2, "chunk_rows": 100}, "follow": {"batch_rows": rng.choice((3, 10000))}}
        self.sides = None
        self.owner = "blue"
        self.log = collections.deque(maxlen=40)
        self.prepare(servers)

    def prepare(self, servers):
        """Sets blue, green, m (the migration) and live (the writers)."""
        self.blue, self.green = roles.Database(servers[0]), roles.Database(servers[1])
        writers.create_tables(self.blue, tables=TABLES, rows=ROWS)
        self.blue.owner_sql("CREATE TABLE public.bag (a int, b text); INSERT INTO public.bag SELECT i % 5, NULL FROM"
                            " generate_series(1, 40) i; CREATE TABLE public.none (id int PRIMARY KEY)")
        self.bouncer = PgBouncer(self.blue).start()
        url = self.faults.url if self.faults else lambda side: side.dsn("godwit")
        self.m = Migration(self.directory, url(self.blue), url(self.green), **self.store,
                           gate={"type": "pgbouncer", "database": "app", "ini": str(self.bouncer.ini()),
                                 "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{self.bouncer.port}/pgbouncer",
                                 "lease": "2s"})
        if self.faults:
            self.m.store["gate"].update(blue=f"127.0.0.1:{servers[0].port}/{self.blue.name}",
                                        green=f"127.0.0.1:{servers[1].port}/{self.green.name}")
            self.m.write()
        dsn = f"host=127.0.0.1 port={self.bouncer.port} dbname=app user=app password={roles.PASSWORDS['app']}"
        self.live = writers.Writers(dsn, tables=TABLES, rows=ROWS, count=3, rate=120, seed=self.seed)

    # --- one command, killed and resumed until it is through ---

    def once(self, args, env, kill_after_s=None, hold=None):
        """Starts it once. Returns "killed", or the Result of a command that ended by itself."""
        self.report.starts += 1
        process = self.m.popen(*args, env=env)
        if kill_after_s is not None:
            try:
                process.popen.wait(kill_after_s)
            except Exception:
                process.popen.send_signal(signal.SIGKILL)
        if hold is not None:
            wait_until(lambda: hold.with_name(hold.name + ".reached").exists() or not process.alive(), COMMAND_S,
                       f"{args} to be held or to end\n{process.stderr[-2000:]}")
            if process.alive():
                process.popen.send_signal(signal.SIGKILL)
                process.popen.wait(10)
            hold.unlink()
            hold.with_name(hold.name + ".reached").unlink(missing_ok=True)
        result = process.wait(COMMAND_S)
        why = result.stderr.strip().splitlines()[-3:] if result.rc > 0 else ""
        self.log.append(f"{' '.join(args)} {env or ''} -> {result.rc} {why}")
        return "killed" if result.rc == -signal.SIGKILL else result

    def kill(self, args, point):
        """Runs it with one kill planned; returns as once()."""
        if point == "at a random moment":
            return self.once(args, None, kill_after_s=self.rng.choice(self.chooser.moments_s) * self.rng.random() * 2)
        name, _, how = point.partition(" ")
        if how == "alone":
            # A name never used before: the watchdog of an earlier kill may still come by.
            hold = self.directory / f"hold{self.report.starts}"
            hold.touch()
            return self.once(args, {"GODWIT_HOLD_AT": f"{name}={hold}"}, hold=hold)
        times = self.chooser.times(name)
        return self.once(args, {"GODWIT_CRASH_AT": f"{name}:{times}"})

    def drive(self, stage, args, done, kills):
        """Until `done()`; up to `kills` planned kills on the way."""
        for point in self.chooser.plan(stage, kills):
            began = time.monotonic()
            result = self.kill(args, point)
            if result == "killed":
                self.report.kills[point] += 1
                self.chooser.visited(point)
                self.say(f"    {stage}: killed {point}")
                if stage == "switch":
                    self.after_killed_switch()
                continue
            self.report.not_reached[point] += 1
            self.chooser.missed(stage, point)
            self.say(f"    {stage}: not reached {point} ({time.monotonic() - began:.1f} s, exit {result.rc})")
            self.check(args, result)
            if stage != "follow" and done():
                return
        until = time.monotonic() + (90 if self.faults else 20)
        while not done():
            result = self.once(args, None)
            if result == "killed":
                raise Failed(f"{args} was killed by somebody else")
            self.check(args, result)
            if result.rc in (4, 5):
                pace(0.2)  # no condition to wait for: the network comes back when it does
            if time.monotonic() > until:
                raise Failed(f"{args} does not get through\n" + "\n".join(self.log) + f"\n{result}")

    def check(self, args, result):
        """0, or an honest refusal that a later try may overcome."""
        allowed = (0, 1, 4, 5) if self.faults else (0, 1)
        if result.rc not in allowed:
            raise Failed(f"unexpected exit\n{result}")
        if result.rc != 0 and args[0] not in ("switch", "rollback") and not self.faults:
            raise Failed(f"a resumed {args[0]} must go on\n" + "\n".join(self.log) + f"\n{result}")

    def status(self):
        """An empty one where the journal was never begun."""
        answer = self.m.status(timeout=COMMAND_S)
        return answer if "stage" in answer else {"stage": answer["error"], "owner": "unknown"}

    # --- the stages ---

    def run(self):
        try:
            with self.live:
                wait_until(lambda: self.live.committed > 5, 30, "the workload")
                if self.faults:
                    self.faults.arm()
                self.load()
                self.sides = TwoSides(self.blue, self.green)
                self.sides.start()
                try:
                    self.day()
                    self.follow()
                    for target in self.chooser.flips():
                        self.day()
                        self.flip(target)
                    self.day()
                finally:
                    if self.faults:
                        self.faults.disarm()
                    self.sides.stop()
                    self.report.probes += self.sides.probes
                    self.report.both_writable += self.sides.both
                if self.sides.both:
                    raise Failed(f"both sides took writes at once, {self.sides.both} times\n" + "\n".join(self.log))
                wait_until(lambda: self.progress(), 30, "the workload to go on")
                self.live.stop()
                self.reconcile()
                self.end()
        except BaseException:
            self.say("    " + "\n    ".join(self.log))
            raise
        finally:
            if self.faults:
                self.faults.disarm()
            self.report.rounds += 1
            self.report.committed += self.live.committed
            self.report.client_errors += len(self.live.errors)
            self.report.in_doubt += self.live.in_doubt
            self.report.longest_outage_s = max(self.report.longest_outage_s, self.live.worst_latency_s)
            self.close()

    def progress(self):
        before = self.live.committed
        wait_until(lambda: self.live.committed > before + 3, 30,
                   f"the application's writes to go on (last errors: {self.live.errors[-3:]})")
        return True

    def load(self):
        args = ("follow", "--until", "caught-up")
        self.drive("load", args, lambda: self.status()["stage"] == "follow", self.chooser.per_load)

    def day(self):
        """More of the application's work on the owner, while nothing of godwit runs."""

    def follow(self):
        ended = []

        def once_more():
            ended.append(1)
            return len(ended) > 1
        self.drive("follow", ("follow", "--until", "caught-up"), once_more, self.chooser.per_follow)

    def flip(self, target):
        command = "switch" if target == "green" else "rollback"
        args = (command, "--yes", "--unverified", "--ignore-sessions")
        self.drive("switch", args, lambda: self.status()["owner"] == target and self.settled(), self.chooser.per_switch)
        self.owner = target
        self.progress()
        self.one_writable(target)
        if not self.faults and self.live.errors:
            raise Failed(f"the application saw errors: {self.live.errors[:5]}\n" + "\n".join(self.log))

    def settled(self):
        return self.status()["stage"] in ("follow", "retain")

    def after_killed_switch(self):
        """Mostly the watchdog is given its time; sometimes the operator is as fast as it is."""
        if self.rng.random() < 0.4:
            return
        folder = self.m.directory / ".godwit" / self.m.name
        lease = folder / "lease"

        def quiet():
            try:
                return json.loads(lease.read_text())["state"] != "held"
            except (OSError, ValueError):
                return True
        deadline = time.monotonic() + 4
        while not quiet() and time.monotonic() < deadline:
            pace(0.02)

    def one_writable(self, target):
        sides = {"blue": self.blue, "green": self.green}
        other = "green" if target == "blue" else "blue"
        wait_until(lambda: writable(sides[target]) is True, 10, f"{target} to take writes")
        refusal = answer_of(sides[other])
        if refusal is True or "godwit" not in refusal:
            raise Failed(f"{other} is not fenced: {refusal}")

    def reconcile(self):
        self.drive("none", ("follow", "--until", "caught-up"), self.twice(), 0)
        self.m.run("verify", timeout=COMMAND_S)
        differences, rows = self.compare()
        self.report.differences += len(differences)
        self.report.rows_compared += rows
        for side in (self.blue, self.green):
            wrong = self.live.lost_or_wrong(side)
            self.report.lost += len(wrong)
            if wrong:
                raise Failed(f"acknowledged commits contradicted by {side.name}: {wrong}\n" + "\n".join(self.log))
        if differences:
            raise Failed("\n".join(map(str, differences)) + "\n" + "\n".join(self.log))

    def compare(self):
        """(differences, rows looked at)"""
        return compare.compare(self.blue, self.green), compare.row_count(self.blue)

    @staticmethod
    def twice():
        seen = []

        def done():
            seen.append(1)
            return len(seen) > 1
        return done

    def end(self):
        if self.owner == "green":
            args, last = ("finish", "--yes", "--now", "--no-archive"), "finished"
        else:
            args, last = ("abort", "--yes"), "aborted"
        self.drive("end", args, lambda: self.status()["stage"] == last, self.chooser.per_end)
        for side in (self.blue, self.green):
            left = self.leftovers(side)
            if left:
                raise Failed(f"left behind on {side.name}: {left}\n" + "\n".join(self.log))
            answer = answer_of(side)
            if answer is not True:
                raise Failed(f"{side.name} is still fenced: {answer}")

    def close(self):
        self.m.close()
        self.remove_gate()
        self.blue.drop()
        self.green.drop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove_gate(self):
        self.bouncer.remove()

    @staticmethod
    def leftovers(side):
        """Everything on that side that carries godwit's name, by the catalogs."""
        return probe.leftovers(side)


class Chooser:
    """Which kill comes next: every point at least once in a shuffled order, then the ones killed least."""

    per_load, per_follow, per_switch, per_end = 14, 4, 3, 2
    moments_s = Round.moments_s

    def __init__(self, points, rng, random_moments=0.15, never=NEVER):
        """`never`: beginnings of points that these migrations do not come to."""
        self.rng = rng
        points = [point for point in points if not point.startswith((*never, *ELSEWHERE))]
        self.random_moments = random_moments
        self.wanted = collections.OrderedDict()
        order = list(points)
        rng.shuffle(order)
        self.points = order
        self.count = collections.Counter()
        self.misses = collections.Counter()
        self.to_visit = set()
        for point in order:
            self.to_visit.update(self.ways(point))

    @staticmethod
    def ways(point):
        """The same point kills the holder with its watchdog, or the holder alone."""
        if point.startswith("watchdog."):
            return []
        if point.startswith(SHARED_WITH_WATCHDOG):
            return [point, f"{point} alone"]
        return [point]

    def times(self, name):
        """Mostly the first time it is reached, now and then a later one."""
        if name == "switch.after_step":
            return 1 + self.count[name] % 10
        if name in ("load.before_step", "load.after_step"):
            return 1 + self.count[name] % 3
        return 1 if self.count[name] == 0 else self.rng.choice((1, 1, 2, 3, 5))

    def plan(self, stage, kills):
        if kills == 0:
            return
        candidates = [way for point in self.points if stage in stages_of(point) for way in self.ways(point)]
        self.rng.shuffle(candidates)
        candidates.sort(key=lambda way: (way not in self.to_visit, self.misses[(stage, way)], self.count[way]))
        if stage == "load":
            kills = max(kills, sum(way in self.to_visit for way in candidates))
        chosen = (candidates * (1 + kills // max(1, len(candidates))))[:kills]
        if self.random_moments:
            chosen = [way if self.rng.random() > self.random_moments else "at a random moment" for way in chosen]
        if stage == "load":
            # What a load did not come to before ends this one as well: tried last.
            chosen.sort(key=lambda way: (self.misses[(stage, way)] > 0,
                                         group_of(way.partition(" ")[0]) if way in candidates else self.rng.random() * 5))
        yield from chosen

    def visited(self, way):
        self.count[way] += 1
        self.to_visit.discard(way)

    def missed(self, stage, way):
        self.misses[(stage, way)] += 1

    def flips(self):
        return self.rng.choice((("green", "blue", "green"), ("green", "blue"), ("green",)))


class Loop:
    """`round_of`, `never`: the kind of pair, see pairs.py."""

    def __init__(self, servers, points, seed, faults=None, say=lambda line: None, random_moments=0.1, round_of=Round,
                 never=NEVER):
        self.servers, self.faults, self.say, self.round_of = tuple(servers), faults, say, round_of
        self.rng = random.Random(seed)
        self.report = Report()
        self.chooser = Chooser(points, self.rng, random_moments, never)
        self.chooser.moments_s = round_of.moments_s
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="godwit-crash-", dir="/tmp"))

    def run(self, enough):
        """Rounds until enough(report, chooser) is true of what was done."""
        try:
            while not enough(self.report, self.chooser):
                self.say(f"  round {self.report.rounds}: {self.report.summary()}")
                self.round_of(self.servers, self.directory, self.chooser, self.report, self.rng, self.faults, self.say).run()
            return self.report
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
