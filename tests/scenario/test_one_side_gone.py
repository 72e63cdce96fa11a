"""One side is gone for good: the other must be free of godwit all the same, and nobody may be told that all is well."""
import subprocess

from godwit_support import postgres, traps, writers
from godwit_support.waiting import wait_until


def left_on(side):
    """What of godwit is in this database."""
    return side.sql("SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()"
                    " UNION ALL SELECT 'publication ' || pubname FROM pg_publication"
                    " UNION ALL SELECT 'trigger on ' || tgrelid::regclass FROM pg_trigger WHERE tgname ~ 'godwit'"
                    " UNION ALL SELECT 'schema godwit' FROM pg_namespace WHERE nspname = 'godwit'")


def loaded(own_pair, migration):
    blue, green = own_pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    return blue, green, m


def test_abort_cleans_the_side_that_answers_and_the_other_once_it_is_back(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    green.server.stop("immediate")
    for _ in range(2):  # it may be repeated
        result = m.run("abort", "--yes", "--json", expect=1)
        assert result.json["left"] == ["green"] and not result.json["nothing_left"]
        assert "green" in result.stderr and "abort" in result.stderr
        assert left_on(blue) == []
        assert m.status()["stage"] == "abort"
    blue.sql("UPDATE items SET n = 1 WHERE id = 1", user="app")
    green.server.start()
    m.run("abort", "--yes")
    assert left_on(green) == [] and m.status()["stage"] == "aborted"


def test_abort_by_a_live_runner_cleans_the_side_that_answers(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 60, "the runner to verify")
    green.server.stop("immediate")
    result = m.run("abort", "--yes", expect=1, timeout=90)
    assert "green" in result.stderr
    assert left_on(blue) == []
    runner.stop(expect=None)
    green.server.start()
    m.run("abort", "--yes")
    assert left_on(green) == []


def test_abort_with_blue_gone_frees_green(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    blue.server.stop("immediate")
    assert m.run("abort", "--yes", "--json", expect=1).json["left"] == ["blue"]
    assert left_on(green) == []
    blue.server.start()
    m.run("abort", "--yes")
    assert left_on(blue) == []


def test_abort_is_unreachable_when_neither_side_answers(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    for side in (blue, green):
        side.server.stop("immediate")
    refused = m.run("abort", "--yes", expect=4)
    assert "\t" not in refused.stderr, "one line, however libpq says it"
    assert m.status()["stage"] == "follow"
    never = migration("postgresql://godwit@127.0.0.1:1/a", "postgresql://godwit@127.0.0.1:1/b", name="never")
    assert "nothing was begun" in never.run("abort", "--yes", expect=4).stderr


def test_finish_frees_green_when_blue_is_gone(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    traps.to_green(m)
    blue.server.stop("immediate")
    result = m.run("finish", "--yes", "--now", "--no-archive", "--json", expect=1)
    assert result.json["left"] == ["blue"]
    assert left_on(green) == []
    blue.server.start()
    m.run("finish", "--yes", "--now", "--no-archive")
    assert left_on(blue) == []


def test_finish_is_refused_when_green_cannot_be_asked(own_pair, migration):
    _, green, m = loaded(own_pair, migration)
    traps.to_green(m)
    green.server.stop("immediate")
    m.run("finish", "--yes", "--now", "--no-archive", expect=4)
    assert m.status()["stage"] == "retain"


def test_break_glass_of_a_side_needs_no_other_side_and_works(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    green.server.stop("immediate")
    asked = m.run("plan", "--break-glass", "blue").stdout
    blue.server.stop("fast")
    named = m.run("plan", "--break-glass", "blue").stdout
    assert "on green" in m.run("plan", "--break-glass", "green").stdout
    blue.server.start()
    assert left_on(blue)
    for script in (named, asked):
        done = subprocess.run([postgres.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1",
                               blue.server.dsn("godwit", blue.name), "-f", "-"], input=script.encode(),
                              env={"PGPASSFILE": m.env["PGPASSFILE"]}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout.decode()
        assert left_on(blue) == []


def test_status_check_says_no_when_a_side_cannot_be_asked(own_pair, migration):
    blue, green, m = loaded(own_pair, migration)
    m.run("verify")
    m.run("status", "--check")
    for gone, name in ((green, "green"), (blue, "blue")):
        gone.server.stop("immediate")
        said = m.run("status", "--check", expect=1)
        assert name in said.stdout[said.stdout.index("blocks"):]
        assert "owner UNKNOWN" in said.stdout
        gone.server.start()
        wait_until(lambda: m.run("status", "--check", expect=None).rc == 0, 20, "status to be well again")
