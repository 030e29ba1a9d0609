-- Exact row counts and an order-independent content hash per table, one JSON object a line.
-- psql variables: dir; hash (1: hash the content, 0: count only). Needs the settings of facts-quick.sql.
\set file :dir '/tables.jsonl'
\o :file
SELECT CASE WHEN c.relkind = 'm' THEN
    -- A materialized view is computed again by a restore, so its rows at dump time prove nothing.
    format('SELECT %L', '{"rows":null,"hash":null,"kind":"m","schema":' || to_json(n.nspname::text)::text || ',"table":' || to_json(c.relname::text)::text || '}')
ELSE
    -- ROW(t.*) and not t: a column may itself be called t. COLLATE "C": a column's collation may be nondeterministic.
    format('SELECT ''{"rows":'' || count(*) || '',"hash":'' || %s || %L FROM ONLY %I.%I AS t',
        CASE WHEN :hash = 1 THEN $q$'"' || coalesce(sum(hashtextextended((ROW(t.*)::text) COLLATE "C", 0)::numeric), 0) || '"'$q$ ELSE $q$'null'$q$ END,
        ',"kind":"r","schema":' || to_json(n.nspname::text)::text || ',"table":' || to_json(c.relname::text)::text || '}',
        n.nspname, c.relname)
END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
\gexec

\set file :dir '/large_objects.jsonl'
\o :file
SELECT '{"objects":' || count(*) || ',"hash":"' || coalesce(sum(hashtextextended(md5(lo_get(oid)), oid::bigint)::numeric), 0) || '"}'
FROM pg_largeobject_metadata;
\o
