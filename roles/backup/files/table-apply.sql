-- Runs the upsert in one transaction; the rows that it replaces are kept in <side>.replaced.
BEGIN;
SET LOCAL lock_timeout = '20s';
SET LOCAL row_security = off;
LOCK TABLE :"schema".:"table" IN SHARE ROW EXCLUSIVE MODE;
SELECT keep FROM :"side".statements
\gexec
SELECT upsert FROM :"side".statements
\gexec
COMMIT;
