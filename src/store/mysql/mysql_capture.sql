-- Capture by triggers: what triggers write down, and how it is cut into batches. Idempotent. See capture.h and
-- store/capture/capture.h. The triggers are made by capture_prepare.c.
--
-- `seq` is drawn (UUID_SHORT) as a trigger fires, while the row that is changed is locked. Not AUTO_INCREMENT: a statement
-- that fires a trigger twice reserves numbers ahead, and uses them after others have drawn larger ones for the same row.
-- Nothing but the primary key: an insert at the end that waits for nobody. rel 0: op 'O' is a transaction of ours, 'S' a signal.
CREATE TABLE IF NOT EXISTS godwit_capture (
    seq   bigint unsigned NOT NULL PRIMARY KEY,
    rel   int unsigned    NOT NULL,
    op    char(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at    timestamp(6)    NULL DEFAULT CURRENT_TIMESTAMP(6),
    was   longblob,
    image longblob
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
-- Durable before anything of a batch is handed out. `runs`: its numbers, as capture_runs.c writes them; what is trimmed of
-- it is out of them. The newest one that is trimmed is the oldest that is known.
CREATE TABLE IF NOT EXISTS godwit_capture_batch (
    number       bigint unsigned NOT NULL PRIMARY KEY,
    before_order bigint unsigned NOT NULL,
    transactions int unsigned    NOT NULL,
    ours         tinyint         NOT NULL,
    stamp        bigint unsigned NOT NULL,
    wall_us      bigint          NOT NULL,
    trimmed      tinyint         NOT NULL,
    runs         longtext CHARACTER SET ascii NOT NULL
) ENGINE = InnoDB;
-- Who cuts holds its row.
CREATE TABLE IF NOT EXISTS godwit_capture_cut (
    one tinyint NOT NULL PRIMARY KEY
) ENGINE = InnoDB;
-- The tables with our triggers. `columns`: what an image holds, in order. `figure`: of the triggers as they were made.
CREATE TABLE IF NOT EXISTS godwit_capture_table (
    rel     int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name    varchar(64)  NOT NULL,
    columns longtext     NOT NULL,
    figure  varchar(255) NOT NULL,
    UNIQUE KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO godwit_capture_cut (one) VALUES (1);
