#!/usr/bin/python3
"""with_postgres.py COMMAND...: runs COMMAND with two throwaway PostgreSQL servers, blue and green.

Contract and unit tests find them in the environment, and skip what needs them when it is not set:
  GODWIT_TEST_BLUE, GODWIT_TEST_GREEN               as role godwit, a database owned by app_owner, password in the URI
  GODWIT_TEST_BLUE_OWNER, GODWIT_TEST_GREEN_OWNER   as app_owner, who makes the tables
  GODWIT_TEST_BLUE_ADMIN, GODWIT_TEST_GREEN_ADMIN   as the superuser
A test program cleans up after itself or uses a schema of its own: they may run at the same time.
"""
import os
import pathlib
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from godwit_support import postgres, roles, versions  # noqa: E402


def main():
    if not versions.system_versions():
        print("with_postgres: no PostgreSQL server installed; tests that need one are skipped", file=sys.stderr)
        return subprocess.call(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env, servers = dict(os.environ), []
    try:
        for name in ("blue", "green"):
            servers.append(postgres.Postgres(name=name))
            roles.create_roles(servers[-1].start())
            database = roles.Database(servers[-1], name=f"contract_{name}")
            prefix = f"GODWIT_TEST_{name.upper()}"
            env[prefix] = database.dsn("godwit", with_password=True, tcp=True)
            env[prefix + "_OWNER"] = database.dsn("app_owner", with_password=True, tcp=True)
            env[prefix + "_ADMIN"] = database.dsn("postgres", tcp=True)
        return subprocess.call(sys.argv[1:], env=env)
    finally:
        for server in servers:
            server.remove()
        postgres.remove_templates()


if __name__ == "__main__":
    sys.exit(main())
