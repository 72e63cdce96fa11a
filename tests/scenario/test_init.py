"""init and config: a file that works as it is written, and never over another."""
import json

import pytest
import yaml

from godwit_support import roles, runner


def addresses(pair):
    return [side.dsn("godwit") for side in pair]


def test_init_writes_a_file_that_the_next_command_takes(pair, migration):
    blue, _ = pair
    blue.owner_sql("CREATE TABLE public.t (id int PRIMARY KEY)")
    move = migration()
    result = move.run("init", *addresses(pair))
    text = move.file.read_text()
    assert yaml.safe_load(text)["migration"] == blue.name.replace("_", "_")
    assert yaml.safe_load(text)["stores"]["main"]["green"]["url"] == addresses(pair)[1]
    assert "# blue  PostgreSQL" in text and "#gate:" in text.replace(" ", "")
    assert result.stdout.splitlines()[-1] == "next: godwit check"
    move.run("check")
    assert move.file.stat().st_mode & 0o077 == 0


def test_passwords_are_used_and_not_written(pair, migration):
    move = migration()
    move.env = {}
    urls = [side.dsn("godwit", with_password=True) for side in pair]
    result = move.run("init", *urls, "--name", "shop")
    text = move.file.read_text()
    assert roles.PASSWORDS["godwit"] not in text + result.stdout + result.stderr
    assert yaml.safe_load(text)["migration"] == "shop"


def test_a_file_that_is_there_is_never_overwritten_unless_forced(pair, migration):
    move = migration()
    move.file.write_text("mine")
    refused = move.run("init", *addresses(pair), expect=runner.USAGE)
    assert "--force" in refused.stderr and move.file.read_text() == "mine"
    move.run("init", *addresses(pair), "-f", "other.yaml")
    assert (move.directory / "other.yaml").exists()
    move.run("init", *addresses(pair), "--force")
    assert "migration:" in move.file.read_text()


def test_a_side_that_cannot_be_reached_is_said_and_forced_it_is_written_all_the_same(own_pair, migration):
    blue, green = own_pair
    green.server.stop()
    move = migration()
    result = move.run("init", *addresses(own_pair), expect=runner.UNREACHABLE)
    assert "green" in result.stderr and not move.file.exists()
    result = move.run("init", *addresses(own_pair), "--force")
    assert "green could not be reached when this was written" in move.file.read_text()
    assert result.stdout.splitlines()[-1] == "next: godwit check --grants"
    assert yaml.safe_load(move.file.read_text())["migration"] == blue.name


def test_init_refuses_one_database_twice_and_what_is_no_address(pair, migration):
    move = migration()
    blue = addresses(pair)[0]
    assert "same database" in move.run("init", blue, blue, expect=runner.USAGE).stderr
    move.run("init", blue, expect=runner.USAGE)
    move.run("init", blue, "oracle://somewhere/app", expect=runner.USAGE)
    move.run("init", blue, addresses(pair)[1], "--name", "No Good", expect=runner.USAGE)
    assert not move.file.exists()


def test_init_answers_in_json(pair, migration):
    move = migration()
    answer = move.run("init", *addresses(pair), "--json").json
    assert answer["blue_reached"] and answer["green_reached"] and answer["next"] == "godwit check"


@pytest.mark.parametrize("key", ["migration", "stores.NAME.copy.jobs", "follow.wal_limit", "pause_budget"])
def test_config_tells_every_setting(migration, key):
    text = migration().run("config").stdout
    assert key.split(".")[-1] in text


def test_config_gives_a_json_schema(migration):
    schema = json.loads(migration().run("config", "--schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) >= {"migration", "stores", "state"}
