-- The same tables as in 0001_init.sqlite.sql. Texts are ordered bytewise there, so they are here.
-- Documents are the truth: their bytes are canonical JSON, kept as they came.
CREATE TABLE documents (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     TEXT COLLATE "C" NOT NULL UNIQUE,
    run    TEXT COLLATE "C" NOT NULL,            -- '' for a release that no run led to
    kind   TEXT COLLATE "C" NOT NULL,
    at     TEXT COLLATE "C" NOT NULL,            -- RFC 3339 in UTC, three decimals
    plain  BOOLEAN NOT NULL,         -- whoever stored it knew every member of it
    state  BOOLEAN NOT NULL,         -- it can change the run's status, labels, metrics or fingerprint
    sha256 BYTEA NOT NULL,            -- of bytes
    bytes  BYTEA NOT NULL
);
CREATE INDEX documents_run ON documents (run, state);

-- Blobs are truth too. One of up to a mebibyte lies in data; a larger one in chunks, in the order of blob_chunks.at.
CREATE TABLE blobs (
    digest BYTEA NOT NULL PRIMARY KEY, -- SHA-256 of the content
    kind   TEXT COLLATE "C" NOT NULL,             -- the first kind it was stored as
    bytes  BIGINT NOT NULL,          -- of the content
    chunks BIGINT NOT NULL,          -- 0: it lies in data
    data   BYTEA                       -- zstd
);
CREATE TABLE blob_chunks (
    blob  BYTEA NOT NULL,
    at    BIGINT NOT NULL,
    chunk BYTEA NOT NULL,
    PRIMARY KEY (blob, at)
);
CREATE TABLE chunks (
    digest BYTEA NOT NULL PRIMARY KEY, -- SHA-256 of the content
    bytes  BIGINT NOT NULL,
    data   BYTEA NOT NULL              -- zstd
);

-- The last sign of life of a run's reporter. Neither truth nor index: it is worth nothing once the run has ended.
CREATE TABLE leases (
    run  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    beat TEXT COLLATE "C" NOT NULL
);

-- Everything below is an index, rebuilt from the documents by `store check --reindex`.

-- n orders runs by creation: milliseconds since 1970 times 2^15, plus the first 15 bits of the id's random tail, plus what keeps it unique.
CREATE TABLE runs (
    n           BIGINT PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    tail        TEXT COLLATE "C" NOT NULL,        -- the random tail of the id, back to front, so that a suffix is a prefix
    known       BOOLEAN NOT NULL,     -- once the base document is here
    name        TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,        -- as written down, never 'lost'
    started     TEXT COLLATE "C" NOT NULL,
    finished    TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL
);
CREATE INDEX runs_tail ON runs (tail);
CREATE INDEX runs_name ON runs (name) WHERE name <> '';
CREATE INDEX runs_started ON runs (started) WHERE started <> '';
CREATE INDEX runs_finished ON runs (finished) WHERE finished <> '';

-- Each distinct value that can be searched has a number; facts says which runs have it.
CREATE TABLE terms (
    v     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind  TEXT COLLATE "C" NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,              -- of a label, or the project of an owner; '' otherwise
    value TEXT COLLATE "C" NOT NULL,
    UNIQUE (kind, name, value)
);
CREATE TABLE facts (
    v BIGINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (v, n)
);

-- Params (kind 'p') and metrics (kind 'm') are compared and sorted by.
CREATE TABLE measures (
    n     BIGINT NOT NULL,
    kind  TEXT COLLATE "C" NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    num   DOUBLE PRECISION,                       -- where it is a number
    PRIMARY KEY (n, kind, name)
);
CREATE INDEX measures_num ON measures (kind, name, num, value);

-- Manifests and change lists by the files in them: h is of "d" and a file's digest, or of "p" and its path.
CREATE TABLE listings (
    m      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    state  BIGINT NOT NULL           -- 0 to be indexed, 1 indexed, 2 too long, 3 not readable
);
CREATE INDEX listings_state ON listings (state) WHERE state = 0;
CREATE TABLE listing_files (
    h BIGINT NOT NULL,
    m BIGINT NOT NULL,
    PRIMARY KEY (h, m)
);

-- Blobs whose bytes were dropped, and the erasure that says why.
CREATE TABLE erased (
    digest BYTEA NOT NULL PRIMARY KEY,
    doc    TEXT COLLATE "C" NOT NULL
);
