-- Why rows of a backup cannot be matched with this live table; nothing when they can.
SELECT CASE
    WHEN c.oid IS NULL THEN format('the live database has no table %I.%I: restore the whole database, or create the table first', :'schema', :'table')
    WHEN c.relkind NOT IN ('r', 'p') THEN format('%I.%I is no table', :'schema', :'table')
    WHEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
    THEN format('table %I.%I has no primary key, so its rows cannot be matched: restore the whole database, or give it a key first', :'schema', :'table')
    WHEN bad.field IS NOT NULL THEN format('table %I.%I has no column %s: name existing columns in rows', :'schema', :'table', bad.field)
    END
FROM (SELECT to_regclass(format('%I.%I', :'schema', :'table')) AS oid) t
LEFT JOIN pg_class c ON c.oid = t.oid
LEFT JOIN LATERAL (
    SELECT min(k.key) AS field FROM jsonb_array_elements(coalesce(nullif(:'rows', ''), '[]')::jsonb) r, jsonb_each(r) k
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = k.key AND a.attnum > 0 AND NOT a.attisdropped)
) bad ON true;
