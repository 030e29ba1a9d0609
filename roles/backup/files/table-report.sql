-- The result line: what differed, examples by key without the rows' values, and what is left when the upsert has run.
SELECT json_build_object('at', :'at', 'event', 'result', 'step', 'done', 'schema', :'side', 'seconds', :seconds, 'applied', :'applied' = '1',
    'rows', (SELECT count(*) FROM :"side".rows),
    'missing', coalesce((SELECT c.rows FROM :"side".counts c WHERE kind = 'missing'), 0),
    'different', coalesce((SELECT c.rows FROM :"side".counts c WHERE kind = 'different'), 0),
    'extra', coalesce((SELECT c.rows FROM :"side".counts c WHERE kind = 'extra'), 0),
    'left', (SELECT count(*) FROM :"side".diff WHERE kind <> 'extra'),
    'examples', (SELECT coalesce(jsonb_agg(e), '[]') FROM :"side".examples e),
    'sql', (SELECT upsert FROM :"side".statements));
