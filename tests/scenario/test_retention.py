"""finish: only when green owns by what the sides say, and only after the retention period, counted by the server."""
import re
import shutil
import time

import pytest
from godwit_support import compare, traps, writers
from godwit_support.waiting import wait_until

FINISH = ("finish", "--yes", "--no-archive")


@pytest.fixture
def switched(pair, migration):
    """switched(retain): a migration that green owns."""
    def make(retain):
        blue, green = pair
        writers.create_tables(blue, rows=50)
        m = migration(blue, green, retain=retain)
        traps.load(m)
        m.run("verify")
        traps.to_green(m)
        return blue, green, m
    return make


def test_finish_is_refused_within_the_retention_period_for_that_reason(switched):
    _, _, m = switched("1h")
    refused = m.run(*FINISH, expect=1)
    assert re.search("retention period lasts another (1h|59m)", refused.stderr) and "--now" in refused.stderr
    assert m.status()["stage"] == "retain"
    m.run(*FINISH, "--now")
    assert m.status()["stage"] == "finished"


def test_finish_passes_after_the_period_and_a_rehearsal_does_not_begin_it_anew(switched):
    _, green, m = switched("4s")
    began = green.value("SELECT extract(epoch FROM changed_at) FROM godwit.owner")
    assert "retention period" in m.run(*FINISH, expect=1).stderr
    wait_until(lambda: time.time() > float(began) + 4.1, 10, "the period to be over")
    m.run("rollback", "--rehearse", "--ignore-sessions", "--unverified")
    m.run(*FINISH)


def test_the_period_counts_by_the_server_and_not_by_this_machine(switched):
    _, green, m = switched("30d")
    assert "retention period" in m.run(*FINISH, expect=1).stderr
    green.sql("UPDATE godwit.owner SET changed_at = now() - interval '31 days'", user="godwit")
    m.run(*FINISH)


def test_going_back_and_switching_again_begins_the_period_anew(switched):
    _, green, m = switched("1h")
    green.sql("UPDATE godwit.owner SET changed_at = now() - interval '2 hours'", user="godwit")
    traps.to_blue(m)
    traps.to_green(m)
    assert "retention period" in m.run(*FINISH, expect=1).stderr


def test_finish_with_a_stale_journal_asks_the_sides_and_is_refused(switched):
    blue, green, m = switched("1s")
    journal = m.directory / ".godwit"
    shutil.copytree(journal, m.directory / "stale")
    traps.to_blue(m)
    blue.sql("UPDATE items SET n = 41 WHERE id = 1", user="app")
    shutil.rmtree(journal)
    (m.directory / "stale").rename(journal)
    refused = m.run(*FINISH, "--now", expect=1)
    assert "blue owns" in refused.stderr
    traps.catch_up(m)
    compare.assert_equal(blue, green)
