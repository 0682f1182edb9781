-- Documents are the truth: their bytes are canonical JSON, kept as they came.
CREATE TABLE documents (
    seq    INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    run    TEXT NOT NULL,            -- '' for a release that no run led to
    kind   TEXT NOT NULL,
    at     TEXT NOT NULL,            -- RFC 3339 in UTC, three decimals
    plain  INTEGER NOT NULL,         -- 1: whoever stored it knew every member of it
    state  INTEGER NOT NULL,         -- 1: it can change the run's status, labels, metrics or fingerprint
    sha256 BLOB NOT NULL,            -- of bytes
    bytes  BLOB NOT NULL
) STRICT;
CREATE INDEX documents_run ON documents (run, state);

-- Blobs are truth too. One of up to a mebibyte lies in data; a larger one in chunks, in the order of blob_chunks.at.
CREATE TABLE blobs (
    digest BLOB NOT NULL PRIMARY KEY, -- SHA-256 of the content
    kind   TEXT NOT NULL,             -- the first kind it was stored as
    bytes  INTEGER NOT NULL,          -- of the content
    chunks INTEGER NOT NULL,          -- 0: it lies in data
    data   BLOB                       -- zstd
) STRICT;
CREATE TABLE blob_chunks (
    blob  BLOB NOT NULL,
    at    INTEGER NOT NULL,
    chunk BLOB NOT NULL,
    PRIMARY KEY (blob, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
    digest BLOB NOT NULL PRIMARY KEY, -- SHA-256 of the content
    bytes  INTEGER NOT NULL,
    data   BLOB NOT NULL              -- zstd
) STRICT;

-- The last sign of life of a run's reporter. Neither truth nor index: it is worth nothing once the run has ended.
CREATE TABLE leases (
    run  TEXT NOT NULL PRIMARY KEY,
    beat TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Everything below is an index, rebuilt from the documents by `store check --reindex`.

-- n orders runs by creation: milliseconds since 1970 times 2^15, plus the first 15 bits of the id's random tail, plus what keeps it unique.
CREATE TABLE runs (
    n           INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    tail        TEXT NOT NULL,        -- the random tail of the id, back to front, so that a suffix is a prefix
    known       INTEGER NOT NULL,     -- 1 once the base document is here
    name        TEXT NOT NULL,
    status      TEXT NOT NULL,        -- as written down, never 'lost'
    started     TEXT NOT NULL,
    finished    TEXT NOT NULL,
    fingerprint TEXT NOT NULL
) STRICT;
CREATE INDEX runs_tail ON runs (tail);
CREATE INDEX runs_name ON runs (name) WHERE name <> '';
CREATE INDEX runs_started ON runs (started) WHERE started <> '';
CREATE INDEX runs_finished ON runs (finished) WHERE finished <> '';

-- Each distinct value that can be searched has a number; facts says which runs have it.
CREATE TABLE terms (
    v     INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,              -- of a label, or the project of an owner; '' otherwise
    value TEXT NOT NULL,
    UNIQUE (kind, name, value)
) STRICT;
CREATE TABLE facts (
    v INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (v, n)
) STRICT, WITHOUT ROWID;

-- Params (kind 'p') and metrics (kind 'm') are compared and sorted by.
CREATE TABLE measures (
    n     INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    num   REAL,                       -- where it is a number
    PRIMARY KEY (n, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX measures_num ON measures (kind, name, num, value);

-- Manifests and change lists by the files in them: h is of "d" and a file's digest, or of "p" and its path.
CREATE TABLE listings (
    m      INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    state  INTEGER NOT NULL           -- 0 to be indexed, 1 indexed, 2 too long, 3 not readable
) STRICT;
CREATE INDEX listings_state ON listings (state) WHERE state = 0;
CREATE TABLE listing_files (
    h INTEGER NOT NULL,
    m INTEGER NOT NULL,
    PRIMARY KEY (h, m)
) STRICT, WITHOUT ROWID;

-- Blobs whose bytes were dropped, and the erasure that says why.
CREATE TABLE erased (
    digest BLOB NOT NULL PRIMARY KEY,
    doc    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
