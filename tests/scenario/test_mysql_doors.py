"""How godwit gets in: TLS with and without a certificate that is believed, and caching_sha2_password, of which no server is to
be had here: a double speaks its handshake to the real client library.
"""
import shutil
import subprocess

import pytest

from godwit_support import processes, sha2_double, unlike

NOTE = {"note": (["id"], {"id": "int", "v": "text"})}


def openssl(*args, **kwargs):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """{"ca", "other", "cert", "key"}: paths; the server's certificate is for 127.0.0.1 and localhost."""
    where = tmp_path_factory.mktemp("tls")
    where.chmod(0o755)
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=test {name}", "-keyout", where / f"{name}.key",
                "-out", where / f"{name}.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", where / "server.key", "-out", where / "server.csr")
    (where / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", where / "server.csr", "-CA", where / "ca.pem", "-CAkey", where / "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", where / "names", "-out", where / "server.pem")
    return {"ca": where / "ca.pem", "other": where / "other.pem", "cert": where / "server.pem", "key": where / "server.key"}


@pytest.fixture
def tls_database(certificates, new_mariadb_database):
    """A database on a server with TLS, where godwit's account is let in by TLS alone."""
    made = []

    def make(name):
        made.append(processes.make_base_dir("gw-tls-"))
        for part in ("cert", "key"):
            shutil.copy(certificates[part], f"{made[-1]}/{part}")
            processes.give_to_server_user(f"{made[-1]}/{part}")
        database = new_mariadb_database(name=name, settings={"ssl_cert": f"{made[-1]}/cert", "ssl_key": f"{made[-1]}/key"})
        database.server.sql("ALTER USER 'godwit'@'%' REQUIRE SSL")
        return database
    yield make
    for place in made:
        processes.remove_tree(place)


def with_tls(database, mode, ca=None):
    more = {"ssl-ca": str(ca)} if ca else {}
    return database.dsn(tcp=True, **{"ssl-mode": mode, **more})


def words(result):
    return " ".join((result.stdout + result.stderr).split())


def test_copy_and_follow_under_tls_with_a_certificate_that_is_believed(migration, tls_database, certificates):
    """Every session is under TLS, that which reads the binlog too: the account is let in by nothing else."""
    blue, green = tls_database("blue"), tls_database("green")
    blue.owner_sql("CREATE TABLE note (id int PRIMARY KEY, v longtext);\nINSERT INTO note VALUES (1, 'one'), (2, REPEAT('x', 300000))")
    m = migration(with_tls(blue, "verify_identity", certificates["ca"]), with_tls(green, "required"))
    m.run("copy", timeout=120)
    blue.owner_sql("INSERT INTO note VALUES (3, REPEAT('y', 500000)), (4, '')")
    m.run("follow", "--until", "caught-up", timeout=120)
    unlike.assert_equal(blue, green, NOTE)
    m.run("abort", "--yes", timeout=60)


def test_another_authority_is_refused_and_so_is_no_tls(migration, tls_database, certificates, new_mariadb_database):
    blue, plain = tls_database("blue"), new_mariadb_database(name="plain")
    for mode in ("verify_ca", "verify_identity"):
        refused = migration(with_tls(blue, mode, certificates["other"]), plain).run("check", expect=(1, 4))
        assert "ssl-ca" in words(refused) and "certificate" in words(refused).lower(), words(refused)
    refused = migration(with_tls(plain, "required"), with_tls(blue, "required")).run("check", expect=(1, 4))
    assert "offers no TLS" in words(refused), words(refused)
    refused = migration(with_tls(blue, "disabled"), plain).run("check", expect=(1, 4))
    assert "Access denied" in words(refused), words(refused)


@pytest.fixture
def double(tmp_path):
    made = []

    def make(**kwargs):
        made.append(sha2_double.Double("s3cret", sha2_double.make_key(tmp_path), **kwargs))
        return made[-1]
    yield make
    for one in made:
        one.close()


def knock(migration, new_sqlite, double, word="s3cret", **params):
    query = "&".join(f"{name}={value}" for name, value in {"ssl-mode": "disabled", **params}.items())
    m = migration(f"mysql://godwit:{word}@127.0.0.1:{double.port}/app?{query}", new_sqlite())
    return words(m.run("check", expect=(1, 4)))


@pytest.mark.parametrize("way, tls, seen", (
    ("fast", False, ["fast", "in"]),
    ("fast", True, ["tls", "fast", "in"]),
    ("full", False, ["asked for the key", "by the key", "in"]),
    ("full", True, ["tls", "in the clear, under TLS", "in"]),
))
def test_caching_sha2_password_lets_in(way, tls, seen, migration, new_sqlite, double, certificates):
    server = double(way=way, cert=(certificates["cert"], certificates["key"]) if tls else None)
    said = knock(migration, new_sqlite, server, **({"ssl-mode": "required"} if tls else {}))
    assert server.seen[:len(seen)] == seen, (server.seen, said)
    assert sha2_double.GOODBYE.decode() in said


@pytest.mark.parametrize("way", ("fast", "full"))
def test_caching_sha2_password_refuses_another_word(way, migration, new_sqlite, double):
    server = double(way=way)
    said = knock(migration, new_sqlite, server, word="another")
    assert "Access denied" in said and "password" in said and "in" not in server.seen


def test_a_library_without_the_plugin_says_what_is_missing(migration, new_sqlite, double, tmp_path):
    said = knock(migration, new_sqlite, double(), plugin_dir=tmp_path)
    assert "caching_sha2_password" in said and "libmariadb3" in said and "plugin_dir" in said, said
