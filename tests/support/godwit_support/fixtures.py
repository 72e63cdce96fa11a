"""pytest's view of the support code; conftest.py imports all of it."""
import pytest

from . import mariadb, mysql_server, postgres, roles, runner, sqlite
from .haproxy import HAProxy
from .pgbouncer import PgBouncer
from .postgres import Postgres
from .proxy import Proxy
from .writers import Writers


@pytest.fixture(scope="session")
def _templates():
    yield
    postgres.remove_templates()
    mariadb.remove_templates()
    mysql_server.remove_templates()


@pytest.fixture(scope="session")
def servers(_templates):
    """(blue, green): two servers of the distribution's version that all tests share. Do not restart these."""
    made = []
    try:
        for name in ("blue", "green"):
            made.append(Postgres(name=name))
            roles.create_roles(made[-1].start())
        yield tuple(made)
    finally:
        for server in made:
            server.remove()


@pytest.fixture
def new_server(_templates):
    """new_server(major=None, name="pg", **settings): a server of this test's own, started, with the roles."""
    made = []

    def make(major=None, name="pg", with_roles=True, **settings):
        server = Postgres(major, name, settings)
        made.append(server)
        server.start()
        if with_roles:
            roles.create_roles(server)
        return server
    yield make
    for server in made:
        server.remove()


@pytest.fixture
def new_database(servers):
    """new_database(server=None, options="", name=None): a Database, dropped at the end with its slots. Default: on blue."""
    made = []

    def make(server=None, options="", name=None):
        made.append(roles.Database(server or servers[0], name, options))
        return made[-1]
    yield make
    for database in made:
        database.drop()


@pytest.fixture
def pair(servers, new_database):
    """(blue, green): an empty Database on each of the two shared servers."""
    return new_database(servers[0]), new_database(servers[1])


@pytest.fixture
def own_pair(new_server):
    """(blue, green) on two servers of this test's own, which it may stop, kill and restart."""
    return roles.Database(new_server(name="blue")), roles.Database(new_server(name="green"))


@pytest.fixture
def new_mariadb(_templates):
    """new_mariadb(name="maria", settings=None, rights="own"): a MariaDB of this test's own, started (0.2 s)."""
    made = []

    def make(**kwargs):
        made.append(mariadb.MariaDB(**kwargs))
        return made[-1].start()
    yield make
    for server in made:
        server.remove()


@pytest.fixture
def new_mariadb_database(new_mariadb):
    """new_mariadb_database(**of the server): a Database on a MariaDB of its own."""
    return lambda **kwargs: mariadb.Database(new_mariadb(**kwargs), name="app")


@pytest.fixture
def new_mysql_database(_templates):
    """new_mysql_database(**of the server): a Database on a MySQL of its own."""
    made = []

    def make(**kwargs):
        made.append(mysql_server.MySQL(**kwargs))
        return mariadb.Database(made[-1].start(), name="app")
    yield make
    for server in made:
        server.remove()


@pytest.fixture
def new_sqlite():
    """new_sqlite(): a Database in a file of its own."""
    made = []

    def make(**kwargs):
        made.append(sqlite.Database(**kwargs))
        return made[-1]
    yield make
    for database in made:
        database.drop()


@pytest.fixture
def migration(tmp_path):
    """migration(blue, green, **store_keys): a Migration in a directory of its own; what it started is killed at the end."""
    made = []

    def make(blue=None, green=None, name="acme", **store_keys):
        directory = tmp_path / f"m{len(made)}"
        directory.mkdir(mode=0o700)
        made.append(runner.Migration(directory, blue, green, name, **store_keys))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def new_pgbouncer():
    """new_pgbouncer(database, count=1, pool_mode="transaction", settings=None), started."""
    made = []

    def make(database, **kwargs):
        made.append(PgBouncer(database, **kwargs))
        return made[-1].start()
    yield make
    for bouncer in made:
        bouncer.remove()


@pytest.fixture
def new_haproxy():
    """new_haproxy(blue, green, count=1, ...): HAProxy before two Databases, started."""
    made = []

    def make(blue, green, **kwargs):
        made.append(HAProxy(("127.0.0.1", blue.server.port), ("127.0.0.1", green.server.port), **kwargs))
        return made[-1].start()
    yield make
    for one in made:
        one.remove()


@pytest.fixture
def new_proxy():
    """new_proxy(server_or_port, delay_s=0): a relay that can be cut."""
    made = []

    def make(target, delay_s=0.0):
        made.append(Proxy(getattr(target, "port", target), delay_s))
        return made[-1]
    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def new_writers():
    """new_writers(dsn, ...): running Writers, stopped at the end at the latest."""
    made = []

    def make(dsn, **kwargs):
        made.append(Writers(dsn, **kwargs))
        return made[-1].start()
    yield make
    for writers in made:
        writers.__exit__()
