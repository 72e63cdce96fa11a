#!/usr/bin/python3
"""with_servers.py COMMAND...: runs COMMAND with throwaway servers, blue and green: two each of PostgreSQL, MariaDB, MySQL.

Contract and unit tests find them in the environment, and skip what needs them when it is not set:
  GODWIT_TEST_BLUE, GODWIT_TEST_GREEN               as role godwit, a database owned by app_owner, password in the URI
  GODWIT_TEST_BLUE_OWNER, GODWIT_TEST_GREEN_OWNER   as app_owner, who makes the tables
  GODWIT_TEST_BLUE_ADMIN, GODWIT_TEST_GREEN_ADMIN   as the superuser
  GODWIT_TEST_MARIADB_BLUE and so on                the same of MariaDB, mysql://...
  GODWIT_TEST_MYSQL_BLUE and so on                  the same of MySQL
A test program cleans up after itself or uses a schema (database) of its own: they may run at the same time. On MariaDB the
owner may make databases whose names begin with "gw_".
"""
import os
import pathlib
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from godwit_support import mariadb, mysql_server, postgres, roles, versions  # noqa: E402

GW_DATABASES_SQL = "SET sql_log_bin = 0;\nGRANT ALL ON `gw\\_%`.* TO 'app_owner'@'%', 'godwit'@'%'"


def add_postgres(env, servers):
    if not versions.system_versions():
        print("with_servers: no PostgreSQL server installed; tests that need one are skipped", file=sys.stderr)
        return
    for name in ("blue", "green"):
        servers.append(postgres.Postgres(name=name))
        roles.create_roles(servers[-1].start())
        database = roles.Database(servers[-1], name=f"contract_{name}")
        prefix = f"GODWIT_TEST_{name.upper()}"
        env[prefix] = database.dsn("godwit", with_password=True, tcp=True)
        env[prefix + "_OWNER"] = database.dsn("app_owner", with_password=True, tcp=True)
        env[prefix + "_ADMIN"] = database.dsn("postgres", tcp=True)


def add_mariadb(env, servers, module=mariadb, kind=mariadb.MariaDB):
    reason = module.missing()
    if reason:
        print(f"with_servers: {reason}; tests that need {kind.product} are skipped", file=sys.stderr)
        return
    for name in ("blue", "green"):
        servers.append(kind(name=f"m{name}"))
        servers[-1].start()
        servers[-1].sql(GW_DATABASES_SQL)
        database = mariadb.Database(servers[-1], name=f"contract_{name}")
        prefix = f"GODWIT_TEST_{kind.product.upper()}_{name.upper()}"
        env[prefix] = database.dsn("godwit", tcp=True)
        env[prefix + "_OWNER"] = database.dsn("app_owner", tcp=True)
        env[prefix + "_ADMIN"] = database.dsn("root", tcp=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env, servers = dict(os.environ), []
    try:
        add_postgres(env, servers)
        add_mariadb(env, servers)
        add_mariadb(env, servers, mysql_server, mysql_server.MySQL)
        return subprocess.call(sys.argv[1:], env=env)
    finally:
        for server in servers:
            server.remove()
        postgres.remove_templates()
        mariadb.remove_templates()
        mysql_server.remove_templates()


if __name__ == "__main__":
    sys.exit(main())
