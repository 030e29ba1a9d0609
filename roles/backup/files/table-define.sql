-- SQL that makes <side>.rows with the columns of a table as it was backed up; run where the backup's schema is loaded.
SET search_path = pg_catalog;
SELECT format('CREATE TABLE %I.rows (%s);', :'side', string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum))
FROM pg_attribute WHERE attrelid = to_regclass(format('%I.%I', :'schema', :'table')) AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
