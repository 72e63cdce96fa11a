-- The library that lends musical instruments, as SQLite has it.
CREATE TABLE branch (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(80) NOT NULL UNIQUE,
  old_name VARCHAR(60),
  opened SMALLINT,
  services INTEGER NOT NULL DEFAULT 1,
  place BLOB,
  hours JSON
);
CREATE TABLE maker (
  id INTEGER PRIMARY KEY,
  name TEXT COLLATE NOCASE NOT NULL,
  country CHAR(2) NOT NULL DEFAULT '??',
  founded SMALLINT,
  closed DATE
);
CREATE TABLE category (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INT REFERENCES category (id) ON DELETE SET NULL,
  name TEXT NOT NULL
);
CREATE TABLE member (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  badge TEXT NOT NULL UNIQUE,
  email VARCHAR(100) NOT NULL,
  name VARCHAR(100) NOT NULL,
  born DATE,
  secret BLOB,
  joined DATETIME NOT NULL,
  active BOOLEAN NOT NULL DEFAULT 1,
  plays TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX member_email ON member (lower(email));
CREATE TABLE instrument (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  serial VARCHAR(40) NOT NULL UNIQUE,
  family TEXT NOT NULL DEFAULT 'other' CHECK (family IN ('strings', 'winds', 'keys', 'drums', 'other')),
  maker_id INTEGER REFERENCES maker (id),
  category_id INTEGER REFERENCES category (id) ON DELETE SET NULL,
  value DECIMAL(12,2) NOT NULL CHECK (value >= 0),
  weight DOUBLE,
  length FLOAT,
  frets TINYINT,
  spec JSON,
  photo BLOB,
  notes TEXT,
  acquired DATETIME,
  changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  audit_note VARCHAR(40) DEFAULT 'none',
  insured INTEGER GENERATED ALWAYS AS (CAST(round(value * 110) AS INTEGER)) STORED,
  label TEXT GENERATED ALWAYS AS (serial || '/' || family) VIRTUAL
);
CREATE INDEX instrument_strings ON instrument (serial) WHERE family = 'strings';
CREATE TABLE loan (
  instrument_id INTEGER NOT NULL REFERENCES instrument (id),
  no INTEGER NOT NULL,
  member_id INTEGER NOT NULL REFERENCES member (id),
  branch_id INTEGER NOT NULL REFERENCES branch (id),
  out_at DATETIME NOT NULL,
  due DATE NOT NULL,
  back_at DATETIME,
  played TEXT,
  fee TEXT NOT NULL DEFAULT '0',
  PRIMARY KEY (instrument_id, no)
) WITHOUT ROWID;
CREATE INDEX loan_open ON loan (member_id, due) WHERE back_at IS NULL;
CREATE TABLE "order" (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  "select" VARCHAR(30),
  "group" INT,
  placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  total DECIMAL(10,3) NOT NULL DEFAULT 0
);
CREATE TABLE order_line (
  order_id INTEGER NOT NULL REFERENCES "order" (id) ON DELETE CASCADE ON UPDATE CASCADE,
  line SMALLINT NOT NULL,
  what VARCHAR(200) NOT NULL,
  quantity INT NOT NULL,
  PRIMARY KEY (order_id, line)
);
CREATE TABLE "ReadingRoom" ("Id" INTEGER PRIMARY KEY, "Seats" INTEGER NOT NULL, "Größe" REAL) STRICT;
CREATE TABLE "maße" ("maß" TEXT PRIMARY KEY NOT NULL, "länge" TEXT) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE event_log (at DATETIME NOT NULL, kind VARCHAR(20) NOT NULL, data BLOB);
CREATE VIRTUAL TABLE instrument_words USING fts5(serial, notes);
CREATE VIEW open_loan AS
  SELECT l.instrument_id, l.no, m.name, l.due FROM loan l JOIN member m ON m.id = l.member_id WHERE l.back_at IS NULL;
CREATE TRIGGER instrument_changed AFTER UPDATE OF value ON instrument WHEN NEW.value <> OLD.value BEGIN
  INSERT INTO event_log VALUES (NEW.changed, 'revalued', CAST(OLD.id || ':' || NEW.value AS BLOB));
END;
