-- What godwit keeps on a side: tables godwit_* in the database that moves. Idempotent. See store/store.h, "home".
CREATE TABLE IF NOT EXISTS godwit_owner (
    one          tinyint NOT NULL PRIMARY KEY,
    owner        enum('blue', 'green') NOT NULL,
    epoch        bigint unsigned NOT NULL,
    migration    varchar(64)  NOT NULL,
    migration_id varchar(64)  NOT NULL,
    changed_at   datetime(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Written first in every transaction that applies changes here: the other direction recognises our own transactions
-- by it. `place` is the order in the other side's log, `text` its own form of it.
CREATE TABLE IF NOT EXISTS godwit_position (
    stream     varchar(40)   NOT NULL PRIMARY KEY,
    place      bigint unsigned NOT NULL,
    text       varchar(255)  NOT NULL,
    applied_at datetime(6)   NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- A loaded chunk, written first in the transaction that loads it.
CREATE TABLE IF NOT EXISTS godwit_chunk (
    id         bigint unsigned NOT NULL PRIMARY KEY,
    collection bigint unsigned NOT NULL,
    low        longtext NOT NULL,
    high       longtext NOT NULL,
    mark       longtext NOT NULL,
    row_count  bigint unsigned NOT NULL,
    bytes      bigint unsigned NOT NULL,
    loaded_at  datetime(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Rows written only to be seen in the log, and signals that arrived here by apply.
CREATE TABLE IF NOT EXISTS godwit_signal (
    kind  varchar(64)  NOT NULL PRIMARY KEY,
    token varchar(255) NOT NULL,
    at    datetime(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS godwit_seen (
    token varchar(190) NOT NULL PRIMARY KEY, -- 190: the longest key that every row format takes
    at    datetime(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS godwit_note (
    name varchar(128) NOT NULL PRIMARY KEY,
    json longtext     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Accounts that the fence has locked, noted before they are.
CREATE TABLE IF NOT EXISTS godwit_locked (
    user varchar(128) NOT NULL,
    host varchar(255) NOT NULL,
    at   datetime(6)  NOT NULL,
    PRIMARY KEY (user(100), host(90))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- What a follower has been relieved of: triggers and events, with the statement that puts each back.
CREATE TABLE IF NOT EXISTS godwit_loose (
    kind   varchar(16)  NOT NULL,
    name   varchar(128) NOT NULL,
    number int          NOT NULL,
    sql_mode varchar(1024) NOT NULL,
    charset varchar(64) NOT NULL,
    collation varchar(64) NOT NULL,
    definition longtext NOT NULL,
    PRIMARY KEY (kind, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
