-- A library that lends musical instruments: what MariaDB has of types, keys and objects. Statements with a body of their
-- own stand between lines that say "//".
CREATE TABLE branch (
  id smallint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(80) NOT NULL COMMENT 'as on the door',
  old_name varchar(60) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci,
  opened year,
  services bit(8) NOT NULL DEFAULT b'00000001',
  place point,
  hours json,
  UNIQUE KEY branch_name (name)
) ENGINE=InnoDB COMMENT='where instruments are lent';
CREATE TABLE maker (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(120) NOT NULL,
  country char(2) NOT NULL DEFAULT '??',
  founded smallint,
  closed date DEFAULT NULL
) ENGINE=InnoDB;
CREATE TABLE category (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  parent int,
  name varchar(60) NOT NULL,
  CONSTRAINT category_parent FOREIGN KEY (parent) REFERENCES category (id) ON DELETE SET NULL
) ENGINE=InnoDB AUTO_INCREMENT=500;
CREATE TABLE member (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  badge bigint unsigned NOT NULL,
  email varchar(100) NOT NULL,
  name varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
  born date,
  secret binary(8),
  joined datetime(6) NOT NULL,
  active tinyint(1) NOT NULL DEFAULT 1,
  plays set('strings','winds','keys','drums') NOT NULL DEFAULT '',
  UNIQUE KEY member_badge (badge),
  UNIQUE KEY member_email (email)
) ENGINE=InnoDB;
CREATE TABLE instrument (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  serial varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  family enum('strings','winds','keys','drums','other') NOT NULL DEFAULT 'other',
  maker_id int unsigned,
  category_id int,
  value decimal(12,2) NOT NULL,
  weight double,
  length float,
  frets tinyint unsigned,
  spec json,
  photo mediumblob,
  notes text,
  acquired datetime(6),
  changed timestamp(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
  audit_note varchar(40) INVISIBLE DEFAULT 'none',
  insured decimal(14,2) GENERATED ALWAYS AS (value * 1.10) STORED,
  label varchar(60) GENERATED ALWAYS AS (concat(serial, '/', family)) VIRTUAL,
  UNIQUE KEY instrument_serial (serial),
  KEY instrument_notes (notes(20)),
  KEY instrument_label (label),
  FULLTEXT KEY instrument_words (notes),
  CONSTRAINT instrument_value CHECK (value >= 0),
  CONSTRAINT instrument_maker FOREIGN KEY (maker_id) REFERENCES maker (id),
  CONSTRAINT instrument_category FOREIGN KEY (category_id) REFERENCES category (id) ON DELETE SET NULL
) ENGINE=InnoDB;
CREATE TABLE loan (
  instrument_id bigint NOT NULL,
  no int unsigned NOT NULL,
  member_id bigint unsigned NOT NULL,
  branch_id smallint unsigned NOT NULL,
  out_at datetime(6) NOT NULL,
  due date NOT NULL,
  back_at datetime,
  played time(3),
  fee decimal(30,10) NOT NULL DEFAULT 0,
  PRIMARY KEY (instrument_id, no),
  KEY loan_member (member_id, due),
  CONSTRAINT loan_fee CHECK (fee >= 0),
  CONSTRAINT loan_instrument FOREIGN KEY (instrument_id) REFERENCES instrument (id),
  CONSTRAINT loan_by FOREIGN KEY (member_id) REFERENCES member (id),
  CONSTRAINT loan_at FOREIGN KEY (branch_id) REFERENCES branch (id)
) ENGINE=InnoDB;
CREATE TABLE `order` (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `select` varchar(30),
  `group` int,
  placed timestamp NOT NULL DEFAULT current_timestamp(),
  total decimal(10,3) NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE order_line (
  order_id int NOT NULL,
  line smallint NOT NULL,
  what varchar(200) NOT NULL,
  quantity mediumint unsigned NOT NULL,
  PRIMARY KEY (order_id, line),
  CONSTRAINT order_line_order FOREIGN KEY (order_id) REFERENCES `order` (id) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB;
CREATE TABLE `ReadingRoom` (
  `Id` int NOT NULL PRIMARY KEY,
  `Seats` tinyint NOT NULL,
  `Größe` double
) ENGINE=InnoDB;
CREATE TABLE `maße` (
  `maß` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  `länge` decimal(65,30)
) ENGINE=InnoDB;
CREATE TABLE setting (
  name varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  value longtext
) ENGINE=InnoDB;
CREATE TABLE event_log (
  at datetime(3) NOT NULL,
  kind varchar(20) NOT NULL,
  data varbinary(100)
) ENGINE=InnoDB;
CREATE VIEW open_loan AS
  SELECT l.instrument_id, l.no, m.name, l.due FROM loan l JOIN member m ON m.id = l.member_id WHERE l.back_at IS NULL;
//
CREATE TRIGGER instrument_changed AFTER UPDATE ON instrument FOR EACH ROW BEGIN
  IF NEW.value <> OLD.value THEN
    INSERT INTO event_log VALUES (NEW.changed, 'revalued', concat(OLD.id, ':', NEW.value));
  END IF;
END
//
CREATE EVENT tidy ON SCHEDULE EVERY 1 HOUR DO DELETE FROM event_log WHERE at < '1970-01-02';
CREATE EVENT heartbeat ON SCHEDULE EVERY 1 SECOND DO UPDATE setting SET value = value + 1 WHERE name = 'heartbeat';
