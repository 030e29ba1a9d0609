-- SQL that hands out (what = rows) or counts (what = count) the rows that were asked for.
SELECT format(CASE WHEN :'what' = 'rows' THEN 'COPY (SELECT %s FROM %I.%I t%s) TO STDOUT' ELSE 'SELECT count(*) FROM (SELECT %s FROM %I.%I t%s) x' END,
    string_agg(quote_ident(attname), ', ' ORDER BY attnum), :'schema', :'table',
    CASE WHEN :'rows' <> '' THEN format(' WHERE EXISTS (SELECT FROM jsonb_array_elements(%L::jsonb) r WHERE NOT EXISTS (SELECT FROM jsonb_each_text(r) k WHERE to_jsonb(t) ->> k.key IS DISTINCT FROM k.value))', :'rows') ELSE '' END)
FROM pg_attribute WHERE attrelid = to_regclass(format('%I.%I', :'schema', :'table')) AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
