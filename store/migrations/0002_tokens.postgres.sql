-- What lets a client of `runpin serve` in. The secret itself is kept nowhere.
CREATE TABLE tokens (
    id      TEXT NOT NULL PRIMARY KEY,
    hash    TEXT NOT NULL,            -- SHA-256 of the whole token, in hexadecimal
    scopes  TEXT NOT NULL,            -- append, read, admin, with spaces between them
    project TEXT NOT NULL,            -- '' for all
    name    TEXT NOT NULL,            -- for people
    created TEXT NOT NULL,            -- RFC 3339 in UTC, three decimals
    expires TEXT NOT NULL,            -- '' for never
    revoked TEXT NOT NULL             -- '' while it is good
);
