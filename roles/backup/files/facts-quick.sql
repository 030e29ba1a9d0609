-- Facts of a database that cost little, one JSON object a line, sorted bytewise. Runs inside a repeatable-read transaction.
-- psql variables: dir (where the files go).
SET LOCAL row_security = off;
SET LOCAL search_path = pg_catalog;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL extra_float_digits = 1;
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL timezone = 'UTC';
SET LOCAL bytea_output = 'hex';
SET LOCAL lc_monetary = 'C';
SET LOCAL jit = off;

\set file :dir '/sequences.jsonl'
\o :file
SELECT format('SELECT ''{"last":"'' || last_value || ''","up":%s,'' || %L FROM %I.%I',
              CASE WHEN s.seqincrement > 0 THEN 'true' ELSE 'false' END,
              '"schema":' || to_json(n.nspname::text)::text || ',"sequence":' || to_json(c.relname::text)::text || '}',
              n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT s.seqcycle
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
\gexec

\set file :dir '/extensions.jsonl'
\o :file
SELECT json_build_object('extension', extname) FROM pg_extension ORDER BY extname COLLATE "C";

\set file :dir '/extension_versions.jsonl'
\o :file
SELECT json_build_object('extension', extname, 'version', extversion) FROM pg_extension ORDER BY extname COLLATE "C";

\set file :dir '/roles.jsonl'
\o :file
SELECT json_build_object('role', r.rolname, 'superuser', r.rolsuper, 'login', r.rolcanlogin, 'createdb', r.rolcreatedb,
    'createrole', r.rolcreaterole, 'replication', r.rolreplication, 'inherit', r.rolinherit, 'bypassrls', r.rolbypassrls,
    'member_of', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]'::json)
                  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid))
FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname COLLATE "C";

\set file :dir '/foreign_tables.jsonl'
\o :file
SELECT json_build_object('schema', n.nspname, 'table', c.relname, 'server', s.srvname)
FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_foreign_server s ON s.oid = f.ftserver ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- The locale comes from jsonb because its columns differ: none before 15, daticulocale in 15 and 16, datlocale from 17.
\set file :dir '/database.json'
\o :file
SELECT json_build_object(
    'name', d.datname, 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
    'collate', d.datcollate, 'ctype', d.datctype,
    'locale', (SELECT json_build_object('provider', coalesce(j->>'datlocprovider', 'c'),
                   'name', coalesce(j->>'datlocale', j->>'daticulocale'), 'rules', j->>'daticurules') FROM to_jsonb(d) j),
    'connection_limit', d.datconnlimit, 'bytes', pg_database_size(d.oid),
    'comment', shobj_description(d.oid, 'pg_database'),
    'settings', (SELECT coalesce(json_agg(json_build_object('role', coalesce(r.rolname, ''), 'setting', c)), '[]'::json)
                 FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
                 WHERE s.setdatabase = d.oid),
    'grants', (SELECT coalesce(json_agg(json_build_object('role', CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
                               'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]'::json)
               FROM aclexplode(d.datacl) a),
    'has_acl', d.datacl IS NOT NULL,
    'server_version', current_setting('server_version'), 'server_version_num', current_setting('server_version_num')::int,
    'data_checksums', current_setting('data_checksums'))
FROM pg_database d WHERE d.datname = current_database();

-- What must be the same after a restore. Expressions are left out: PostgreSQL prints some of them differently after a
-- dump and restore (an IN list on a varchar column), which would be a false alarm at the worst moment.
\set file :dir '/schema.jsonl'
\o :file
WITH own AS (
    SELECT c.oid, c.relname, c.relkind, n.nspname, c.relowner, c.relacl, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), procs AS (
    SELECT p.*, n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
), types AS (
    SELECT t.*, n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND t.typtype IN ('e', 'd', 'r')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
), lines AS (
    SELECT json_build_array('relation', nspname, relname, relkind, relpersistence, pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity)::text AS line
    FROM own WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT json_build_array('grant', o.nspname, o.relname, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable)::text
    FROM own o, aclexplode(coalesce(o.relacl, acldefault(CASE WHEN o.relkind = 'S' THEN 's' ELSE 'r' END::"char", o.relowner))) a
    WHERE o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT json_build_array('column', o.nspname, o.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.atthasdef)::text
    FROM own o JOIN pg_attribute a ON a.attrelid = o.oid WHERE a.attnum > 0 AND NOT a.attisdropped AND o.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT json_build_array('constraint', o.nspname, o.relname, k.conname, k.contype, k.condeferrable, k.convalidated,
        (SELECT json_agg(a.attname ORDER BY u.ord) FROM unnest(k.conkey) WITH ORDINALITY u(num, ord) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
        (SELECT json_build_array(f.nspname, f.relname) FROM own f WHERE f.oid = k.confrelid))::text
    FROM own o JOIN pg_constraint k ON k.conrelid = o.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT json_build_array('index', o.nspname, o.relname, ic.relname, am.amname, i.indisunique, i.indisprimary, i.indnatts)::text
    FROM own o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
    WHERE i.indisvalid
    UNION ALL
    SELECT json_build_array('trigger', o.nspname, o.relname, t.tgname, t.tgtype, t.tgenabled, p.proname)::text
    FROM own o JOIN pg_trigger t ON t.tgrelid = o.oid JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT json_build_array('policy', o.nspname, o.relname, p.polname, p.polcmd, p.polpermissive)::text
    FROM own o JOIN pg_policy p ON p.polrelid = o.oid
    UNION ALL
    SELECT json_build_array('routine', nspname, proname, pg_get_function_identity_arguments(oid), prokind, md5(prosrc), pg_get_userbyid(proowner))::text FROM procs
    UNION ALL
    SELECT json_build_array('type', t.nspname, t.typname, t.typtype, t.typnotnull, CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
        (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))::text FROM types t
    UNION ALL
    SELECT json_build_array('schema', nspname, pg_get_userbyid(nspowner))::text FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    UNION ALL
    SELECT json_build_array('event_trigger', e.evtname, e.evtevent, e.evtenabled)::text FROM pg_event_trigger e
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')
)
SELECT line FROM lines ORDER BY line COLLATE "C";
\o
