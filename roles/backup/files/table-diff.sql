-- Makes <side>.diff (the rows that differ, both versions) and <side>.statements (the SQL that would put them right).
-- Only columns that the backup and the live table both have are compared, as text: not every type has an equality.
BEGIN;
CREATE TEMP TABLE cols ON COMMIT DROP AS
SELECT a.attname AS name, a.attnum AS ord, a.attidentity AS identity,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS key
FROM pg_attribute a
JOIN pg_attribute b ON b.attrelid = to_regclass(format('%I.rows', :'side')) AND b.attname = a.attname AND b.attnum > 0
WHERE a.attrelid = to_regclass(format('%I.%I', :'schema', :'table')) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
SELECT string_agg(format('%I', name), ', ' ORDER BY ord) AS columns,
    string_agg(format('l.%I', name), ', ' ORDER BY ord) AS live, string_agg(format('b.%I', name), ', ' ORDER BY ord) AS back,
    string_agg(format('%I', name), ', ' ORDER BY ord) FILTER (WHERE key) AS keys,
    string_agg(format('l.%1$I = b.%1$I', name), ' AND ' ORDER BY ord) FILTER (WHERE key) AS same_key,
    (array_agg(format('%I', name) ORDER BY ord) FILTER (WHERE key))[1] AS first_key,
    coalesce('UPDATE SET ' || string_agg(format('%1$I = EXCLUDED.%1$I', name), ', ' ORDER BY ord) FILTER (WHERE NOT key AND identity <> 'a'), 'NOTHING') AS otherwise,
    CASE WHEN :'rows' = '' THEN 'FULL' ELSE 'LEFT' END AS side_of
FROM cols \gset
CREATE VIEW :"side".diff AS
SELECT CASE WHEN l.:first_key IS NULL THEN 'missing' WHEN b.:first_key IS NULL THEN 'extra' ELSE 'different' END AS kind,
    to_jsonb(b) AS backup, to_jsonb(l) AS live
FROM :"side".rows b :side_of JOIN (SELECT :columns FROM :"schema".:"table") l ON :same_key
WHERE ROW(:live)::text IS DISTINCT FROM ROW(:back)::text;
CREATE TABLE :"side".statements AS SELECT
    format('CREATE TABLE %I.replaced AS SELECT l.* FROM %I.%I l JOIN %I.rows b ON %s WHERE ROW(%s)::text <> ROW(%s)::text',
        :'side', :'schema', :'table', :'side', :'same_key', :'live', :'back') AS keep,
    format('INSERT INTO %I.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %I.rows b WHERE NOT EXISTS (SELECT FROM %I.%I l WHERE %s AND ROW(%s)::text = ROW(%s)::text) ON CONFLICT (%s) DO %s',
        :'schema', :'table', :'columns', :'back', :'side', :'schema', :'table', :'same_key', :'live', :'back', :'keys', :'otherwise') AS upsert;
-- How it was, for the report: after the upsert the view shows what is left.
CREATE TABLE :"side".counts AS SELECT kind, count(*) AS rows FROM :"side".diff GROUP BY kind;
CREATE TABLE :"side".examples AS
SELECT kind, (SELECT jsonb_object_agg(c.name, coalesce(d.backup, d.live) -> c.name) FROM cols c WHERE c.key) AS key,
    (SELECT jsonb_agg(c.name ORDER BY c.ord) FROM cols c WHERE d.kind = 'different' AND d.backup -> c.name IS DISTINCT FROM d.live -> c.name) AS columns
FROM (SELECT * FROM :"side".diff LIMIT 20) d;
COMMIT;
