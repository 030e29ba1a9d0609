-- A deterministic music catalogue: 5,000 artists, 10,000 releases, 60,000 tracks, 120,000 edges between tracks.
-- It fills an empty database and leaves any other alone, so that it can run again at any time.
BEGIN;

CREATE TABLE IF NOT EXISTS artists (
  artist_id integer PRIMARY KEY,
  name text NOT NULL UNIQUE,
  country char(2) NOT NULL
);
CREATE TABLE IF NOT EXISTS releases (
  release_id integer PRIMARY KEY,
  artist_id integer NOT NULL REFERENCES artists,
  title text NOT NULL,
  released date NOT NULL
);
CREATE TABLE IF NOT EXISTS tracks (
  track_id serial PRIMARY KEY,
  release_id integer NOT NULL REFERENCES releases,
  artist_id integer NOT NULL REFERENCES artists,
  title text NOT NULL,
  position smallint NOT NULL,
  seconds integer NOT NULL CHECK (seconds > 0),
  bpm numeric(5, 1) NOT NULL,
  isrc char(12) NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS track_edges (
  from_track integer NOT NULL REFERENCES tracks,
  to_track integer NOT NULL REFERENCES tracks,
  weight numeric(4, 3) NOT NULL,
  PRIMARY KEY (from_track, to_track),
  CHECK (from_track <> to_track)
);
CREATE TABLE IF NOT EXISTS playlists (
  playlist_id integer PRIMARY KEY,
  name text NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS playlist_tracks (
  playlist_id integer NOT NULL REFERENCES playlists,
  position integer NOT NULL,
  track_id integer NOT NULL REFERENCES tracks,
  PRIMARY KEY (playlist_id, position)
);

SELECT NOT EXISTS (SELECT FROM artists) AS empty \gset
\if :empty
INSERT INTO artists
SELECT a, 'Artist ' || lpad(a::text, 5, '0'), (ARRAY['DE', 'FR', 'GB', 'IE', 'JP', 'US'])[1 + a % 6]
FROM generate_series(1, 5000) AS a;

INSERT INTO releases
SELECT r, 1 + (r - 1) % 5000, 'Release ' || lpad(r::text, 5, '0'), date '1970-01-01' + (r * 7919) % 20000
FROM generate_series(1, 10000) AS r;

INSERT INTO tracks (track_id, release_id, artist_id, title, position, seconds, bpm, isrc)
SELECT t, r, 1 + (r - 1) % 5000, 'Track ' || lpad(t::text, 6, '0'), 1 + (t - 1) % 6,
  120 + (t * 31) % 300, 60 + (t * 17 % 1200) / 10.0, 'HF' || lpad(t::text, 10, '0')
FROM generate_series(1, 60000) AS t, LATERAL (SELECT 1 + (t - 1) / 6 AS r) AS release;
SELECT setval('tracks_track_id_seq', 60000);

INSERT INTO track_edges
SELECT t, 1 + (t + step - 1) % 60000, ((t * 13 + step) % 1000) / 1000.0
FROM generate_series(1, 60000) AS t, unnest(ARRAY[1, 997]) AS step;

INSERT INTO playlists SELECT p, 'Playlist ' || lpad(p::text, 3, '0') FROM generate_series(1, 200) AS p;
INSERT INTO playlist_tracks
SELECT p, n, 1 + (p * 7907 + n * 104729) % 60000 FROM generate_series(1, 200) AS p, generate_series(1, 50) AS n;

CREATE INDEX tracks_artist ON tracks (artist_id);
CREATE INDEX tracks_release ON tracks (release_id);
CREATE INDEX tracks_title ON tracks (title);
\endif

COMMIT;
