-- check: each row is a finding: severity (0 says, 1 warns, 2 blocks), id, side ('' both), what, fix.
SELECT 2, 'engine', '', CONCAT('table ', TABLE_NAME, ' is kept by ', ENGINE, ': it has no transactions, so it cannot be read consistently nor followed'),
       CONCAT('ALTER TABLE `', TABLE_NAME, '` ENGINE = InnoDB')
  FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND ENGINE <> 'InnoDB' AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|'
UNION ALL
SELECT 1, 'history', 'blue', CONCAT('table ', TABLE_NAME, ' keeps the history of its rows: the rows move, their history stays behind'), ''
  FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'SYSTEM VERSIONED'
UNION ALL
SELECT 1, 'no-key', 'blue', CONCAT('table ', t.TABLE_NAME, ' has no primary or unique key: its rows are told apart by all their columns, which is slow'),
       CONCAT('ALTER TABLE `', t.TABLE_NAME, '` ADD PRIMARY KEY (...)')
  FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE'
   AND t.TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|'
   AND NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA
                      AND s.TABLE_NAME = t.TABLE_NAME AND s.NON_UNIQUE = 0 AND s.NULLABLE <> 'YES')
UNION ALL
SELECT 0, 'event', 'blue', CONCAT('event ', EVENT_NAME, ' runs on the owner only: a green of the same engine gets it at the switch'), ''
  FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() AND STATUS = 'ENABLED'
