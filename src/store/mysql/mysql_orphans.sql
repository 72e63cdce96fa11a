-- A statement for each foreign key that cascades: it gives a row where one refers to a parent that is not there.
SELECT k.TABLE_NAME, k.CONSTRAINT_NAME,
       CONCAT('SELECT 1 FROM `', REPLACE(k.TABLE_NAME, '`', '``'), '` c LEFT JOIN `',
              REPLACE(k.REFERENCED_TABLE_NAME, '`', '``'), '` p ON ',
              GROUP_CONCAT(CONCAT('c.`', REPLACE(k.COLUMN_NAME, '`', '``'), '` = p.`',
                                  REPLACE(k.REFERENCED_COLUMN_NAME, '`', '``'), '`') SEPARATOR ' AND '), ' WHERE ',
              GROUP_CONCAT(CONCAT('c.`', REPLACE(k.COLUMN_NAME, '`', '``'), '` IS NOT NULL') SEPARATOR ' AND '),
              ' AND p.`', REPLACE(MIN(k.REFERENCED_COLUMN_NAME), '`', '``'), '` IS NULL LIMIT 1')
  FROM information_schema.KEY_COLUMN_USAGE k
  JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA
       AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
 WHERE k.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_SCHEMA = DATABASE()
   AND r.DELETE_RULE IN ('CASCADE', 'SET NULL')
 GROUP BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.REFERENCED_TABLE_NAME
